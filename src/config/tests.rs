//! The settings as an operator gives them, through all sources.

use proptest::prelude::*;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use bytesize::{ByteSize, GIB, MIB};

use super::sources::{MAX_FILE_BYTES, why_unsafe};
use super::table::{FILE_VARIABLE, find_key};
use super::values::{MAX_LIST_ENTRIES, Value};
use super::*;
use crate::mail::Author;

const EXAMPLE_FILE: &str = include_str!("../../examples/authd.toml");

type Variables<'a> = &'a [(&'a str, &'a str)];
type Flags<'a> = &'a [(&'static str, &'a str)];

/// Loads from these sources on a machine with 1 GiB.
fn from_all(
    file: &str,
    environment: Variables<'_>,
    flags: Flags<'_>,
) -> Result<Loaded, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authd.toml");
    fs::write(&path, file).unwrap();
    let owned = |(name, text): &(&str, &str)| (name.to_string(), text.to_string());
    load(Inputs {
        file: Some(path),
        flags: flags
            .iter()
            .map(|(key, text)| (*key, text.to_string()))
            .collect(),
        environment: environment.iter().map(owned).collect(),
        memory: Some(GIB),
        ..Inputs::default()
    })
}

fn from_file(file: &str) -> Result<Loaded, ConfigError> {
    from_all(file, &[], &[])
}

fn from_environment(environment: Variables<'_>) -> Result<Loaded, ConfigError> {
    from_all("", environment, &[])
}

fn from_flags(flags: Flags<'_>) -> Result<Loaded, ConfigError> {
    from_all("", &[], flags)
}

fn setting(loaded: &Loaded, name: &str) -> Setting {
    loaded
        .settings
        .iter()
        .find(|setting| setting.name == name)
        .unwrap()
        .clone()
}

/// The error, which must be fit to be shown and contain each of `parts`.
#[track_caller]
fn refused(outcome: Result<Loaded, ConfigError>, parts: &[&str]) {
    let error = outcome.expect_err("should be refused").to_string();
    assert!((1..=3).contains(&error.lines().count()), "{error}");
    for part in parts {
        assert!(error.contains(part), "no {part:?} in:\n{error}");
    }
}

#[test]
fn the_defaults_are_safe_on_the_internet() {
    let loaded = from_file("").unwrap();
    assert!(
        loaded
            .settings
            .iter()
            .all(|setting| setting.source == Source::Default)
    );
    assert_eq!(
        loaded.config,
        Config {
            db: "authd.db".into(),
            listen: "127.0.0.1:8080".parse().unwrap(),
            public_url: PublicUrl::parse("http://localhost:8080").unwrap(),
            allow_http: false,
            registration: Registration::Closed,
            verification: Verification::Optional,
            password_min_length: 12,
            password_ram: ByteSize::mib(64),
            access_token_lifetime: Duration::from_secs(600),
            session_idle_lifetime: Duration::from_secs(30 * 86_400),
            session_lifetime: Duration::from_secs(180 * 86_400),
            replay_window: Duration::from_secs(60),
            signing_key_lifetime: Duration::from_secs(90 * 86_400),
            event_retention: Duration::from_secs(365 * 86_400),
            mail: Route::Off,
            mail_from: Author::parse("authd@localhost").unwrap(),
            brand_name: "localhost".into(),
            brand_logo: None,
            brand_accent: None,
            outgoing_ca: None,
            trusted_proxies: vec![],
            cors_origins: vec![],
            max_connections: 512,
            log_format: LogFormat::Text,
            log_level: LogLevel::Info,
            accept_network_filesystem: false,
            max_db_size: None,
            warnings: vec![],
        }
    );
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let file = "# mine\nlog_level = \"error\"\nlog_format = \"json\"\nmax_connections = 100\n";
    let environment = [
        ("AUTHD_LOG_LEVEL", "warn"),
        ("AUTHD_LOG_FORMAT", "text"),
        ("HOME", "/"),
    ];
    let flags = [("log_level", "info"), ("log_level", "debug")];
    let loaded = from_all(file, &environment, &flags).unwrap();
    let path = loaded.file.clone().unwrap();
    let expected = [
        ("log_level", "debug", Source::Flag),
        (
            "log_format",
            "text",
            Source::Environment("AUTHD_LOG_FORMAT".to_owned()),
        ),
        ("max_connections", "100", Source::File { path, line: 4 }),
        ("registration", "closed", Source::Default),
    ];
    for (name, text, source) in expected {
        let setting = setting(&loaded, name);
        assert_eq!(
            (setting.value_text.as_str(), setting.source),
            (text, source),
            "{name}"
        );
    }
    assert_eq!(loaded.config.log_level, LogLevel::Debug);
}

#[test]
fn a_value_means_the_same_in_the_file_and_in_the_environment() {
    #[rustfmt::skip]
    let spellings = [
        ("db", r#""/var/lib/authd/a b.db""#, "/var/lib/authd/a b.db", "/var/lib/authd/a b.db"),
        ("listen", r#""[::1]:80""#, "[::1]:80", "[::1]:80"),
        ("max_connections", "1_000", "1000", "1000"),
        ("max_connections", r#""64""#, "64", "64"),
        ("max_connections", "0x40", "64", "64"),
        ("allow_http", "true", "true", "true"),
        ("registration", r#""open""#, "open", "open"),
        ("event_retention", r#""52weeks 1day""#, "52weeks 1day", "365d"),
        ("session_idle_lifetime", r#""12h""#, "720m", "12h"),
        ("replay_window", r#""90s""#, "1m 30s", "90s"),
        ("replay_window", r#""0s""#, "0s", "0s"),
        ("password_ram", r#""20 mib""#, "20480KiB", "20MiB"),
        ("max_db_size", r#""2MB""#, "2000000", "2000000B"),
        (
            "trusted_proxies",
            r#"["10.1.2.3/8", "::1", "192.0.2.7"]"#,
            "10.1.2.3/8, ::1,192.0.2.7",
            "10.0.0.0/8,::1/128,192.0.2.7/32",
        ),
        (
            "cors_origins",
            "[\n'https://App.Example:443', # a comment\n'http://localhost:3000'\n]",
            "HTTPS://app.example,http://localhost:3000",
            "https://app.example,http://localhost:3000",
        ),
        ("cors_origins", "[]", "", ""),
    ];
    for (name, literal, text, shown) in spellings {
        let file = from_file(&format!("{name} = {literal}")).unwrap();
        let variable = find_key(name).unwrap().variable();
        let environment = from_environment(&[(&variable, text)]).unwrap();
        assert_eq!(file.config, environment.config, "{name}");
        assert_eq!(setting(&file, name).value_text, shown, "{name}");
    }
}

#[test]
fn what_is_printed_can_be_given_again() {
    let first = from_flags(&[
        ("public_url", "https://auth.example.com"),
        ("trusted_proxies", "10.0.0.0/8,::1"),
        ("cors_origins", "https://a.example,https://b.example"),
        ("password_ram", "33MiB"),
        ("replay_window", "61s"),
    ])
    .unwrap();
    let flags: Vec<_> = first
        .settings
        .iter()
        .map(|s| (s.name, s.value_text.as_str()))
        .collect();
    assert_eq!(from_flags(&flags).unwrap().config, first.config);
}

// req 1: the minimum can be set from 8 to 64. req 8: no hash with less than 19 MiB.
#[test]
fn every_bound_is_held_on_both_sides() {
    #[rustfmt::skip]
    let bounds: &[(&str, &[&str], &[&str])] = &[
        ("db", &["a"], &["", "a\0b"]),
        ("listen", &["127.0.0.1:0"], &["localhost:80", ":80", "127.0.0.1", "[::1]", ""]),
        ("allow_http", &["true", "false"], &["yes", "1", "True", ""]),
        ("registration", &["invite", "open"], &["Open", "invited", ""]),
        ("verification", &["optional", "required"], &["Required", "on", ""]),
        ("password_min_length", &["8", "64"], &["7", "65", "+8", "-8", "8.0", "", "９"]),
        ("password_ram", &["19MiB", "1TiB"], &["19MB", "64", "2TiB", "999999999EiB", "x"]),
        ("access_token_lifetime", &["1m", "1h"], &["59s", "3601s", "10", "-5m", "", "1.5m1ms"]),
        ("session_idle_lifetime", &["5m", "180d"], &["299s", "401d"]),
        ("session_lifetime", &["30d", "400d"], &["299s", "401d"]),
        ("replay_window", &["0s", "10m"], &["601s", "500ms"]),
        ("signing_key_lifetime", &["1d", "400d"], &["23h", "401d"]),
        ("event_retention", &["1d", "36500d"], &["23h", "36501d", "99999999999999999999d"]),
        (
            "mail",
            &["off", "log", "dir:mail", "smtp://h", "smtps://u:p@h:465"],
            &["on", "dir:", "smtp://", "smtp://u@h", "smtps://h?tls=none", "sendmail"],
        ),
        ("mail_from", &["a@b.c", "A B <a@b.c>"], &["", "a", "a@b\nc"]),
        ("brand_name", &["Example", "Käse & Söhne"], &["", " ", &"x".repeat(65)]),
        ("brand_logo", &["", "logo.svg"], &[]),
        ("brand_accent", &["", "#0F766e"], &["0f766e", "#12345", "#12345g", "red"]),
        ("outgoing_ca", &["", "ca.pem"], &[]),
        ("trusted_proxies", &["10.0.0.1", "fd00::/8"], &["10.0.0.0/33", "proxy", "::1,,::1"]),
        ("cors_origins", &["https://a.b"], &["*", "null", "https://a.b/", "https://*.b"]),
        ("max_connections", &["16", "10000"], &["15", "10001"]),
        ("log_format", &["json"], &["JSON"]),
        ("log_level", &["error", "warn", "info", "debug"], &["trace"]),
        ("accept_network_filesystem", &["true"], &["nfs"]),
        ("max_db_size", &["0", "1MiB", "1TiB"], &["0B", "1023KiB", "1025GiB", ""]),
    ];
    for (name, right, wrong) in bounds {
        let key = find_key(name).unwrap();
        for text in *right {
            assert!(from_flags(&[(key.name, text)]).is_ok(), "{name} {text}");
        }
        for text in *wrong {
            let flag = format!("--{} ", name.replace('_', "-"));
            refused(
                from_flags(&[(key.name, text)]),
                &[&flag, "expected", "For example: --"],
            );
        }
    }
    let tested: Vec<_> = bounds
        .iter()
        .map(|(name, ..)| *name)
        .chain(["public_url"])
        .collect();
    assert!(
        KEYS.iter().all(|key| tested.contains(&key.name)),
        "a key without a line above"
    );
}

#[test]
fn a_list_has_a_bound_and_a_refusal_names_the_entry() {
    let many = |count| vec!["10.0.0.1"; count].join(",");
    assert!(from_flags(&[("trusted_proxies", &many(MAX_LIST_ENTRIES))]).is_ok());
    refused(
        from_flags(&[("trusted_proxies", &many(MAX_LIST_ENTRIES + 1))]),
        &["at most 256"],
    );
    let wrong = r#"trusted_proxies = ["10.0.0.1", "10.0.0.300"]"#;
    refused(from_file(wrong), &[r#"refused: "10.0.0.300": expected"#]);
}

#[test] // req 63
fn the_password_of_the_mail_server_is_never_told() {
    let url = "smtp://ann:s3cret@mail.example.com";
    let loaded = from_file(&format!("mail = \"{url}\"")).unwrap();
    assert_eq!(
        setting(&loaded, "mail").value_text,
        "smtp://ann:***@mail.example.com"
    );
    for wrong in [
        "smtp://ann:s3cret@",
        "smtp://ann:s3cret@h?x",
        "s3cret://a:s3cret@h",
    ] {
        let hidden = wrong.replace(":s3cret@", ":***@");
        let environment = [("AUTHD_MAIL", wrong)];
        for outcome in [
            from_flags(&[("mail", wrong)]),
            from_environment(&environment),
            from_file(&format!("mail = \"{wrong}\"")),
        ] {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(&hidden), "{error}");
            assert!(!error.contains(":s3cret"), "{error}");
        }
    }
}

#[test]
fn mail_in_the_log_is_for_loopback_alone() {
    assert!(from_flags(&[("mail", "log")]).is_ok());
    let public = ("public_url", "https://auth.example.com");
    refused(
        from_flags(&[("mail", "log"), public]),
        &["--mail log", "mail = \"off\""],
    );
    let loaded = from_flags(&[("mail", "smtp://relay?tls=none"), public]).unwrap();
    assert_eq!(loaded.config.warnings.len(), 1);
    assert_eq!(
        setting(&loaded, "mail_from").value_text,
        "authd@auth.example.com"
    );
}

#[test]
fn a_wrong_value_is_told_with_its_place_and_a_right_one() {
    let file = "\n\nlisten = \"localhost:8080\"";
    let error = from_file(file).unwrap_err().to_string();
    let (refusal, example) = error.split_once('\n').unwrap();
    assert!(
        refusal.starts_with("listen = \"localhost:8080\" ("),
        "{error}"
    );
    assert!(
        refusal.ends_with(
            "authd.toml, line 3) is refused: expected an IP address, a colon and a port."
        ),
        "{error}"
    );
    assert_eq!(example, "For example: listen = \"127.0.0.1:8080\"");

    let environment = [("AUTHD_TRUSTED_PROXIES", "nginx")];
    assert_eq!(
        from_environment(&environment).unwrap_err().to_string(),
        "AUTHD_TRUSTED_PROXIES=nginx is refused: \"nginx\": expected an IP address or a \
         network.\nFor example: AUTHD_TRUSTED_PROXIES=10.0.0.0/8"
    );
    assert_eq!(
        from_flags(&[("max_connections", "many")])
            .unwrap_err()
            .to_string(),
        "--max-connections many is refused: expected a whole number from 16 to 10000.\n\
         For example: --max-connections 512"
    );
}

#[test]
fn the_file_spells_each_type_in_one_way() {
    #[rustfmt::skip]
    let wrong = [
        ("replay_window = 60", "expected text in double quotes", "replay_window = \"60s\""),
        ("max_db_size = 1048576", "expected text in double quotes", "max_db_size = \"512MiB\""),
        ("db = true", "expected text in double quotes", "db = \"authd.db\""),
        ("allow_http = \"true\"", "expected true or false, without", "allow_http = false"),
        ("max_connections = 20.0", "expected a whole number", "max_connections = 512"),
        ("max_connections = 99999999999999999999", "expected a whole number", "= 512"),
        ("trusted_proxies = \"::1\"", "expected a list", "trusted_proxies = [\"10.0.0.0/8\"]"),
        ("cors_origins = [1]", "expected each entry", "[\"https://app.example\"]"),
        ("cors_origins = [\"https://a.b,https://c.d\"]", "expected each entry", "https://app"),
        ("log_level = 1979-05-27", "expected text in double quotes", "log_level = \"info\""),
    ];
    for (line, expected, example) in wrong {
        let given = format!("{line} (");
        refused(from_file(line), &[&given, "line 1)", expected, example]);
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    #[rustfmt::skip]
    let rows = [
        ("\npublic-url = 1", ["line 2: unknown key public-url", "Did you mean public_url?"]),
        ("regsitration = 'open'", ["unknown key regsitration", "Did you mean registration?"]),
        ("zzz = 1", ["unknown key zzz", "Known keys: db, listen, public_url"]),
        ("listen = '127.0.0.1:1'\nport = 1\nzz = 1", ["line 2: unknown key port", ""]),
        ("\"\\u001b[2J\" = 1", ["unknown key \\u{1b}[2J", ""]),
    ];
    for (file, parts) in rows {
        refused(from_file(file), &parts);
    }
    refused(
        from_flags(&[("lisen", "x")]),
        &["lisen", "Did you mean listen?"],
    );
}

#[test] // the `.env` of a compose file has variables of its own (AUTHD_VERSION, AUTHD_TAG)
fn an_unknown_variable_is_a_warning_with_the_nearest() {
    for variable in ["AUTHD_LISTEN_ADDR", "AUTHD_listen", "AUTHD_PORT"] {
        let environment = [(variable, "127.0.0.1:80")];
        let loaded = from_environment(&environment).expect("settings");
        let warned = loaded.notices.join("\n");
        assert!(warned.contains(variable), "{warned}");
        assert!(warned.contains("AUTHD_LISTEN"), "{warned}");
    }
}

#[test] // fault 10: compose hands a variable that is not set on as an empty one
fn an_empty_variable_is_unset() {
    let variables = KEYS.iter().map(Key::variable);
    let others = [FILE_VARIABLE, "AUTHD_MAIL_FILE", "AUTHD_OTHER"];
    for variable in variables.chain(others.map(str::to_owned)) {
        let loaded = from_environment(&[(&variable, "")]).expect("settings");
        assert!(loaded.notices.is_empty(), "{variable}");
        assert!(
            loaded
                .settings
                .iter()
                .all(|setting| !matches!(setting.source, Source::Environment(_)))
        );
    }
}

#[test] // fault 10: container platforms mount secrets as files
fn a_setting_with_a_secret_can_come_from_a_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("mail");
    fs::write(&file, "smtp://ann:word@mail.example.org\n").expect("a file");
    let path = file.to_str().expect("a path");
    let both = [("AUTHD_MAIL_FILE", path), ("AUTHD_MAIL", "off")];
    refused(from_environment(&both), &["AUTHD_MAIL_FILE", "both set"]);
    let empty = [("AUTHD_MAIL_FILE", path), ("AUTHD_MAIL", "")];
    for environment in [&empty[..1], &empty] {
        let loaded = from_environment(environment).expect("settings");
        let mail = setting(&loaded, "mail");
        assert_eq!(mail.value_text, "smtp://ann:***@mail.example.org");
        assert_eq!(
            mail.source.to_string(),
            format!("{path}, from AUTHD_MAIL_FILE")
        );
    }
    // One line end is cut, and no more. The error names the file, and not what is in it.
    fs::write(&file, "smtp://ann:word@mail.example.org\n\n").expect("a file");
    let error = from_environment(&empty)
        .expect_err("two line ends")
        .to_string();
    assert!(error.contains(path) && !error.contains("word"), "{error}");
    assert!(!error.contains("AUTHD_MAIL_FILE=smtp"), "{error}");
    // Only a setting that can hold a secret has such a variable.
    let loaded = from_environment(&[("AUTHD_DB_FILE", path)]).expect("settings");
    assert!(
        loaded.notices[0].contains("AUTHD_DB_FILE"),
        "{:?}",
        loaded.notices
    );
    let missing = [("AUTHD_MAIL_FILE", "/nowhere/mail")];
    refused(
        from_environment(&missing),
        &["AUTHD_MAIL_FILE", "/nowhere/mail"],
    );
}

#[test]
fn a_table_is_refused_even_if_it_has_a_settings_name() {
    #[rustfmt::skip]
    let rows = [
        ("[server]\nlisten = '127.0.0.1:1'", "server"),
        ("[listen]\naddress = 1", "listen"),
        ("listen.address = '127.0.0.1:1'", "listen"),
        ("listen = { address = 1 }", "listen"),
        ("[[rule]]\nhost = 'a'", "rule"),
        ("cors_origins = [{}]", "cors_origins"),
    ];
    for (file, name) in rows {
        refused(
            from_file(file),
            &[&format!("line 1: {name} is a table"), "file is flat"],
        );
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    #[rustfmt::skip]
    let rows = [
        ("listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'", "line 2: duplicate key"),
        ("db = 'a'\n\nlisten = 127.0.0.1:8080", "line 3: "),
        ("db", "line 1: "),
        ("db = \"a", "line 1: "),
    ];
    for (file, line) in rows {
        refused(
            from_file(file),
            &[line, "A line is `key = value`, each key once, text in"],
        );
    }
}

#[test]
fn variables_of_a_kubernetes_service_are_not_ours() {
    let environment = [
        ("AUTHD_SERVICE_HOST", "10.0.0.1"),
        ("AUTHD_SERVICE_PORT", "80"),
        ("AUTHD_SERVICE_PORT_HTTP", "80"),
        ("AUTHD_PORT", "tcp://10.0.0.1:80"),
        ("AUTHD_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("AUTHD_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("AUTHD_METRICS_SERVICE_HOST", "10.0.0.2"),
    ];
    let loaded = from_environment(&environment).unwrap();
    assert!(
        loaded
            .settings
            .iter()
            .all(|setting| setting.source == Source::Default)
    );
}

#[test]
fn the_public_url_follows_a_loopback_listener_and_no_other() {
    #[rustfmt::skip]
    let rows = [
        ("127.0.0.1:80", Some("http://localhost")),
        ("127.0.0.2:9000", Some("http://127.0.0.2:9000")),
        ("[::1]:8080", Some("http://localhost:8080")),
        ("0.0.0.0:8080", None),
        ("[::]:8080", None),
        ("192.168.1.2:80", None),
    ];
    for (listen, url) in rows {
        let loaded = from_flags(&[("listen", listen)]);
        let Some(url) = url else {
            refused(
                loaded,
                &[
                    "public_url is missing",
                    listen,
                    "--public-url https://auth.example.com",
                ],
            );
            continue;
        };
        let setting = setting(&loaded.unwrap(), "public_url");
        assert_eq!(
            (setting.value_text.as_str(), setting.source),
            (url, Source::Default)
        );
    }
}

#[test]
fn http_beyond_this_machine_must_be_asked_for_and_is_warned_about() {
    let file = "public_url = 'http://auth.lan'";
    refused(
        from_file(file),
        &["auth.lan", "line 1", "https://", "allow_http = true"],
    );
    let asked = from_file(&format!("{file}\nallow_http = true")).unwrap();
    assert!(asked.config.warnings[0].contains("http://auth.lan"));
    for quiet in ["https://auth.lan", "http://localhost"] {
        let loaded = from_flags(&[("public_url", quiet), ("allow_http", "true")]).unwrap();
        assert!(loaded.config.warnings.is_empty());
    }
}

// req 62: forwarding headers are honoured from named proxies only.
#[test]
fn trusting_everybody_is_warned_about() {
    for (text, warnings) in [("0.0.0.0/0,::/0", 2), ("10.0.0.0/8", 0), ("0.0.0.0", 0)] {
        let loaded = from_flags(&[("trusted_proxies", text)]).unwrap();
        assert_eq!(loaded.config.warnings.len(), warnings, "{text}");
    }
}

// req 34: both limits hold, so one can't make the other meaningless.
#[test]
fn a_session_is_not_idle_for_longer_than_it_lives() {
    let equal = [("session_idle_lifetime", "1h"), ("session_lifetime", "1h")];
    assert!(from_flags(&equal).is_ok());
    refused(
        from_flags(&[("session_idle_lifetime", "181d")]),
        &["session_lifetime = \"180d\" (default) is shorter than --session-idle-lifetime 181d"],
    );
}

#[test] // finding 25: opening a FIFO waits until another process opens it too
fn a_fifo_in_the_place_of_a_searched_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("authd.toml");
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for (local_file, system_file) in [(Some(path.clone()), None), (None, Some(path.clone()))] {
        let inputs = Inputs {
            local_file,
            system_file,
            user: 1000,
            ..Inputs::default()
        };
        let error = load(inputs).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }
}

#[test]
fn a_named_file_must_be_readable_and_a_searched_one_may_be_missing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("first.toml"), "max_connections = 100").unwrap();
    fs::write(at("second.toml"), "max_connections = 200").unwrap();
    fs::write(at("latin1.toml"), b"# a\ndb = 'b\xfccher'").unwrap();
    fs::write(at("large.toml"), vec![b'\n'; MAX_FILE_BYTES as usize + 1]).unwrap();
    let by_variable = |name| vec![(FILE_VARIABLE.to_owned(), at(name).display().to_string())];

    // Neither root nor a user who has a system file: the file of the working directory is used as it is.
    const A_USER: u32 = 1000;
    let searched = Inputs {
        local_file: Some(at("missing.toml")),
        system_file: Some(at("second.toml")),
        user: A_USER,
        ..Inputs::default()
    };
    let found = load(searched.clone()).unwrap();
    assert_eq!(found.file, Some(at("second.toml")));
    assert_eq!(found.config.max_connections, 200);
    let searched = Inputs {
        local_file: Some(at("first.toml")),
        system_file: Some(at("missing.toml")),
        ..searched
    };
    let found = load(searched.clone()).unwrap();
    assert_eq!(found.file, Some(at("first.toml")));
    assert_eq!(found.config.max_connections, 100);
    assert!(found.notices.is_empty());
    let environment = by_variable("second.toml");
    let inputs = Inputs {
        environment,
        ..searched
    };
    assert_eq!(load(inputs.clone()).unwrap().config.max_connections, 200);
    let file = Some(at("first.toml"));
    assert_eq!(
        load(Inputs { file, ..inputs })
            .unwrap()
            .config
            .max_connections,
        100
    );
    assert_eq!(load(Inputs::default()).unwrap().file, None);

    let named = |name| {
        load(Inputs {
            file: Some(at(name)),
            ..Inputs::default()
        })
    };
    refused(
        named("missing.toml"),
        &["Can't read", "missing.toml", "--config names"],
    );
    refused(named("large.toml"), &["more than 262144 bytes"]);
    refused(named(""), &["Can't read", "directory"]);
    refused(
        named("latin1.toml"),
        &["latin1.toml, line 2: not valid UTF-8", "UTF-8."],
    );
    let environment = by_variable("missing.toml");
    refused(
        load(Inputs {
            environment,
            ..Inputs::default()
        }),
        &["missing.toml", "AUTHD_CONFIG names"],
    );
    refused(
        load(Inputs {
            system_file: Some(at("")),
            ..Inputs::default()
        }),
        &["Can't read", "--config"],
    );
}

#[test] // finding 17, CWE-426
fn a_file_that_another_user_can_write_is_not_used_by_root() {
    for (owner, mode, user, is_safe) in [
        (0, 0o100_644, 0, true),
        (0, 0o100_600, 0, true),
        (1000, 0o100_644, 0, false),
        (0, 0o100_664, 0, false),
        (0, 0o100_646, 0, false),
        (1000, 0o100_644, 1000, true),
        (0, 0o100_644, 1000, true),
        (1001, 0o100_644, 1000, false),
        (1000, 0o100_666, 1000, false),
    ] {
        let danger = why_unsafe(owner, mode, user);
        assert_eq!(danger.is_none(), is_safe, "{owner} {mode:o} {user}");
    }

    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("authd.toml"), "max_connections = 100").unwrap();
    fs::write(at("system.toml"), "max_connections = 200").unwrap();
    let open_to_all = |mode| {
        let permissions = Permissions::from_mode(mode);
        fs::set_permissions(at("authd.toml"), permissions).unwrap();
    };
    let owner = fs::metadata(at("authd.toml")).unwrap().uid();
    let as_user = |user, system: &str| {
        load(Inputs {
            local_file: Some(at("authd.toml")),
            system_file: Some(at(system)),
            user,
            ..Inputs::default()
        })
    };
    // A file of this user's own, which others may write: refused for root, left out where the system has one.
    open_to_all(0o666);
    refused(
        as_user(0, "missing.toml"),
        &["authd.toml is not used", "runs as root", "--config"],
    );
    for user in [0, owner] {
        let loaded = as_user(user, "system.toml").unwrap();
        assert_eq!(loaded.config.max_connections, 200);
        assert_eq!(loaded.file, Some(at("system.toml")));
        let notice = &loaded.notices[0];
        assert!(notice.contains("authd.toml is not used"), "{notice}");
        assert!(notice.contains("system.toml"), "{notice}");
    }
    // One that only its owner may write is used by the owner, and root is told.
    open_to_all(0o644);
    let loaded = as_user(owner, "system.toml").unwrap();
    assert_eq!(loaded.config.max_connections, 100);
    let is_told = loaded.notices.iter().any(|text| text.contains("Using"));
    assert_eq!(is_told, owner == 0);
    // Another user's.
    let loaded = as_user(owner + 1, "system.toml").unwrap();
    let expected = if owner == 0 { 100 } else { 200 };
    assert_eq!(loaded.config.max_connections, expected);
    // A file that is named is always read.
    open_to_all(0o666);
    let named = load(Inputs {
        file: Some(at("authd.toml")),
        ..Inputs::default()
    });
    assert_eq!(named.unwrap().config.max_connections, 100);
}

#[test]
fn password_ram_is_a_quarter_of_the_memory_within_bounds() {
    #[rustfmt::skip]
    let rows = [
        (None, "19MiB"),
        (Some(0), "19MiB"),
        (Some(48 * MIB), "19MiB"),
        (Some(100 * MIB), "25MiB"),
        (Some(103 * MIB), "25MiB"),
        (Some(256 * MIB), "64MiB"),
        (Some(u64::MAX), "64MiB"),
    ];
    for (memory, text) in rows {
        let loaded = load(Inputs {
            memory,
            ..Inputs::default()
        })
        .unwrap();
        assert_eq!(
            setting(&loaded, "password_ram").value_text,
            text,
            "{memory:?}"
        );
    }
}

#[test] // the smallest supported machine has 48 MiB
fn connections_fit_a_quarter_of_the_memory() {
    for (memory, text) in [
        (None, "32"),
        (Some(48 * MIB), "34"),
        (Some(128 * MIB), "93"),
        (Some(u64::MAX), "512"),
    ] {
        let loaded = load(Inputs {
            memory,
            ..Inputs::default()
        })
        .unwrap();
        assert_eq!(
            setting(&loaded, "max_connections").value_text,
            text,
            "{memory:?}"
        );
    }
}

#[test]
fn every_key_can_be_read_and_documented() {
    for key in KEYS {
        let loaded = from_flags(&[("allow_http", "true"), (key.name, key.example)]);
        assert!(
            loaded.is_ok(),
            "the example of {}: {}",
            key.name,
            loaded.unwrap_err()
        );
        let description = key.description();
        assert!(
            description.ends_with('.') && description.len() <= 100,
            "{}",
            key.name
        );
    }
}

#[test]
fn the_example_file_has_every_key_with_its_default() {
    let is_setting = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let settings: Vec<&str> = EXAMPLE_FILE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(is_setting)
        .collect();
    assert!(
        EXAMPLE_FILE
            .lines()
            .all(|line| line.is_empty() || line.starts_with('#'))
    );
    assert!(EXAMPLE_FILE.lines().all(|line| line.chars().count() <= 100));

    let keys: Vec<_> = settings
        .iter()
        .map(|line| line.split(" = ").next().unwrap())
        .collect();
    assert_eq!(keys, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    let loaded = from_file(&settings.join("\n")).unwrap();
    assert!(
        loaded
            .settings
            .iter()
            .all(|s| matches!(s.source, Source::File { .. }))
    );
    assert_eq!(loaded.config, from_file("").unwrap().config);
    assert_eq!(from_file(EXAMPLE_FILE).unwrap().config, loaded.config);
}

/// The error of a file, if any, must be fit to be shown.
fn judge(bytes: &[u8]) {
    let mut sources = Sources {
        unknown: Vec::new(),
        given: BTreeMap::new(),
        memory: None,
    };
    let outcome = sources.add_file(Path::new("authd.toml"), bytes);
    if let Err(error) = outcome.and_then(|()| sources.read_all().map(drop)) {
        let error = error.to_string();
        assert!((1..=3).contains(&error.lines().count()), "{error}");
        assert!(
            !error.contains(|c: char| c.is_control() && c != '\n'),
            "{error:?}"
        );
    }
}

proptest! {
    // A failing case is printed; nothing is left in the source tree.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_file_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        judge(&bytes);
    }

    #[test]
    fn any_value_of_any_key_is_read_or_refused(
        key in prop::sample::select(KEYS),
        value in r#"[\[{"']?[0-9a-z:/.,@\[\] =#\\\PC]{0,24}[\]}"']?"#,
    ) {
        judge(format!("{} = {value}", key.name).as_bytes());
        let flags = vec![(key.name, value)];
        let _ = load(Inputs { flags, ..Inputs::default() });
    }

    #[test]
    fn a_public_url_that_is_accepted_reads_as_itself(
        text in r"(https?://)?[a-zA-Z0-9.:\[\]@/_-]{0,16}",
    ) {
        if let Ok(url) = PublicUrl::parse(&text) {
            prop_assert_eq!(PublicUrl::parse(url.as_str()), Ok(url.clone()));
            prop_assert!(!url.as_str().ends_with('/') && !url.host().contains('@'));
        }
    }

    #[test]
    fn a_shown_duration_or_size_is_exact(count in 0..u64::MAX / 2) {
        let time = Duration::from_secs(count);
        prop_assert_eq!(humantime::parse_duration(&time.show()), Ok(time));
        prop_assert_eq!(ByteSize(count).show().parse(), Ok(ByteSize(count)));
    }
}
