//! The documentation says what the program does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use authd::config::KEYS;
use authd::store::OpenError;

use crate::wire::{AUTHD, Ran};

const API: &str = include_str!("../../docs/api.md");
const ADMINISTRATION: &str = include_str!("../../docs/administration.md");
const CLI: &str = include_str!("../../docs/cli.md");
const SETTINGS: &str = include_str!("../../docs/settings.md");
const SECURITY: &str = include_str!("../../SECURITY.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The table of settings, as it must be.
fn settings_table() -> String {
    let mut table = "| key | default | what it sets |\n|---|---|---|\n".to_owned();
    for key in KEYS {
        let default = match key.default() {
            "" => "none".to_owned(),
            words if key.default_is_derived() => words.to_owned(),
            text => format!("`{text}`"),
        };
        table += &format!("| `{}` | {default} | {} |\n", key.name(), key.description());
    }
    table
}

#[test]
fn the_settings_page_lists_every_setting_with_its_default() {
    let table = settings_table();
    assert!(
        SETTINGS.contains(&table),
        "docs/settings.md needs this table:\n\n{table}"
    );
}

#[test]
fn a_refused_file_system_names_the_setting_that_accepts_it() {
    let refusal = OpenError::NetworkFilesystem {
        directory: "/mnt".into(),
        kind: "NFS",
    };
    let refusal = refusal.to_string();
    let named = |name: &&str| refusal.contains(&format!("set {name} = true"));
    let settings = KEYS.iter().map(|key| key.name());
    assert_eq!(settings.filter(named).count(), 1, "{refusal}");
    assert!(!refusal.contains("--"), "there is no such flag: {refusal}");
}

#[test]
fn the_api_page_lists_every_route() {
    for route in authd::http::routes() {
        let call = format!("`{} {}`", route.method.as_str(), route.path);
        assert!(API.contains(&call), "docs/api.md needs {call}");
    }
}

#[test]
fn the_api_page_lists_every_error_code() {
    let codes = codes_of_the_interface();
    assert!(codes.len() > 25, "the codes were found: {codes:?}");
    for code in &codes {
        let row = format!("| `{code}` |");
        assert!(API.contains(&row), "docs/api.md needs a row {row}");
    }
    let rows = API.lines().filter_map(|line| {
        let (code, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let status = rest.split(' ').next()?.parse::<u16>();
        (status.is_ok() && is_code(code)).then_some(code)
    });
    for code in rows {
        let known = codes.contains(code);
        assert!(known, "docs/api.md has {code}, which no answer has");
    }
}

/// Every error code, as the OpenAPI document lists them from the types.
fn codes_of_the_interface() -> BTreeSet<String> {
    let t = crate::harness::Harness::new();
    let asked = t.ask(authd::http::Method::GET, "/openapi.json").send();
    let document = asked.gives(200);
    let code = &document["components"]["schemas"]["Problem"]["properties"]["code"];
    let codes = code["enum"].as_array().expect("codes").iter();
    codes
        .map(|code| code.as_str().expect("a name").to_owned())
        .collect()
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[test]
fn the_page_of_the_administration_lists_every_kind_of_event() {
    let source = include_str!("../../src/service/event/kind.rs");
    let (_, names) = source.split_once("kinds! {\n").expect("the names");
    let names: Vec<&str> = names.split('"').skip(1).step_by(2).collect();
    assert!(names.len() > 30, "the kinds were found: {names:?}");
    let pages = include_str!("../../src/http/pages/view/activity.rs");
    for name in names {
        assert!(
            pages.contains(&format!("\"{name}\" => ")),
            "the pages need words for {name}"
        );
        let row = format!("| `{name}` |");
        assert!(
            ADMINISTRATION.contains(&row),
            "docs/administration.md needs a row {row}"
        );
    }
}

#[test]
fn the_page_of_the_command_line_mentions_every_command() {
    let mut commands = Vec::new();
    collect_commands(&mut Vec::new(), &mut commands);
    assert!(commands.len() > 25, "the commands were found: {commands:?}");
    for command in commands {
        let mentioned = CLI.contains(&format!("| `authd {command}` | `"));
        assert!(
            mentioned,
            "docs/cli.md needs a row with an example for `authd {command}`"
        );
    }
}

/// All commands without commands of their own, from the help texts of the binary.
fn collect_commands(path: &mut Vec<String>, found: &mut Vec<String>) {
    let mut help = Command::new(AUTHD);
    help.args(path.iter()).arg("--help");
    let help = Ran::of(help, "").done().stdout;
    let Some((_, list)) = help.split_once("\nCommands:\n") else {
        found.push(path.join(" "));
        return;
    };
    for line in list.lines().take_while(|line| !line.is_empty()) {
        // A name stands after two spaces; further lines of its text have more.
        let name = line.strip_prefix("  ").expect("an indented line");
        let name = name.split(' ').next().expect("a part");
        if !name.is_empty() && name != "help" {
            path.push(name.to_owned());
            collect_commands(path, found);
            path.pop();
        }
    }
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let (promises, _) = SECURITY.split_once("## Known limits").expect("two parts");
    let mut count = 0;
    for reference in promises.split('`').filter(|text| text.contains(".rs::")) {
        let (file, test) = reference.split_once("::").expect("a file and a test");
        let source = fs::read_to_string(root().join(file));
        let source = source.unwrap_or_else(|error| panic!("SECURITY.md: {file}: {error}"));
        assert!(
            source.contains(&format!("fn {test}(")),
            "SECURITY.md: there is no test {reference}"
        );
        count += 1;
    }
    let stated = promises.lines().filter(|line| line.starts_with("- "));
    assert!(count >= stated.count(), "a promise names no test");
}

#[test]
fn every_dependency_says_what_it_saves_us() {
    let (mut section, mut before, mut count) = ("", "", 0);
    for line in include_str!("../../Cargo.toml").lines() {
        if line.starts_with('[') {
            section = line;
        } else if matches!(section, "[dependencies]" | "[dev-dependencies]") && line.contains(" = ")
        {
            let comment = before
                .strip_prefix("# ")
                .or(line.split_once(" # ").map(|(_, c)| c));
            let comment = comment.unwrap_or_default();
            assert!(comment.len() > 5, "Cargo.toml: a comment for {line}");
            count += 1;
        }
        before = line;
    }
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().expect("TOML");
    let declared = |name: &str| manifest[name].as_table().expect("a table").len();
    assert_eq!(
        count,
        declared("dependencies") + declared("dev-dependencies")
    );
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let documents: Vec<PathBuf> = fs::read_dir(root())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .chain(files_in(&root().join("docs"), "md"))
        .collect();
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document");
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            let file = link.split('#').next().unwrap_or(link);
            let target = document.parent().expect("a folder").join(file);
            assert!(target.exists(), "{} points at {link}", document.display());
        }
    }
}

/// All files below a folder whose names end in this way.
fn files_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_in(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}
