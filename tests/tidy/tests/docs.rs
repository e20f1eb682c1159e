//! The documentation: every page is in the contents, every link has a target, and every interface
//! of the contract has a comment.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use tidemill_tidy::{files, root};

/// Targets of the links in a Markdown text, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("x");
        for part in plain.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                found.push(target.trim().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_link_has_a_target() {
    let mut dead = Vec::new();
    for (name, text) in files("md") {
        let folder = root().join(&name).parent().map(Path::to_path_buf).unwrap_or_default();
        for link in links(&text) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = link.contains("://") || link.starts_with("mailto:") || path.is_empty();
            if !elsewhere && !folder.join(path).exists() {
                dead.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// The files that the page about one run lists, in its first column.
#[test]
fn files_on_the_page_about_one_run_exist() {
    let page = std::fs::read_to_string(root().join("docs/src/understand/one-run.md")).unwrap();
    let listed =
        |line: &str| line.strip_prefix("| `").and_then(|rest| rest.split_once(".rs`")).map(|(file, _)| file.to_owned());
    let files: Vec<_> = page.lines().filter_map(listed).collect();
    assert!((10..=20).contains(&files.len()), "{} files; the page lists 10 to 20", files.len());
    let missing: Vec<_> =
        files.iter().filter(|file| !root().join("runtime").join(format!("{file}.rs")).exists()).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_page_of_the_book_is_in_its_contents() {
    let source = root().join("docs/src");
    let contents = std::fs::read_to_string(source.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<_> =
        links(&contents).into_iter().map(|link| link.trim_start_matches("./").to_owned()).collect();
    for (name, _) in files("md") {
        if let Some(page) = name.strip_prefix("docs/src/")
            && page != "SUMMARY.md"
        {
            assert!(listed.contains(page), "{page} is not in docs/src/SUMMARY.md");
        }
    }
}

#[test]
fn every_code_is_a_page_of_the_book() {
    let contents = std::fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    for (name, _) in files("md") {
        if let Some(page) = name.strip_prefix("docs/errors/") {
            assert!(contents.contains(&format!("(errors/{page})")), "{page} is not in docs/src/SUMMARY.md");
        }
    }
}

#[test]
fn every_interface_of_the_contract_has_a_comment() {
    let mut silent = Vec::new();
    for (name, text) in files("wit").into_iter().filter(|(name, _)| name.starts_with("wit/")) {
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let before = lines[..number].iter().rev().find(|line| !line.starts_with('@'));
            let commented = before.is_some_and(|line| line.trim_start().starts_with("///"));
            if line.starts_with("interface ") && !commented {
                silent.push(format!("{name}:{}: {line}", number + 1));
            }
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_changelog_has_a_section_for_unreleased_changes() {
    let text = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(text.contains("\n## Unreleased\n"));
}
