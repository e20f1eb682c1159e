//! Rules for source files: length, head, names, and `unsafe` code.

use tidemill_tidy::files;

/// Maximum number of lines of a file.
const MAX_LINES: usize = 600;

#[test]
fn a_file_has_at_most_six_hundred_lines() {
    let long: Vec<_> = files("rs")
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "these have more than {MAX_LINES} lines; split them: {long:#?}");
}

#[test]
fn a_file_begins_with_a_doc_comment() {
    let silent: Vec<_> = files("rs")
        .into_iter()
        .filter(|(_, text)| {
            let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
            !first.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "begin these with `//!` and a sentence: {silent:#?}");
}

#[test]
fn names_contain_no_empty_words() {
    const EMPTY: [&str; 7] = ["manager", "helper", "helpers", "utils", "util", "common", "misc"];
    let mut found = Vec::new();
    for (name, text) in files("rs") {
        let stem = name.rsplit('/').next().unwrap_or(&name).trim_end_matches(".rs").to_owned();
        let folders = name.split('/').any(|part| EMPTY.contains(&part));
        if EMPTY.contains(&stem.as_str()) || folders {
            found.push(name.clone());
        }
        for (number, line) in text.lines().enumerate() {
            let mut words =
                line.split_whitespace().skip_while(|word| !matches!(*word, "struct" | "enum" | "trait" | "mod"));
            if let (Some(_), Some(item)) = (words.next(), words.next()) {
                let item = item.trim_end_matches(|c: char| !c.is_alphanumeric());
                if ["Manager", "Helper", "Helpers", "Utils"].iter().any(|end| item.ends_with(end))
                    || EMPTY.contains(&item)
                {
                    found.push(format!("{name}:{}: {item}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "name these after what they hold: {found:#?}");
}

#[test]
fn sources_contain_no_markers_of_unfinished_work() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["HA", "CK:"].concat()];
    let mut found = Vec::new();
    for extension in ["rs", "sh", "toml", "wit", "md", "yml", "yaml"] {
        for (name, text) in files(extension) {
            for (number, line) in text.lines().enumerate() {
                if line
                    .split(|c: char| !c.is_alphanumeric() && c != ':')
                    .any(|word| marks.iter().any(|mark| word.trim_end_matches(':') == mark.trim_end_matches(':')))
                {
                    found.push(format!("{name}:{}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "open an issue instead: {found:#?}");
}

#[test]
fn a_crate_forbids_or_denies_unsafe_code() {
    for (name, text) in files("rs") {
        let parts: Vec<_> = name.split('/').collect();
        let is_root = matches!(parts.as_slice(), ["runtime" | "sdk", _, "src", "lib.rs" | "main.rs"]);
        if is_root {
            assert!(
                text.contains("#![forbid(unsafe_code)]") || text.contains("#![deny(unsafe_code)]"),
                "{name}: forbid unsafe code, or deny it and give a reason at each use"
            );
        }
    }
}
