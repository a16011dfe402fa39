//! PostgreSQL understands the SQL of src/service too: each statement is prepared there against the tables of schema.sql.
//!
//! The statements are read from the sources: string literals, `concat!` and macros that stand for a string, outside of
//! `#[cfg(test)]`. PostgreSQL runs in single-user mode on a temporary directory: no server, no socket, and the process ends
//! with its input.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// A statement, and the file that it was found in.
#[derive(Debug, PartialEq, Eq)]
struct Statement {
    file: String,
    sql: String,
}

/// A `macro_rules!` of one arm: the names of its parameters, and what it expands to.
struct Macro {
    parameters: Vec<String>,
    body: Vec<TokenTree>,
}

/// One source file without its tests.
struct Source {
    file: String,
    tokens: Vec<TokenTree>,
    macros: HashMap<String, Macro>,
}

impl Source {
    fn new(file: String, text: &str) -> Source {
        let tokens: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let tokens = without_tests(tokens);
        let mut macros = HashMap::new();
        collect_macros(&tokens, &mut macros);
        Source {
            file,
            tokens,
            macros,
        }
    }
}

/// Reads `file` and the modules that it declares in files of their own.
fn read_module(root: &Path, file: &str, found: &mut Vec<Source>) {
    let text =
        fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let source = Source::new(file.to_owned(), &text);
    let directory = match file.strip_suffix("/mod.rs") {
        Some(directory) => directory,
        None => file.strip_suffix(".rs").expect("a Rust file"),
    };
    let declared = source.tokens.windows(3).filter_map(|tokens| match tokens {
        [
            TokenTree::Ident(word),
            TokenTree::Ident(name),
            TokenTree::Punct(end),
        ] if word == "mod" && end.as_char() == ';' => Some(name.to_string()),
        _ => None,
    });
    let declared: Vec<String> = declared.collect();
    found.push(source);
    for name in declared {
        let files = [
            format!("{directory}/{name}.rs"),
            format!("{directory}/{name}/mod.rs"),
        ];
        let file = files.iter().find(|file| root.join(file).exists());
        let file = file.unwrap_or_else(|| panic!("{files:?}: neither exists"));
        read_module(root, file, found);
    }
}

/// Leaves out each item that `#[cfg(test)]` stands before.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) if group.to_string().replace(' ', "") == "[cfg(test)]" => {
                // The `#` before it.
                kept.pop();
                // The item ends with its semicolon or its braces.
                tokens.find(|token| match token {
                    TokenTree::Punct(punct) => punct.as_char() == ';',
                    TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                    _ => false,
                });
            }
            TokenTree::Group(group) => {
                let inside = without_tests(group.stream()).into_iter().collect();
                kept.push(Group::new(group.delimiter(), inside).into());
            }
            token => kept.push(token),
        }
    }
    kept
}

fn collect_macros(tokens: &[TokenTree], found: &mut HashMap<String, Macro>) {
    for token in tokens {
        if let TokenTree::Group(group) = token {
            collect_macros(&inside(group), found);
        }
    }
    for tokens in tokens.windows(4) {
        if let [
            TokenTree::Ident(word),
            TokenTree::Punct(_),
            TokenTree::Ident(name),
            TokenTree::Group(arms),
        ] = tokens
            && word == "macro_rules"
            && let Some(read) = read_macro(arms)
        {
            found.insert(name.to_string(), read);
        }
    }
}

/// Reads `($a:literal, $b:literal) => { … }`; `None` for macros of another form, which stand for no string.
fn read_macro(arms: &Group) -> Option<Macro> {
    let tokens = inside(arms);
    let tokens = match &tokens[..] {
        [arm @ .., TokenTree::Punct(end)] if end.as_char() == ';' => arm,
        arm => arm,
    };
    let [
        TokenTree::Group(pattern),
        TokenTree::Punct(_),
        TokenTree::Punct(_),
        TokenTree::Group(body),
    ] = tokens
    else {
        return None;
    };
    let pattern = inside(pattern);
    let parameters = split_at_commas(&pattern).map(|parameter| match parameter {
        [
            TokenTree::Punct(_),
            TokenTree::Ident(name),
            TokenTree::Punct(_),
            TokenTree::Ident(_),
        ] => Some(name.to_string()),
        _ => None,
    });
    Some(Macro {
        parameters: parameters.collect::<Option<_>>()?,
        body: inside(body),
    })
}

fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

fn split_at_commas(tokens: &[TokenTree]) -> impl Iterator<Item = &[TokenTree]> {
    let parts = tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','));
    // Nothing at all, and what follows a comma at the end.
    parts.filter(|part| !part.is_empty())
}

/// A macro call at the start of `tokens`: its name and its arguments.
fn call(tokens: &[TokenTree]) -> Option<(String, &Group)> {
    match tokens {
        [
            TokenTree::Ident(name),
            TokenTree::Punct(mark),
            TokenTree::Group(arguments),
            ..,
        ] if mark.as_char() == '!' => Some((name.to_string(), arguments)),
        _ => None,
    }
}

struct Reader<'a> {
    sources: &'a [Source],
}

impl<'a> Reader<'a> {
    fn statements(&self) -> Vec<Statement> {
        let mut found = Vec::new();
        for source in self.sources {
            self.search(source, &source.tokens, &mut found);
        }
        found
    }

    fn search(&self, source: &'a Source, tokens: &[TokenTree], found: &mut Vec<Statement>) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let rest = &tokens[at..];
            at += 1;
            if call(rest).is_some() {
                if let Some(text) = self.string(source, &rest[..3]) {
                    at += 2;
                    note(source, text, found);
                    continue;
                }
                assert!(
                    !is_call_of_concat(rest) || !begins_as_statement(rest),
                    "{}: a statement of a form that this test cannot read: {}",
                    source.file,
                    rest[..3].iter().cloned().collect::<TokenStream>()
                );
            }
            if is_definition(rest) && self.is_string_macro(source, rest) {
                // It counts where it is used.
                at += 3;
                continue;
            }
            match token {
                TokenTree::Literal(_) => {
                    if let Some(text) = self.string(source, &rest[..1]) {
                        note(source, text, found);
                    }
                }
                TokenTree::Group(group) => self.search(source, &inside(group), found),
                _ => {}
            }
        }
    }

    /// Whether the `macro_rules!` at the start of `tokens` stands for a string.
    fn is_string_macro(&self, source: &'a Source, tokens: &[TokenTree]) -> bool {
        let Some(TokenTree::Ident(name)) = tokens.get(2) else {
            return false;
        };
        source.macros.get(&name.to_string()).is_some_and(|read| {
            let blank = vec![TokenTree::Literal(proc_macro2::Literal::string("")); 1];
            let arguments = vec![&blank[..]; read.parameters.len()];
            self.string(source, &expanded(read, &arguments)).is_some()
        })
    }

    /// The string that an expression stands for, if it is a literal, a `concat!` or a macro for one of them.
    fn string(&self, source: &'a Source, tokens: &[TokenTree]) -> Option<String> {
        match tokens {
            [TokenTree::Literal(literal)] => match syn::Lit::new(literal.clone()) {
                syn::Lit::Str(text) => Some(text.value()),
                syn::Lit::Int(number) => Some(number.base10_digits().to_owned()),
                _ => None,
            },
            [TokenTree::Group(group)] => self.string(source, &inside(group)),
            // A macro may be named by its path.
            [
                TokenTree::Ident(_),
                TokenTree::Punct(_),
                TokenTree::Punct(colon),
                rest @ ..,
            ] if colon.as_char() == ':' => self.string(source, rest),
            [_, _, _] => {
                let (name, arguments) = call(tokens)?;
                let arguments = inside(arguments);
                if name == "concat" {
                    return split_at_commas(&arguments)
                        .map(|part| self.string(source, part))
                        .collect();
                }
                let (read, defined_in) = self.definition(source, &name)?;
                let arguments: Vec<&[TokenTree]> = split_at_commas(&arguments).collect();
                if arguments.len() != read.parameters.len() {
                    return None;
                }
                // Arguments are literals, so that they mean the same in the defining file.
                self.string(defined_in, &expanded(read, &arguments))
            }
            _ => None,
        }
    }

    /// The macro of that name: the file's own, or the only one.
    fn definition(&self, source: &'a Source, name: &str) -> Option<(&'a Macro, &'a Source)> {
        if let Some(own) = source.macros.get(name) {
            return Some((own, source));
        }
        let mut others = self.sources.iter().filter_map(|other| {
            let read = other.macros.get(name)?;
            Some((read, other))
        });
        others.next().filter(|_| others.next().is_none())
    }
}

fn expanded(read: &Macro, arguments: &[&[TokenTree]]) -> Vec<TokenTree> {
    fn replace(
        body: impl IntoIterator<Item = TokenTree>,
        values: &HashMap<&str, &[TokenTree]>,
    ) -> Vec<TokenTree> {
        let mut out: Vec<TokenTree> = Vec::new();
        for token in body {
            let is_named =
                matches!(out.last(), Some(TokenTree::Punct(dollar)) if dollar.as_char() == '$');
            match token {
                TokenTree::Ident(name) if is_named => {
                    out.pop();
                    let value = values.get(name.to_string().as_str());
                    let value = value.copied().unwrap_or_default().iter().cloned().collect();
                    out.push(Group::new(Delimiter::None, value).into());
                }
                TokenTree::Group(group) => {
                    let inner = replace(group.stream(), values).into_iter().collect();
                    out.push(Group::new(group.delimiter(), inner).into());
                }
                token => out.push(token),
            }
        }
        out
    }
    let names = read.parameters.iter().map(String::as_str);
    let values = names.zip(arguments.iter().copied()).collect();
    replace(read.body.iter().cloned(), &values)
}

fn is_definition(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Ident(word), TokenTree::Punct(_), TokenTree::Ident(_), TokenTree::Group(_), ..]
        if word == "macro_rules")
}

fn is_call_of_concat(tokens: &[TokenTree]) -> bool {
    call(tokens).is_some_and(|(name, _)| name == "concat")
}

/// Whether the first literal in a macro call begins a statement.
fn begins_as_statement(tokens: &[TokenTree]) -> bool {
    let first = call(tokens).and_then(|(_, arguments)| arguments.stream().into_iter().next());
    match first {
        Some(TokenTree::Literal(literal)) => match syn::Lit::new(literal) {
            syn::Lit::Str(text) => is_statement(&text.value()),
            _ => false,
        },
        _ => false,
    }
}

fn is_statement(text: &str) -> bool {
    let first = text.split_whitespace().next();
    first.is_some_and(|word| ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&word))
}

fn note(source: &Source, text: String, found: &mut Vec<Statement>) {
    if is_statement(&text) {
        found.push(Statement {
            file: source.file.clone(),
            sql: text,
        });
    }
}

/// The statements in one file of src/service.
pub fn statements_of(file: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read_module(root, "src/service/mod.rs", &mut sources);
    let statements = Reader { sources: &sources }.statements();
    let of_file = statements.into_iter().filter(|found| found.file == file);
    of_file.map(|found| found.sql).collect()
}

/// The statements of schema.sql for PostgreSQL. Nothing is lost but STRICT, which PostgreSQL always is.
fn translated_schema(schema: &str) -> Vec<String> {
    let bare: Vec<&str> = schema
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect();
    let words: Vec<&str> = bare
        .iter()
        .flat_map(|line| line.split_whitespace())
        .collect();
    let translated = words
        .join(" ")
        .replace(" STRICT, WITHOUT ROWID", "")
        .replace(" STRICT", "")
        .replace("PRIMARY KEY AUTOINCREMENT", "PRIMARY KEY")
        .replace(
            "INTEGER PRIMARY KEY",
            "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
        )
        .replace(" INTEGER", " bigint")
        .replace(" BLOB", " bytea");
    let statements = translated.split_inclusive(';').map(str::trim);
    statements.map(str::to_owned).collect()
}

/// On one line, with `$1` for `?1`. What stands between quotes is left as it is.
fn translated_statement(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let pieces = words.join(" ");
    let pieces = pieces
        .split('\'')
        .enumerate()
        .map(|(at, piece)| match at % 2 {
            0 => piece.replace('?', "$"),
            _ => piece.to_owned(),
        });
    pieces.collect::<Vec<_>>().join("'")
}

/// A directory for one PostgreSQL, which is removed when this is dropped.
struct Postgres {
    programs: PathBuf,
    directory: tempfile::TempDir,
    /// User and group of the processes; PostgreSQL refuses to run as root.
    ids: (u32, u32),
}

impl Postgres {
    fn new() -> Postgres {
        let directory = tempfile::tempdir().expect("a directory");
        let meta = directory.path().metadata().expect("its owner");
        let mut ids = (meta.uid(), meta.gid());
        if ids.0 == 0 {
            ids = (id("-u"), id("-g"));
            chown(directory.path(), Some(ids.0), Some(ids.1)).expect("a directory of postgres");
        }
        let postgres = Postgres {
            programs: programs(),
            directory,
            ids,
        };
        let mut initdb = postgres.command("initdb");
        initdb.args(["--no-sync", "--auth=trust", "--username=authd"]);
        initdb.args(["--encoding=UTF8", "--locale=C", "--pgdata", "data"]);
        let made = initdb.output().expect("initdb starts");
        assert!(made.status.success(), "initdb: {made:?}");
        postgres
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.directory.path());
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin");
        if rustix::process::geteuid().is_root() {
            command.uid(self.ids.0).gid(self.ids.1);
        }
        command
    }

    /// Runs one statement for each line, and returns the messages about those that failed.
    fn run(&self, lines: &[String]) -> String {
        let mut command = self.command("postgres");
        command.args(["--single", "-D", "data", "-c", "log_error_verbosity=terse"]);
        command.args(["-c", "log_line_prefix=", "-c", "fsync=off", "postgres"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut input = child.stdin.take().expect("its input");
        let text = lines.join("\n");
        // Beside the reading of its messages, or the two could wait for each other.
        let writing = std::thread::spawn(move || writeln!(input, "{text}"));
        let output = child.wait_with_output().expect("its messages");
        writing.join().expect("no panic").expect("it reads");
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "postgres: {messages}");
        messages
    }

    /// What PostgreSQL says about each of `statements` that it cannot prepare, by its place in the list.
    fn refused(&self, schema: &str, statements: &[&str]) -> Vec<(usize, String)> {
        let made = self.run(&translated_schema(schema));
        assert!(!made.contains("ERROR:"), "schema.sql: {made}");
        let prepared = statements
            .iter()
            .enumerate()
            .map(|(at, sql)| format!("PREPARE statement_{at} AS {};", translated_statement(sql)));
        let messages = self.run(&prepared.collect::<Vec<_>>());
        let mut refused = Vec::new();
        let mut error = "";
        for line in messages.lines() {
            if line.starts_with("ERROR:") {
                error = line;
            } else if let Some((_, rest)) = line.split_once("PREPARE statement_") {
                let number = rest
                    .split(' ')
                    .next()
                    .and_then(|digits| digits.parse().ok());
                refused.push((number.expect("a number"), error.to_owned()));
            }
        }
        refused
    }
}

/// A number of the system user that Debian's package makes.
fn id(which: &str) -> u32 {
    let output = Command::new("id").args([which, "postgres"]).output();
    let output = output.expect("id starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let number = text.trim().parse();
    number.expect("there is a user postgres: `make test-tools` installs PostgreSQL")
}

/// Where `initdb` and `postgres` are. Debian keeps them out of PATH, in a directory for each version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = versions.flatten().map(|version| version.path().join("bin"));
    #[expect(clippy::disallowed_methods, reason = "PATH is not a setting")]
    let path = std::env::var("PATH").unwrap_or_default();
    let directories = debian.chain(std::env::split_paths(&path));
    let mut found = directories.filter(|dir| dir.join("initdb").exists());
    let found = found.find(|dir| dir.join("postgres").exists());
    found.expect("PostgreSQL is installed: `make test-tools` does it")
}

#[test] // so that another engine can stand behind the store one day
fn postgresql_prepares_every_statement() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    read_module(root, "src/service/mod.rs", &mut sources);
    let statements = Reader { sources: &sources }.statements();
    assert!(statements.len() > 100, "{} were found", statements.len());

    let mut all: Vec<&str> = statements.iter().map(|found| found.sql.as_str()).collect();
    // What only SQLite understands is noticed.
    let only_sqlite = [
        "SELECT group_concat(name, ' ') FROM user_group",
        "INSERT OR IGNORE INTO user_group (name, created_at) VALUES (?1, ?2)",
        "SELECT count(*) FROM user_group WHERE name = 1 AND created_at > ?1",
        "SELECT id FROM no_such_table",
    ];
    all.extend(only_sqlite);
    let refused = Postgres::new().refused(include_str!("../../schema.sql"), &all);
    let noticed = refused.iter().filter(|(at, _)| *at >= statements.len());
    assert_eq!(noticed.count(), only_sqlite.len(), "{refused:?}");

    let refused = refused.iter().filter(|(at, _)| *at < statements.len());
    let messages: Vec<String> = refused
        .map(|(at, error)| {
            let Statement { file, sql } = &statements[*at];
            format!("{file}: {sql}\n    {error}\n")
        })
        .collect();
    assert!(
        messages.is_empty(),
        "PostgreSQL cannot prepare {} of {} statements:\n{}",
        messages.len(),
        statements.len(),
        messages.concat()
    );
}

#[test]
fn statements_are_found_in_all_their_forms() {
    let account = r#"
        macro_rules! account_columns { () => { concat!(key_columns!(), ", a.email") } }
        macro_rules! key_columns { () => { "a.id, a.public_id" }; }
        macro_rules! select_account {
            ($rest:literal) => { concat!("SELECT ", account_columns!(), " FROM account a ", $rest) };
        }
        macro_rules! several { ($($one:literal),*) => { [$($one),*] } }
        pub(crate) use select_account;
        const GONE: [&str; 2] = several!("DELETE FROM account", "DELETE FROM client");
        fn find() { tx.rows(select_account!("WHERE a.id = ?1"), params![id]) }
        #[cfg(test)]
        fn only_here() { tx.run("UPDATE account SET id = 1") }
        fn prose() { say("SELECTED things", concat!("a", "b")) }
        #[cfg(test)]
        mod tests { const SQL: &str = "SELECT 1"; }
    "#;
    let session = r##"
        fn end() {
            tx.run(
                "UPDATE session SET ended_at = ?1 \
                 WHERE id = ?2",
                params![r#"SELECT raw"#],
            );
            tx.row(concat!("SELECT ", crate::service::account::key_columns!(), " FROM account a LIMIT ", 5));
        }
    "##;
    let sources = [
        Source::new("account.rs".into(), account),
        Source::new("session.rs".into(), session),
    ];
    let found = Reader { sources: &sources }.statements();
    let found: Vec<(&str, &str)> = found
        .iter()
        .map(|found| (found.file.as_str(), found.sql.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            ("account.rs", "DELETE FROM account"),
            ("account.rs", "DELETE FROM client"),
            (
                "account.rs",
                "SELECT a.id, a.public_id, a.email FROM account a WHERE a.id = ?1"
            ),
            (
                "session.rs",
                "UPDATE session SET ended_at = ?1 WHERE id = ?2"
            ),
            ("session.rs", "SELECT raw"),
            (
                "session.rs",
                "SELECT a.id, a.public_id FROM account a LIMIT 5"
            ),
        ]
    );
}

#[test]
#[should_panic(expected = "cannot read")]
fn a_statement_of_an_unknown_form_is_not_passed_over() {
    let text = r#"fn f() { tx.run(concat!("SELECT ", unknown!(), " FROM account")) }"#;
    let sources = [Source::new("account.rs".into(), text)];
    Reader { sources: &sources }.statements();
}

#[test]
fn a_statement_is_translated_outside_of_its_quotes() {
    assert_eq!(
        translated_statement("SELECT ?1, '?2'  FROM t\n WHERE a = ?12"),
        "SELECT $1, '?2' FROM t WHERE a = $12"
    );
}
