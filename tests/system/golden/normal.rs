//! Replaces values that differ between sessions: ids, times, digests, ports and measurements.

use serde_json::Value;

/// Fields whose numbers depend on the machine, on timing, or on the build of the guest.
const FIGURES: &[&str] = &[
    "fuel",
    "peak_memory",
    "size",
    "took_millis",
    "committed",
    "syncs",
    "version",
    "before",
    "after",
    "elapsed",
    "elapsed_ms",
    "open_files",
    "connections",
    "records",
    "bytes",
];
/// Fields whose texts depend on the machine, on timing, or on the build of the guest.
const TEXTS: &[&str] = &["result_base64", "request_hash", "next", "place", "release"];

/// Numbers the ids, so that equal ids stay equal.
pub struct Normal {
    ids: Vec<String>,
    /// Texts to replace, with their replacements.
    words: Vec<(String, &'static str)>,
}

impl Normal {
    /// Creates a normalizer that also replaces `words`.
    pub fn new(words: Vec<(String, &'static str)>) -> Self {
        Self { ids: Vec::new(), words }
    }

    /// Replaces the volatile parts of a value.
    pub fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        let value = match value {
                            Value::Number(_) if FIGURES.contains(&name.as_str()) => "<figure>".into(),
                            Value::String(text) if TEXTS.contains(&name.as_str()) && !text.contains(' ') => {
                                "<text>".into()
                            }
                            value => self.value(value),
                        };
                        (self.text(name), value)
                    })
                    .collect(),
            ),
            Value::Array(items) => {
                // The compiler of a guest decides which interfaces of WASI the guest imports.
                let is_wasi = |item: &&Value| item.as_str().is_some_and(|text| text.starts_with("wasi:"));
                items.iter().filter(|item| !is_wasi(item)).map(|item| self.value(item)).collect()
            }
            Value::String(text) => self.text(text).into(),
            other => other.clone(),
        }
    }

    /// Replaces the volatile parts of a text.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (word, replacement) in &self.words {
            text = text.replace(word.as_str(), replacement);
        }
        let mut found = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let at_word = !found.ends_with(|before: char| before.is_ascii_alphanumeric());
            let (length, replacement) = match () {
                () if at_word && time(rest) > 0 => (time(rest), "<time>".to_owned()),
                () if at_word && id(rest) => (26, self.number(&rest[..26])),
                () if at_word && hex(rest) >= 32 => (hex(rest), "<digest>".to_owned()),
                () if rest.starts_with("127.0.0.1:") => {
                    let digits = rest[10..].bytes().take_while(u8::is_ascii_digit).count();
                    (10 + digits, "<address>".to_owned())
                }
                () => {
                    let next = rest.chars().next().unwrap();
                    (next.len_utf8(), next.to_string())
                }
            };
            found.push_str(&replacement);
            rest = &rest[length..];
        }
        found
    }

    fn number(&mut self, id: &str) -> String {
        let known = self.ids.iter().position(|known| known == id);
        let at = known.unwrap_or_else(|| {
            self.ids.push(id.to_owned());
            self.ids.len() - 1
        });
        format!("<id {}>", at + 1)
    }
}

/// Makes all ids equal, because the order of two runs may depend on the threads.
pub fn without_numbers(text: &str) -> String {
    (1..100).rev().fold(text.to_owned(), |text, number| text.replace(&format!("<id {number}>"), "<id>"))
}

/// Whether a text begins with a run id.
fn id(text: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_digit() || (byte.is_ascii_lowercase() && !b"ilou".contains(byte));
    let bytes = text.as_bytes();
    bytes.len() >= 26
        && bytes[..2] == *b"01"
        && bytes[..26].iter().all(letter)
        && !bytes.get(26).is_some_and(u8::is_ascii_alphanumeric)
}

/// Number of hexadecimal digits at the start of a text.
fn hex(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)).count()
}

/// Length of the RFC 3339 time at the start of a text, in bytes.
fn time(text: &str) -> usize {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let fits = |(form, byte): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { form == byte };
    if bytes.len() < FORM.len() || !FORM.iter().zip(bytes).all(fits) {
        return 0;
    }
    let rest = &bytes[FORM.len()..];
    FORM.len() + rest.iter().take_while(|byte| byte.is_ascii_digit() || b".Z+:".contains(byte)).count()
}

#[test]
fn values_that_differ_between_sessions_are_replaced() {
    let mut normal = Normal::new(vec![("/tmp/x".to_owned(), "<folder>")]);
    let text = "run 01m8mcktakmgd7k067m3hg19a7-1 at 2026-11-29T19:30:50.835Z, 01m8mcktakmgd7k067m3hg19a7 on 127.0.0.1:80 in /tmp/x";
    assert_eq!(normal.text(text), "run <id 1>-1 at <time>, <id 1> on <address> in <folder>");
    let value = serde_json::json!({ "fuel": 1, "attempt": 2, "sha": "0123456789abcdef0123456789abcdef" });
    assert_eq!(normal.value(&value), serde_json::json!({ "fuel": "<figure>", "attempt": 2, "sha": "<digest>" }));
    assert_eq!(normal.value(&serde_json::json!(["wasi:io/poll@0.2.6", "other"])), serde_json::json!(["other"]));
}
