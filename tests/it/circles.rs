//! No two files of src/ import each other, directly or through other files.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::{Source, sources};

/// The path of a module: `["service", "token"]`; the crate's root is empty.
type Module = Vec<String>;

/// The module of a file: `src/service/token/mod.rs` is `service::token`.
fn module_of(path: &str) -> Module {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut names: Module = path.split('/').map(str::to_owned).collect();
    names.pop_if(|name| ["mod", "lib", "main"].contains(&name.as_str()));
    names
}

/// The paths that a tree of imports names: `a::{b, c::d}` names `a::b` and `a::c::d`. The tree ends where no path follows.
fn paths_of_tree(tree: &str) -> (Vec<Module>, &str) {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut prefix = Module::new();
    let mut rest = tree.trim_start();
    loop {
        if let Some(list) = rest.strip_prefix('{') {
            let mut paths = Vec::new();
            rest = list.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                let (inner, after) = paths_of_tree(rest);
                paths.extend(
                    inner
                        .into_iter()
                        .map(|path| [prefix.clone(), path].concat()),
                );
                // What follows a path in a list: a comma, `as name`, or `*`.
                let end = after.find([',', '}']).unwrap_or(after.len());
                rest = after[end..].trim_start_matches(',').trim_start();
            }
            return (paths, rest.strip_prefix('}').unwrap_or(rest));
        }
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end > 0 {
            prefix.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(after) if end > 0 => rest = after,
            _ => return (vec![prefix], rest),
        }
    }
}

/// The paths from the crate's root that a file names.
fn paths_named(source: &Source, modules: &BTreeMap<Module, String>) -> Vec<Module> {
    let own = module_of(&source.path);
    let code = source.code();
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("::") {
        let before = &code[..at];
        let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_');
        let start = start.map_or(0, |start| start + 1);
        if before[..start].ends_with("::") || start == at {
            continue;
        }
        for path in paths_of_tree(&code[start..]).0 {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let (base, rest) = match path[0].as_str() {
                "crate" => (Module::new(), &path[1..]),
                "self" => (own.clone(), &path[1..]),
                "super" if ups <= own.len() => (own[..own.len() - ups].to_vec(), &path[ups..]),
                // A module that this one declares.
                name if modules.contains_key(&[own.clone(), vec![name.to_owned()]].concat()) => {
                    (own.clone(), &path[..])
                }
                _ => continue,
            };
            paths.push([base, rest.to_vec()].concat());
        }
    }
    paths
}

/// The longest beginning of a path that is a module.
fn module_in(path: &[String], modules: &BTreeMap<Module, String>) -> Option<Module> {
    let lengths = (1..=path.len()).rev();
    let mut beginnings = lengths.map(|length| path[..length].to_vec());
    beginnings.find(|beginning| modules.contains_key(beginning))
}

/// The imports between the files, by path. What a module re-exports is imported from the file that defines it. What a file
/// takes from the modules around it is no import of another room.
fn imports(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeMap<Module, String> = sources
        .iter()
        .map(|source| (module_of(&source.path), source.path.clone()))
        .collect();
    let named: BTreeMap<Module, Vec<Module>> = sources
        .iter()
        .map(|source| (module_of(&source.path), paths_named(source, &modules)))
        .collect();
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (own, paths) in &named {
        for path in paths {
            let Some(mut module) = module_in(path, &modules) else {
                continue;
            };
            if let Some(item) = path.get(module.len()) {
                let exported = named[&module].iter().find(|other| {
                    other.last() == Some(item) && other.starts_with(&module) && *other != path
                });
                let definer = exported.and_then(|other| module_in(other, &modules));
                module = definer.unwrap_or(module);
            }
            if !own.starts_with(&module) {
                let from = modules[own].clone();
                imports
                    .entry(from)
                    .or_default()
                    .insert(modules[&module].clone());
            }
        }
    }
    imports
}

/// The files that reach themselves by imports.
fn files_in_circles(imports: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let reaches_itself = |file: &&String| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&String> = imports[*file].iter().collect();
        while let Some(other) = next.pop() {
            if seen.insert(other) {
                next.extend(imports.get(other).into_iter().flatten());
            }
        }
        seen.contains(file)
    };
    imports.keys().filter(reaches_itself).cloned().collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let imports = imports(&sources());
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > 300, "the imports were found: {count}");
    let circles = files_in_circles(&imports);
    let of_circles: Vec<_> = circles
        .iter()
        .map(|file| {
            let others = imports[file].iter().filter(|other| circles.contains(other));
            format!(
                "{file} imports {others:?}",
                others = others.collect::<Vec<_>>()
            )
        })
        .collect();
    assert!(circles.is_empty(), "{}", of_circles.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let file = |path: &str, code: &str| Source::new(path, code);
    let down = "use super::{b::{self, B}, c};\nuse std::fmt;";
    let tree = [
        file("src/a/mod.rs", "mod b;\nmod c;\npub use c::C;"),
        file("src/a/d.rs", down),
        file("src/a/b.rs", "use crate::a::C;"),
        file("src/a/c.rs", ""),
    ];
    let found = imports(&tree);
    let of = |path: &str| Vec::from_iter(found[path].iter().map(String::as_str));
    assert_eq!(of("src/a/d.rs"), ["src/a/b.rs", "src/a/c.rs"]);
    assert_eq!(of("src/a/b.rs"), ["src/a/c.rs"], "where C is defined");
    assert!(files_in_circles(&found).is_empty());

    let [face, d, b, _] = tree;
    let back = file("src/a/c.rs", "fn c() { super::d::run() }");
    let found = imports(&[face, d, b, back]);
    let circle = ["src/a/b.rs", "src/a/c.rs", "src/a/d.rs"];
    assert_eq!(files_in_circles(&found), circle);
}
