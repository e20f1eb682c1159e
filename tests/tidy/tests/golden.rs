//! Golden lists of names that are visible outside the process: failpoints and log events.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use tidemill_artifacts::golden;
use tidemill_tidy::files;

/// The sources of the host, without integration tests.
fn sources() -> impl Iterator<Item = (String, String)> {
    files("rs").into_iter().filter(|(name, _)| name.starts_with("runtime/") && name.contains("/src/"))
}

fn check(name: &str, lines: &BTreeSet<String>) {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    golden::check(env!("CARGO_MANIFEST_DIR"), name, &text);
}

#[test]
fn failpoints_keep_their_names() {
    let mut found = BTreeSet::new();
    for (_, text) in sources() {
        for call in ["failpoint::hit(\"", "failpoint!(\""] {
            let names = text.split(call).skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(names.map(str::to_owned));
        }
    }
    check("failpoints.txt", &found);
}

/// Level, message and field names of each log event.
#[test]
fn log_lines_keep_their_messages_and_fields() {
    let mut found = BTreeSet::new();
    for (_, text) in sources() {
        for level in ["error", "warn", "info", "debug", "trace"] {
            for rest in text.split(&format!("tracing::{level}!(")).skip(1) {
                found.insert(format!("{level}: {}", event(rest)));
            }
        }
    }
    check("log-events.txt", &found);
}

/// The message and fields of an event, given the text after the opening bracket of its macro.
fn event(rest: &str) -> String {
    let (mut fields, mut message) = (Vec::new(), String::new());
    for part in arguments(rest) {
        let part = part.trim();
        if let Some(text) = part.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            message = text.to_owned();
        } else if !part.is_empty() && !part.starts_with("target:") {
            let name = part.split(" = ").next().unwrap_or_default();
            fields.push(name.trim_start_matches(['%', '?', '&', '*']).trim_matches('"').to_owned());
        }
    }
    // The text of an event is its field `message`: another field of that name would replace it.
    assert!(!fields.iter().any(|field| field == "message"), "rename the field `message` of the event `{message}`");
    let fields = if fields.is_empty() { String::new() } else { format!(" [{}]", fields.join(", ")) };
    format!("{message}{fields}")
}

/// The arguments of a macro, split at commas outside of brackets and string literals.
fn arguments(rest: &str) -> Vec<String> {
    let (mut found, mut part, mut depth) = (Vec::new(), String::new(), 0_u32);
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                part.push('"');
                while let Some(inner) = letters.next() {
                    part.push(inner);
                    match inner {
                        '\\' => part.extend(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                continue;
            }
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(letter);
    }
    found.push(part);
    found
}

#[test]
fn a_log_event_is_parsed_with_its_fields() {
    let text = r#"run = %run.id, "a b" = 1, ?why, code = f("x, y", 1), "it ended, \"well\"");"#;
    assert_eq!(event(text), r#"it ended, \"well\" [run, a b, why, code]"#);
}
