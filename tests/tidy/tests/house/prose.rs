//! The width of comments, and the words of comments, pages, names and messages.

use crate::allowed::{Offenders, check};
use crate::types::crate_of;

/// Maximum width of a line with a comment, in columns.
const COLUMNS: usize = 100;
/// Words that have a plainer or more precise replacement.
const WORDS: &[&str] = &[
    "anew",
    "anybody",
    "asks",
    "behind",
    "beside",
    "goes on",
    "gone on",
    "going on",
    "he",
    "him",
    "his",
    "meanwhile",
    "nobody",
    "none where",
    "says",
    "so long",
    "so many",
    "so often",
    "somebody",
    "stands",
    "told",
    "whoever",
    "whom",
    "where none",
    "where it is none",
];
/// Standard terms that contain such a word.
const TERMS: &[&str] = &["behind a proxy", "behind the same proxy"];

/// The prose of a file, without code, with line numbers: comments of sources, text of pages.
fn prose(name: &str, text: &str) -> Vec<(usize, String)> {
    let (is_page, mut code) = (name.ends_with(".md"), false);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if is_page && line.trim_start().starts_with("```") {
            code = !code;
        } else if let Some(line) = if is_page { Some(line).filter(|_| !code) } else { comment(line) } {
            found.push((number, line.split('`').step_by(2).collect::<Vec<_>>().join("`")));
        }
    }
    found
}

/// The comment of a line.
fn comment(line: &str) -> Option<&str> {
    let whole = line.trim_start();
    if whole.starts_with("//") {
        return Some(whole);
    }
    // A comment after code; skip string literals.
    line.find(" // ").filter(|at| line[..*at].matches('"').count().is_multiple_of(2)).map(|at| &line[at + 1..])
}

fn files() -> impl Iterator<Item = (String, String)> {
    let own = |name: &str| name.starts_with("tests/tidy/") || name == "CHANGELOG.md";
    ["rs", "wit", "md"].into_iter().flat_map(tidemill_tidy::files).filter(move |(name, _)| !own(name))
}

#[test]
fn comments_keep_to_a_hundred_columns() {
    let mut found = Offenders::new();
    for (name, text) in files().filter(|(name, _)| !name.ends_with(".md")) {
        for (number, line) in text.lines().enumerate() {
            if comment(line).is_some() && line.chars().count() > COLUMNS {
                found.entry(crate_of(&name).to_owned()).or_default().push(format!("{name}:{}", number + 1));
            }
        }
    }
    check("width", &format!("a comment has at most {COLUMNS} columns: split the sentence"), &found);
}

/// Number of occurrences of a whole word in a text in lower case.
fn occurrences(text: &str, word: &str) -> usize {
    let is_letter = |at: Option<char>| at.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
    let found = text.match_indices(word);
    found
        .filter(|(at, _)| {
            let (before, after) = (text[..*at].chars().next_back(), text[at + word.len()..].chars().next());
            !is_letter(before) && !is_letter(after)
        })
        .count()
}

#[test]
fn prose_uses_plain_words() {
    let mut found = Offenders::new();
    for (name, text) in files() {
        for (number, line) in prose(&name, &text) {
            let line = TERMS.iter().fold(line.to_lowercase(), |line, term| line.replace(term, ""));
            for word in WORDS {
                for _ in 0..occurrences(&line, word) {
                    found.entry(crate_of(&name).to_owned()).or_default().push(format!("{name}:{number}: {word}"));
                }
            }
        }
    }
    check("words", &format!("use plainer words than these: {WORDS:?}"), &found);
}

/// The code of a line, without its comment; the words of a name are separate.
fn code(line: &str) -> String {
    let code = match comment(line) {
        Some(comment) => &line[..line.len() - comment.len()],
        None => line,
    };
    code.replace('_', " ").to_lowercase()
}

#[test]
fn names_and_messages_use_plain_words() {
    let mut found = Offenders::new();
    for (name, text) in files().filter(|(name, _)| name.ends_with(".rs")) {
        for (number, line) in text.lines().enumerate() {
            // Leading spaces of a comment are not code.
            let line = code(line.trim_start());
            for word in WORDS {
                for _ in 0..occurrences(&line, word) {
                    found.entry(crate_of(&name).to_owned()).or_default().push(format!("{name}:{}: {word}", number + 1));
                }
            }
        }
    }
    check("names", &format!("use plainer words than these in names and messages: {WORDS:?}"), &found);
}

#[test]
fn words_are_counted_whole_and_in_comments_only() {
    assert_eq!(occurrences("whoever told it, untold, told_at", "told"), 1);
    assert_eq!(comment("    let a = 1; // nobody"), Some("// nobody"));
    assert_eq!(comment("    let a = \"x // nobody\";"), None);
    assert_eq!(code("let told_at = 1; // nobody"), "let told at = 1; ");
    assert_eq!(prose("a.md", "one\n```\ntwo\n```\n`three` four"), [(1, "one".to_owned()), (5, "` four".to_owned())]);
}
