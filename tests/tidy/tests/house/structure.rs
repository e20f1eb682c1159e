//! The size of folders and traits.

use syn::{Item, TraitItem};

use crate::allowed::{Offenders, check};
use crate::types::{crate_of, items, sources};

/// Maximum number of source files in a folder.
const FILES: usize = 20;
/// Maximum number of methods of a trait.
const METHODS: usize = 20;

#[test]
fn a_folder_has_few_files() {
    let mut found = Offenders::new();
    for (name, _) in tidemill_tidy::files("rs") {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        found.entry(folder).or_default().push(name);
    }
    found.retain(|_, files| files.len() > FILES);
    check("folders", &format!("a folder has at most {FILES} source files: group them by noun"), &found);
}

#[test]
fn a_trait_has_few_methods() {
    let mut found = Offenders::new();
    for (file, text) in sources() {
        for item in items(&text, true) {
            let Item::Trait(item) = item else { continue };
            let methods = item.items.iter().filter_map(|item| match item {
                TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
                _ => None,
            });
            found.insert(format!("{} {}", item.ident, crate_of(&file)), methods.collect());
        }
    }
    found.retain(|_, methods| methods.len() > METHODS);
    check("traits", &format!("a trait has at most {METHODS} methods: make one trait for each noun"), &found);
}
