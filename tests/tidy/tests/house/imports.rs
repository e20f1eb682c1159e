//! Import cycles between the files of a crate.

use std::collections::{BTreeMap, BTreeSet};

use syn::UseTree;

use crate::allowed::{Offenders, check};
use crate::types::{items, sources};

/// Maximum number of files in a cycle.
const FILES: usize = 2;

/// The files of one crate by their module path, such as `["run", "cancel"]`.
type Modules = BTreeMap<Vec<String>, String>;
/// The files that each file imports.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The module path of a file, given its path below `src`.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let mut parts: Vec<_> = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// Collects the paths of a use tree.
fn paths(tree: &UseTree, before: &[String], found: &mut Vec<Vec<String>>) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => paths(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Name(name) => found.push(with(name.ident.to_string())),
        UseTree::Rename(name) => found.push(with(name.ident.to_string())),
        UseTree::Glob(_) => found.push(before.to_vec()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| paths(tree, before, found)),
    }
}

/// The path from the crate root; `None` for another crate.
fn absolute(path: &[String], of: &[String], modules: &Modules) -> Option<Vec<String>> {
    let first = path.first()?.as_str();
    let supers = path.iter().take_while(|part| *part == "super").count();
    match first {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([of, &path[1..]].concat()),
        "super" => Some([of.get(..of.len().checked_sub(supers)?)?, &path[supers..]].concat()),
        _ => {
            let child = [of, &path[..1]].concat();
            modules.contains_key(&child).then(|| [of, path].concat())
        }
    }
}

/// The file that declares a path: that of its longest prefix that is a module.
fn file<'m>(path: &[String], modules: &'m Modules) -> Option<&'m String> {
    (0..=path.len()).rev().find_map(|length| modules.get(&path[..length]))
}

fn graph(of: &str, files: &[(String, String)]) -> Graph {
    let below = format!("{of}/src/");
    let modules: Modules = files.iter().map(|(name, _)| (module(&name[below.len()..]), name.clone())).collect();
    let mut graph = Graph::new();
    for (name, text) in files {
        let own = module(&name[below.len()..]);
        let mut found = Vec::new();
        for item in items(text, false) {
            // A re-export does not make the file depend on the other.
            if let syn::Item::Use(item) = item
                && matches!(item.vis, syn::Visibility::Inherited)
            {
                paths(&item.tree, &[], &mut found);
            }
        }
        let imported = found.iter().filter_map(|path| file(&absolute(path, &own, &modules)?, &modules));
        graph.insert(name.clone(), imported.filter(|other| *other != name).cloned().collect());
    }
    graph
}

/// All files that a file imports, directly or not.
fn reached(from: &str, graph: &Graph) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in graph.get(&name).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}

/// The files in cycles of more than [`FILES`] files.
fn in_large_cycles(graph: &Graph) -> BTreeSet<String> {
    let all: BTreeMap<_, _> = graph.keys().map(|name| (name, reached(name, graph))).collect();
    let cycle =
        |name: &String| all[name].iter().filter(|other| all.get(other).is_some_and(|back| back.contains(name))).count();
    graph.keys().filter(|name| all[name].contains(*name) && cycle(name) > FILES).cloned().collect()
}

#[test]
fn no_import_cycle_has_more_than_two_files() {
    let mut crates: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (name, text) in sources() {
        if let Some((of, _)) = name.split_once("/src/") {
            crates.entry(of.to_owned()).or_default().push((name.clone(), text));
        }
    }
    let mut found: Offenders = crates
        .iter()
        .map(|(of, files)| (of.clone(), in_large_cycles(&graph(of, files)).into_iter().collect()))
        .collect();
    found.retain(|_, files| !files.is_empty());
    check(
        "cycles",
        "these files are in import cycles of more than two files: move the shared items to another file",
        &found,
    );
}

#[test]
fn a_cycle_is_found_through_crate_super_and_children() {
    let file = |name: &str, text: &str| (format!("c/src/{name}"), text.to_owned());
    let files = [
        file("lib.rs", "mod a; mod b; pub use a::A; use b::c::C;"),
        file("a.rs", "use crate::b::{B, c};"),
        file("b/mod.rs", "mod c; struct B; use std::fmt;"),
        file("b/c.rs", "use super::super::A; use super::B;"),
    ];
    let graph = graph("c", &files);
    let of = |name: &str| graph[&format!("c/src/{name}")].iter().map(|name| &name[6..]).collect::<Vec<_>>();
    assert_eq!((of("lib.rs"), of("a.rs")), (vec!["b/c.rs"], vec!["b/c.rs", "b/mod.rs"]));
    assert_eq!((of("b/mod.rs"), of("b/c.rs")), (vec![], vec!["b/mod.rs", "lib.rs"]));
    assert!(in_large_cycles(&graph).is_empty(), "a cycle of two files is allowed");
}
