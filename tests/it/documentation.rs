//! The documentation says what the program does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use authd::config::KEYS;
use authd::store::OpenError;

const README: &str = include_str!("../../README.md");
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// The README's table of settings, as it must be.
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
fn the_readme_lists_every_setting_with_its_default() {
    let table = settings_table();
    assert!(
        README.contains(&table),
        "README.md needs this table:\n\n{table}"
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
fn the_readme_lists_every_route() {
    for route in authd::http::routes() {
        let path = route.path;
        assert!(README.contains(&format!(" {path}`")), "{path}");
    }
}

#[test]
fn every_direct_dependency_is_accounted_for() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().expect("TOML");
    let mut wanted = BTreeMap::new();
    for section in ["dependencies", "dev-dependencies"] {
        for (name, spec) in manifest[section].as_table().expect("a table") {
            let version = spec
                .get("version")
                .unwrap_or(spec)
                .as_str()
                .expect("a version");
            wanted.insert(name.clone(), version.to_owned());
        }
    }
    let rows = ARCHITECTURE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((
            cells.next()?.strip_suffix('`')?.to_owned(),
            cells.next()?.to_owned(),
        ))
    });
    let found: BTreeMap<_, _> = rows.filter(|(name, _)| wanted.contains_key(name)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents =
        [root.to_owned(), root.join("docs/decisions")].map(|folder| markdown_in(&folder));
    for document in documents.concat() {
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

fn markdown_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}
