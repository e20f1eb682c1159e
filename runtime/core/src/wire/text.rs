//! Text from outside: whether it is blank, and forms of it that are safe to show, without
//! characters that control a terminal or reorder the text.

/// Whether a character controls how the text around it is shown: a control character of C0 or C1,
/// a line or paragraph separator, a mark of the bidirectional algorithm, an annotation or a tag.
#[must_use]
pub fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Formats the text as one line: a control character becomes a space, any other
/// [steering](is_steering) character becomes U+FFFD.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { harmless(c) }).collect()
}

/// Keeps the text's lines and tabs; each other [steering](is_steering) character becomes U+FFFD.
#[must_use]
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { harmless(c) }).collect()
}

/// Escapes each [steering](is_steering) character of a JSON text, which keeps its value.
///
/// A serialiser escapes the characters of C0. Any other one is inside a string, in which an escape
/// denotes the same character.
#[must_use]
pub fn json(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_steering(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
}

fn harmless(c: char) -> char {
    if is_steering(c) { '\u{fffd}' } else { c }
}

/// Returns whether a text has no character that the pattern `\S` of the OpenAPI document matches.
/// Its white space is that of ECMAScript, which differs from Unicode's in two characters.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_guest_cannot_steer_a_terminal() {
        assert_eq!(one_line("a\x1b[2Jb\nc"), "a [2Jb c");
        assert_eq!(one_line("a\u{9b}2Jb"), "a 2Jb");
        assert_eq!(one_line("paid \u{202e}drawkcab\u{2066}"), "paid \u{fffd}drawkcab\u{fffd}");
        assert_eq!(lines("a\n\tb\rc\x1b]0;title\x07"), "a\n\tb\u{fffd}c\u{fffd}]0;title\u{fffd}");
        assert_eq!(lines("é 日本 👩\u{200d}💻"), "é 日本 👩\u{200d}💻");
    }

    #[test]
    fn blank_is_what_the_pattern_of_the_document_does_not_match() {
        for text in ["", "  ", "\t\r\n", "\u{a0}\u{2003}\u{2028}", "\u{feff}"] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["\u{85}", " a ", "\u{200b}", "\0"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_steers_once_it_is_cleaned(text in any::<String>()) {
            prop_assert!(!one_line(&text).chars().any(is_steering));
            prop_assert!(!lines(&text).chars().any(|c| is_steering(c) && c != '\n' && c != '\t'));
        }

        #[test]
        fn a_json_text_keeps_its_value(text in any::<String>()) {
            let value = serde_json::json!({ &text: [&text, "\u{202e}\u{9b}\u{e0041}"] });
            for written in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
                let escaped = json(&written);
                prop_assert!(!escaped.chars().any(|c| is_steering(c) && c != '\n'));
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), &value);
            }
        }
    }
}
