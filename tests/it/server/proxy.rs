//! `authd doctor --url` behind a real nginx: one that is set up as it should be, and the ways in which it is not.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::doctor::look;
use crate::wire::{AUTHD, Home, Ran, Server};

/// What every one of them has, and the first tells as it should be told.
const RIGHT: &str =
    "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;";

/// nginx in front of an authd. It ends with the value.
struct Proxy {
    child: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Not killed, or its worker would live on. Both fail only where it has ended already.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A port that is bound and that nginx will listen on: nothing else can take it in between.
struct Port {
    listener: TcpListener,
    number: u16,
}

impl Port {
    fn new() -> Port {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let number = listener.local_addr().expect("an address").port();
        Port { listener, number }
    }

    /// Starts nginx on it. Its connections wait in the queue of the socket until it is there.
    fn nginx(self, home: &Home, listen: &str, location: &str) -> Proxy {
        let place = home.path("");
        let place = place.to_str().expect("a path");
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {place}{kind}; "))
            .collect();
        let settings = format!(
            "daemon off; worker_processes 1; pid {place}nginx.pid; error_log {place}nginx.log error;\n\
             events {{ }}\n\
             http {{ access_log off; {temporary}\n\
             server {{ listen 127.0.0.1:{} {listen}; location / {{ {location} }} }} }}\n",
            self.number
        );
        let file = home.path("nginx.conf");
        fs::write(&file, settings).expect("settings");
        let mut command = home.command("nginx", &["-e", "nginx.log", "-p", place, "-c"]);
        command
            .arg(file)
            // nginx takes over the sockets of these numbers, as it does when it replaces itself.
            .env("NGINX", "0;")
            .stdin(Stdio::from(OwnedFd::from(self.listener)));
        Proxy {
            child: command.spawn().expect("nginx"),
        }
    }
}

/// A server with these settings at its public URL, and nginx before it.
fn behind(
    scheme: &str,
    settings: &str,
    listen: &str,
    location: &str,
) -> (Home, Server, Proxy, String) {
    let port = Port::new();
    let url = format!("{scheme}://localhost:{}", port.number);
    let home = Home::with(&format!("public_url = \"{url}\"\n{settings}"));
    if scheme == "https" {
        make_certificate(&home, "CA:FALSE");
    }
    let server = home.serve();
    let location = format!("proxy_pass http://{}; {location}", server.address);
    let listen = listen.replace("HOME", home.path("").to_str().expect("a path"));
    let proxy = port.nginx(&home, &listen, &location);
    (home, server, proxy, url)
}

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\"]";

/// Asks through `url`, and trusts the certificate of the home, if it has one.
fn doctor(home: &Home, url: &str) -> Ran {
    let mut command = home.command(AUTHD, &["doctor", "--json", "--url", url]);
    let certificate = home.path("certificate.pem");
    if certificate.exists() {
        command.env("SSL_CERT_FILE", certificate);
    }
    Ran::of(command, "")
}

#[track_caller]
fn says(home: &Home, url: &str, check: &str, state: &str, words: &[&str]) {
    let (found, told) = look(doctor(home, url), check);
    let has_all = words.iter().all(|word| told.contains(word));
    assert!(found == state && has_all, "{found}: {told}");
}

#[test] // req 62
fn all_is_well_behind_a_proxy_that_tells_the_truth() {
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", RIGHT);
    let ran = doctor(&home, &url).done();
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(
        (&told["problems"], &told["warnings"]),
        (&0.into(), &0.into()),
        "{told}"
    );
    says(&home, &url, "spoofing", "ok", &["does not arrive"]);
    says(
        &home,
        &url,
        "client address",
        "ok",
        &["127.0.0.1, as the proxy"],
    );
    says(&home, &url, "cookies", "ok", &["HttpOnly"]);
    says(&home, &url, "long head", "ok", &["refused with 4"]);
}

#[test] // req 62, CVE-2024-21500
fn a_proxy_that_passes_on_what_clients_say_of_themselves_is_found_out() {
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", "");
    let lines = [
        "all clients seem to have the proxy's address",
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "reverse_proxy 127.0.0.1:",
        "forwardedHeaders",
    ];
    says(&home, &url, "client address", "problem", &lines);
    // The same settings solve all three problems, and are printed once.
    let same = "Do what \"client address\" says";
    says(
        &home,
        &url,
        "spoofing",
        "problem",
        &["choose its address", same],
    );
    says(&home, &url, "host", "warning", &["arrives instead", same]);
}

#[test] // finding 25: a host that is not the public URL's is refused
fn a_proxy_that_sends_another_host_is_told_what_comes_of_it() {
    let other = "proxy_set_header Host authd_backend;";
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", other);
    let words = ["authd_backend arrives instead", "421"];
    says(&home, &url, "host", "problem", &words);
}

#[test] // fault 54: the line that docs/proxy.md gives to fail2ban
fn a_failed_sign_in_is_a_line_in_its_documented_form() {
    const PAGE: &str = include_str!("../../../docs/proxy.md");
    let home = Home::with(&format!("public_url = \"http://localhost\"\n{TRUSTED}"));
    let server = home.serve();
    server.set_up("ann@example.org");
    let mut client = server.client();
    let (address, documented) = (
        "203.0.113.66",
        "sign-in failed address=203.0.113.66 reason=",
    );
    assert!(PAGE.contains(documented));
    assert!(PAGE.contains("failregex = sign-in failed address=<ADDR> reason="));
    for (login, reason) in [
        ("nobody@example.org", "unknown login"),
        ("ann@example.org", "wrong password"),
    ] {
        let body = json!({ "login": login, "password": "not the password" });
        let forwarded = [("X-Forwarded-For", address)];
        client
            .request("POST", "/v1/sessions", &forwarded, Some(&body))
            .refused(401, "invalid_credentials");
        server.says(&format!("{documented}\"{reason}\""));
        assert!(PAGE.contains(&format!("`{reason}`")));
    }
}

#[test] // req 62
fn a_proxy_that_adds_the_true_address_is_believed_from_the_right() {
    let adds = "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", adds);
    says(&home, &url, "spoofing", "ok", &["the proxy adds 127.0.0.1"]);
    says(&home, &url, "client address", "ok", &[]);
}

#[test] // req 62
fn a_proxy_that_is_not_trusted_is_told_with_the_line_that_trusts_it() {
    let (home, _server, _proxy, url) = behind("http", "", "", RIGHT);
    let line = "trusted_proxies = [\"127.0.0.1\"]";
    says(&home, &url, "client address", "problem", &[line]);
}

#[test] // req 37
fn over_tls_the_cookie_arrives_as_it_was_set() {
    let tls = "ssl; ssl_certificate HOMEcertificate.pem; ssl_certificate_key HOMEkey.pem";
    let (home, _server, _proxy, url) = behind("https", TRUSTED, tls, RIGHT);
    says(&home, &url, "cookies", "ok", &["Secure"]);
    says(&home, &url, "way in", "ok", &["leads to this server"]);
    // An authority that the system does not know.
    fs::remove_file(home.path("certificate.pem")).expect("a certificate");
    says(
        &home,
        &url,
        "way in",
        "problem",
        &["can't be reached", "SSL_CERT_FILE"],
    );
}

#[test] // fault 17: openssl req -x509 marks its certificate so
fn a_trusted_certificate_that_is_marked_as_an_authority_is_accepted() {
    let port = Port::new();
    let url = format!("https://localhost:{}", port.number);
    let home = Home::with(&format!("public_url = \"{url}\"\n{TRUSTED}"));
    make_certificate(&home, "critical,CA:TRUE");
    let place = home.path("");
    let place = place.to_str().expect("a path");
    let tls =
        format!("ssl; ssl_certificate {place}certificate.pem; ssl_certificate_key {place}key.pem");
    let server = home.serve();
    let location = format!("proxy_pass http://{}; {RIGHT}", server.address);
    let _proxy = port.nginx(&home, &tls, &location);
    says(&home, &url, "way in", "ok", &["leads to this server"]);
    says(&home, &url, "cookies", "ok", &["Secure"]);

    // It counts for its own name only.
    let other_name = url.replace("localhost", "127.0.0.1");
    let words = ["can't be reached", "subjectAltName"];
    says(&home, &other_name, "way in", "problem", &words);
    // Another certificate of this kind is trusted, and not the one that nginx has loaded.
    make_certificate(&home, "critical,CA:TRUE");
    let words = ["can't be reached", "SSL_CERT_FILE"];
    says(&home, &url, "way in", "problem", &words);
}

#[test]
fn a_server_with_settings_of_its_own_is_judged_by_them() {
    let tls = "ssl; ssl_certificate HOMEcertificate.pem; ssl_certificate_key HOMEkey.pem";
    let (home, _server, _proxy, url) = behind("https", TRUSTED, tls, RIGHT);
    // As where they stand in the environment of the server, and not in that of whoever looks.
    home.set("");
    let differs = [
        &format!("the server has public_url = \"{url}\""),
        "to authd.toml",
    ];
    says(&home, &url, "settings", "warning", &differs);
    says(
        &home,
        &url,
        "public URL",
        "ok",
        &["127.0.0.1/32 is trusted"],
    );
    says(&home, &url, "way in", "ok", &["leads to this server"]);
    says(&home, &url, "cookies", "ok", &["Secure"]);
    says(&home, &url, "client address", "ok", &[]);
}

#[test]
fn a_proxy_that_changes_cookies_is_found_out() {
    let changes = format!("{RIGHT} proxy_cookie_path / /auth;");
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", &changes);
    says(
        &home,
        &url,
        "cookies",
        "problem",
        &["Path=/auth", "proxy_cookie_path"],
    );
    let drops = format!("{RIGHT} proxy_set_header Cookie \"\";");
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", &drops);
    says(
        &home,
        &url,
        "cookies",
        "problem",
        &["does not arrive at the server"],
    );
}

#[test]
fn a_way_that_leads_elsewhere_is_told() {
    let elsewhere = |location: &str| {
        let port = Port::new();
        let url = format!("http://localhost:{}", port.number);
        let home = Home::with(&format!("public_url = \"{url}\""));
        home.serve().stop();
        let proxy = port.nginx(&home, "", location);
        (home, proxy, url)
    };
    for (location, words) in [
        ("return 404;", "another program answers"),
        ("return 404;", "does not remove the Authorization header"),
        (
            "add_header WWW-Authenticate 'Basic realm=\"all\"' always; return 401;",
            "Turn that off for this host",
        ),
        (
            "return 301 https://elsewhere.example/;",
            "redirects to https://elsewhere.example/",
        ),
        ("return 200 'welcome';", "is not from authd"),
        ("return 502;", "does not reach authd"),
    ] {
        let (home, _proxy, url) = elsewhere(location);
        says(&home, &url, "way in", "problem", &[words]);
    }
    // A server, and a file that is not its own.
    let (home, _server, _proxy, url) = behind("http", TRUSTED, "", RIGHT);
    let other = Home::with(&format!("public_url = \"{url}\"\n{TRUSTED}"));
    other.serve().stop();
    says(&other, &url, "way in", "problem", &["another database"]);
    // Another name than the one that tokens have.
    let other_name = url.replace("localhost", "127.0.0.1");
    says(
        &home,
        &other_name,
        "way in",
        "warning",
        &["links and tokens contain"],
    );
    // Nobody at all; and no file to make a pass of.
    let nobody = Port::new();
    let url = format!("http://localhost:{}", nobody.number);
    drop(nobody);
    says(&home, &url, "way in", "problem", &["can't be reached"]);
    let empty = Home::with(&format!("public_url = \"{url}\""));
    says(
        &empty,
        &url,
        "way in",
        "problem",
        &["where the server's database is"],
    );
}

/// A self-signed certificate for localhost with these basic constraints.
fn make_certificate(home: &Home, constraints: &str) {
    let request = "[req]\ndistinguished_name = name\nx509_extensions = ext\nprompt = no\n\
                   [name]\nCN = localhost\n[ext]\nsubjectAltName = DNS:localhost\nbasicConstraints = ";
    fs::write(
        home.path("request.cnf"),
        format!("{request}{constraints}\n"),
    )
    .expect("a file");
    let mut openssl: Command = home.command(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ],
    );
    openssl.args([
        "-config",
        "request.cnf",
        "-keyout",
        "key.pem",
        "-out",
        "certificate.pem",
    ]);
    Ran::of(openssl, "").done();
}
