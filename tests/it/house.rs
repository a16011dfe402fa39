//! The rules of ARCHITECTURE.md about the sources. These tests read src/ and fail if a rule is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file without its tests and comments, and its path.
pub struct Source {
    pub path: String,
    code: String,
}

impl Source {
    pub fn new(path: &str, code: &str) -> Source {
        Source {
            path: path.to_owned(),
            code: code.to_owned(),
        }
    }

    pub fn code(&self) -> &str {
        &self.code
    }

    /// The top-level module that it belongs to: `service`, `clock`.
    fn module(&self) -> &str {
        let path = self.path.trim_start_matches("src/");
        path.split(['/', '.']).next().expect("a name")
    }

    /// The other top-level modules that it names.
    fn modules_used(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let uses = self.code.match_indices("crate::");
        for (at, _) in uses {
            let rest = &self.code[at + "crate::".len()..];
            let names: Vec<&str> = match rest.strip_prefix('{') {
                None => vec![rest],
                Some(list) => list
                    .split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .collect(),
            };
            for name in names {
                let name = name.trim();
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                used.insert(name[..end.unwrap_or(name.len())].to_owned());
            }
        }
        used.remove(self.module());
        used.remove("");
        used
    }

    /// Whether a path in it begins with `word`.
    fn names(&self, word: &str) -> bool {
        self.code.match_indices(word).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            let inside = before.is_some_and(|c| c.is_alphanumeric() || "_:\"".contains(c));
            let after = self.code[at + word.len()..].starts_with("::");
            !inside && after
        })
    }
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All files of src without test modules.
pub fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    let mut sources = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a source");
        let path = path.strip_prefix(root()).expect("inside");
        let path = path.to_string_lossy().replace('\\', "/");
        if is_only_for_tests(&path, &sources_that_declare(&path)) {
            continue;
        }
        let mut code = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.trim() == "#[cfg(test)]" {
                skip_item(&mut lines, line.len() - line.trim_start().len());
                continue;
            }
            let line = line.split("//").next().unwrap_or_default();
            code.push_str(line);
            code.push('\n');
        }
        sources.push(Source { path, code });
    }
    assert!(sources.len() > 30, "the sources were found");
    sources
}

/// Skips the item after `#[cfg(test)]`. It ends with a brace or semicolon at the same indentation.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, depth: usize) {
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        if indent == depth && (line.ends_with(';') || line.trim_end() == "}") {
            return;
        }
    }
}

/// The text of the files that may declare `path` as a module.
fn sources_that_declare(path: &str) -> String {
    let path = Path::new(path);
    let Some(dir) = path.parent() else {
        return String::new();
    };
    let candidates = [
        dir.with_extension("rs"),
        dir.join("mod.rs"),
        dir.join("lib.rs"),
    ];
    let texts = candidates
        .iter()
        .map(|candidate| fs::read_to_string(root().join(candidate)).unwrap_or_default());
    texts.collect()
}

fn is_only_for_tests(path: &str, declaring: &str) -> bool {
    let stem = Path::new(path)
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let declared = format!("mod {stem};");
    let mut pairs = declaring.lines().zip(declaring.lines().skip(1));
    pairs.any(|(above, line)| above == "#[cfg(test)]" && line.ends_with(&declared))
}

const LEAVES: [&str; 10] = [
    "clock", "entropy", "ids", "secret", "password", "mail", "network", "outgoing", "policy",
    "trust",
];

#[test] // imports go downward only
fn modules_import_from_below_only() {
    let may_use = |module: &str| -> Vec<&str> {
        let leaves = LEAVES.to_vec();
        match module {
            "main" | "lib" => vec!["cli"],
            "cli" => [leaves, vec!["http", "service", "config", "store"]].concat(),
            "http" => [leaves, vec!["service"]].concat(),
            "config" => leaves,
            "service" => [leaves, vec!["store"]].concat(),
            "store" => leaves,
            leaf if LEAVES.contains(&leaf) => leaves,
            other => panic!("a new module: {other}"),
        }
    };
    for source in sources() {
        let allowed = may_use(source.module());
        for used in source.modules_used() {
            assert!(
                allowed.contains(&used.as_str()) || source.module() == "main",
                "{} uses {used}",
                source.path
            );
        }
    }
}

#[test] // what could be replaced is in one place
fn each_dependency_is_named_in_one_place() {
    let places: [(&[&str], &str); 12] = [
        (&["rusqlite", "r2d2", "r2d2_sqlite"], "src/store/sqlite/"),
        (&["hyper", "socket2"], "src/http/server/"),
        (
            &["serde_html_form", "serde_path_to_error"],
            "src/http/input.rs",
        ),
        (&["argon2"], "src/password/"),
        (&["aws_lc_rs"], "src/service/token/signing_key.rs"),
        (&["rand"], "src/entropy.rs"),
        (&["blake3"], "src/secret.rs"),
        (&["lettre"], "src/mail/"),
        (&["rustls_native_certs"], "src/trust.rs"),
        (&["ureq"], "src/cli/doctor/client.rs src/outgoing/"),
        (
            &["rustls"],
            "src/cli/doctor/client.rs src/outgoing/ src/mail/ src/trust.rs",
        ),
        (&["clap", "rpassword", "signal_hook"], "src/cli/"),
    ];
    for source in sources() {
        for (words, allowed) in places {
            let inside = allowed
                .split(' ')
                .any(|place| source.path.starts_with(place));
            for word in words.iter().filter(|_| !inside) {
                assert!(!source.names(word), "{} names {word}", source.path);
            }
        }
    }
}

#[test]
fn service_names_no_http_and_http_and_cli_no_sql() {
    for source in sources() {
        let code = &source.code;
        match source.module() {
            "service" => {
                for word in ["http::", "StatusCode", "Response::", "content-type"] {
                    assert!(!code.contains(word), "{} says {word}", source.path);
                }
            }
            "http" | "cli" => {
                for word in ["SELECT ", "INSERT INTO", "DELETE FROM", "tx."] {
                    assert!(!code.contains(word), "{} says {word}", source.path);
                }
            }
            _ => {}
        }
    }
}

/// Most source files in one folder, lines of one file without its tests, and lines of one function.
const MAX_FILES: usize = 14;
const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 80;

/// The functions of a formatted source: the number of the first line, counted from 1, that line, and how many lines there
/// are.
fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words = line.trim_start().split(' ');
        let mut words = words.skip_while(|word| {
            let is_visibility = word.starts_with("pub") || word.ends_with(')');
            is_visibility || matches!(*word, "const" | "async" | "unsafe")
        });
        if words.next() != Some("fn") {
            continue;
        }
        let ends = |other: &&str| {
            let closes = other.trim_start().starts_with('}') || other.ends_with(';');
            indent(other) == indent(line) && !other.is_empty() && (closes || other.ends_with('}'))
        };
        let rest = lines[at..].iter().position(ends);
        found.push((at + 1, *line, rest.expect("its end") + 1));
    }
    found
}

#[test]
fn no_folder_has_too_many_files() {
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources() {
        let folder = source.path.rsplit_once('/').expect("a folder").0;
        *folders.entry(folder.to_owned()).or_default() += 1;
    }
    folders.retain(|_, files| *files > MAX_FILES);
    assert!(folders.is_empty(), "{folders:?}");
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut seen = 0;
    let mut too_long = Vec::new();
    for source in sources() {
        let lines = source.code.lines().count();
        let path = &source.path;
        if lines > MAX_FILE_LINES {
            too_long.push(format!("{path} has {lines} lines"));
        }
        for (at, function, lines) in functions(&source.code) {
            if lines > MAX_FUNCTION_LINES {
                too_long.push(format!(
                    "{path}:{at}: {} has {lines} lines",
                    function.trim()
                ));
            }
            seen += 1;
        }
    }
    assert!(seen > 500, "the functions were found");
    assert!(too_long.is_empty(), "{}", too_long.join("\n"));
}

/// The paths in the first column of ARCHITECTURE.md's map. `src/{clock,entropy}.rs` stands for several.
fn paths_of_the_map() -> BTreeSet<String> {
    let page = include_str!("../../ARCHITECTURE.md");
    let (_, map) = page.split_once("## Code map").expect("a map");
    let (map, _) = map.split_once("\n## ").expect("its end");
    let rows = map
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let mut paths = BTreeSet::new();
    for path in rows.flat_map(|cell| cell.split('`')) {
        match path.split_once('{').zip(path.split_once('}')) {
            Some(((before, names), (_, after))) => {
                let (names, _) = names.split_once('}').expect("a brace");
                let names = names.split(',');
                paths.extend(names.map(|name| format!("{before}{name}{after}")));
            }
            None => {
                paths.insert(path.to_owned());
            }
        }
    }
    paths.retain(|path| path.contains(['/', '.']));
    paths
}

#[test]
fn the_map_shows_the_tree() {
    let map = paths_of_the_map();
    assert!(map.len() > 25, "the map was found: {map:?}");
    for path in &map {
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}");
    }
    for source in sources() {
        // A file is on the map itself, or its folder is. What belongs to one file is in a folder of that file's name.
        let (folder, _) = source.path.rsplit_once('/').expect("a folder");
        let belongs_to_a_file = root().join(folder).with_extension("rs").exists();
        let is_shown = match folder {
            "src" => map.contains(&source.path),
            folder => map.contains(&format!("{folder}/")),
        };
        let path = &source.path;
        assert!(
            is_shown || belongs_to_a_file,
            "ARCHITECTURE.md needs a row for {path}"
        );
    }
}

#[test]
fn the_length_of_a_function_is_read_from_its_indentation() {
    let code = "
pub(in crate::http) fn a(
    b: u8,
) -> u8 {
    match b {
        0 => {}
    }
}
trait C {
    fn d(&self);
    const fn e() {}
    async fn f()
    where
        Self: Sized,
    {
        g();
    }
}
";
    let found = functions(code);
    let found: Vec<_> = found.iter().map(|(at, _, lines)| (*at, *lines)).collect();
    assert_eq!(found, [(2, 7), (10, 1), (11, 1), (12, 6)]);
}

#[test] // no input and no state of the system may cause a panic
fn nothing_is_unwrapped() {
    for source in sources() {
        for word in [".unwrap()", "todo!(", "unimplemented!(", "dbg!("] {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
    }
}

#[test] // queries name their columns and are never built from input
fn sql_is_written_out() {
    for source in sources() {
        for word in [
            "SELECT *",
            "format!(\"SELECT",
            "format!(\"UPDATE",
            "format!(\"INSERT",
            "format!(\"DELETE",
        ] {
            assert!(!source.code.contains(word), "{} has {word}", source.path);
        }
        if source.module() == "service" {
            for word in [
                "strftime(",
                "unixepoch(",
                "json_",
                "rowid",
                "INSERT OR ",
                "randomblob(",
            ] {
                assert!(!source.code.contains(word), "{} has {word}", source.path);
            }
        }
    }
}

#[test] // SQLite checks the types of a STRICT table
fn every_table_is_strict() {
    let schema = include_str!("../../schema.sql");
    let code: Vec<&str> = schema
        .lines()
        .filter_map(|line| line.split("--").next())
        .collect();
    let code = code.join("\n");
    let tables: Vec<&str> = code
        .split(';')
        .filter(|statement| statement.contains("CREATE TABLE"))
        .collect();
    assert!(tables.len() >= 10);
    for table in tables {
        let end = table.rsplit(')').next().unwrap_or_default();
        assert!(end.contains("STRICT"), "{table}");
    }
    // I9: the file contains no token.
    assert!(!code.contains(" token "), "a column for a token");
}
