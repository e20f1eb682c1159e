//! How source files look: their length, their head, and the words that they do without.

use tidemill_tidy::files;

/// Where a file is no longer one idea.
const MOST_LINES: usize = 600;

#[test]
fn a_file_is_one_idea() {
    let long: Vec<_> = files("rs")
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines; part them: {long:#?}");
}

#[test]
fn a_file_says_what_it_is() {
    let silent: Vec<_> = files("rs")
        .into_iter()
        .filter(|(_, text)| {
            let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
            !first.is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
        })
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "begin with `//!` and a sentence: {silent:#?}");
}

#[test]
fn a_name_says_what_a_thing_does() {
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
    assert!(found.is_empty(), "find the word of ARCHITECTURE's vocabulary: {found:#?}");
}

#[test]
fn what_is_left_to_do_is_an_issue_and_no_comment() {
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
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_crate_says_how_it_stands_with_unsafe_code() {
    for (name, text) in files("rs") {
        let parts: Vec<_> = name.split('/').collect();
        let is_root = matches!(parts.as_slice(), ["runtime" | "sdk", _, "src", "lib.rs" | "main.rs"]);
        if is_root {
            assert!(
                text.contains("#![forbid(unsafe_code)]") || text.contains("#![deny(unsafe_code)]"),
                "{name}: forbid it, or deny it and say at each place why it is needed"
            );
        }
    }
}
