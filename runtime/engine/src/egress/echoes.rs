//! Secrets in responses: replaces what a response repeats of the secrets in its request by
//! placeholders.
//!
//! *Searched for*: each secret as it is, as written into the URL, a JSON text or an `Authorization:
//! Basic` header; and each of these in hexadecimal digits and in base64, whatever surrounds it
//! there.
//!
//! *Searched in*: the text as received, and the text after its percent-encoding, JSON escapes and
//! HTML entities are decoded, up to twice. Upper and lower case are equal, and so are the two
//! base64 alphabets.
//!
//! One automaton finds all patterns in one pass over each of these texts, so that the time does not
//! depend on their content. This is defence in depth: a server that wants to reveal a secret can
//! write it backwards.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::decode::DecodedText;
use super::placeholders::{PlaceholderContext, RequestSecrets, escape};
use crate::secrets::SECRET_SENT_MIN_BYTES;

/// Length of the head of a longer pattern, in bytes. The automaton searches for the head; the rest
/// is compared after a match.
const HEAD_BYTES: usize = 64;
/// Maximum number of bytes compared after pattern heads, as a multiple of the text's size. A text
/// that exceeds it is crafted; from there on, a head counts as the whole pattern.
const COMPARISONS: usize = 16;
/// Maximum depth of nested encodings that are decoded.
const DEPTH: usize = 2;

/// Finds the secrets of one request.
pub(super) struct EchoFilter {
    heads: AhoCorasick,
    patterns: Vec<EchoPattern>,
}

/// One form of a secret.
struct EchoPattern {
    /// The folded form.
    text: Vec<u8>,
    /// Number of characters before and after it that also hold a part of the secret: in base64, a
    /// character can span two bytes.
    margins: (usize, usize),
    /// The replacement.
    placeholder: String,
}

impl EchoFilter {
    /// Returns a filter for the secrets that a request carried.
    ///
    /// # Errors
    /// If the patterns exceed the size of an automaton.
    pub fn new(carried: &RequestSecrets) -> Result<Self, BuildError> {
        let mut patterns = Vec::new();
        for (name, value) in carried.secrets() {
            let placeholder = format!("{{{{secret:{name}}}}}");
            let mut forms = [PlaceholderContext::Plain, PlaceholderContext::Url, PlaceholderContext::Json]
                .map(|place| escape(value, place))
                .to_vec();
            forms.dedup();
            forms.iter().for_each(|form| add(&mut patterns, form, &placeholder));
        }
        for (placeholder, token) in carried.basic_tokens() {
            add(&mut patterns, &token, &placeholder);
        }
        let heads = patterns.iter().map(|pattern| pattern.text.get(..HEAD_BYTES).unwrap_or(&pattern.text));
        // The automaton is built for each request; a table of all transitions would take longer to
        // build than to use.
        let heads = AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(heads)?;
        Ok(Self { heads, patterns })
    }

    /// Replaces what the text repeats by placeholders.
    pub fn hide(&self, text: Vec<u8>) -> Vec<u8> {
        let mut found = Vec::new();
        self.search(fold(&text), |span| span, &mut found);
        let mut decoded = DecodedText::of(&text);
        for _ in 0..DEPTH {
            let Some(view) = decoded else { break };
            self.search(fold(view.text()), |span| view.origin(span), &mut found);
            decoded = view.again();
        }
        if found.is_empty() { text } else { self.replace(&text, found) }
    }

    /// Adds the ranges of all patterns in a folded text, each mapped by `origin`.
    fn search(
        &self,
        text: Vec<u8>,
        origin: impl Fn(Range<usize>) -> Range<usize>,
        found: &mut Vec<(Range<usize>, usize)>,
    ) {
        let mut left = text.len().saturating_mul(COMPARISONS);
        // The last range of each pattern, so that a text of one repeated character has one range
        // and not one for each byte.
        let mut last = vec![usize::MAX; self.patterns.len()];
        for head in self.heads.find_overlapping_iter(&text) {
            let index = head.pattern().as_usize();
            let (Some(pattern), Some(last)) = (self.patterns.get(index), last.get_mut(index)) else { continue };
            let EchoPattern { text: pattern, margins: (before, after), .. } = pattern;
            let whole = head.start()..(head.start() + pattern.len()).min(text.len());
            let rest = pattern.get(HEAD_BYTES..).unwrap_or_default();
            if !rest.is_empty() {
                left = left.saturating_sub(rest.len());
                let there = text.get(whole.clone()).unwrap_or_default();
                if left > 0 && there.get(HEAD_BYTES..) != Some(rest) {
                    continue;
                }
            }
            let span = origin(whole.start.saturating_sub(*before)..(whole.end + after).min(text.len()));
            match found.get_mut(*last) {
                Some((open, _)) if span.start <= open.end => open.end = open.end.max(span.end),
                _ => {
                    *last = found.len();
                    found.push((span, index));
                }
            }
        }
    }

    fn replace(&self, text: &[u8], mut found: Vec<(Range<usize>, usize)>) -> Vec<u8> {
        // The earliest range comes first, and of several the longest.
        found.sort_unstable_by_key(|(span, _)| (span.start, usize::MAX - span.end));
        let (mut replaced, mut from) = (Vec::with_capacity(text.len()), 0);
        for (span, index) in found {
            if span.start >= from {
                replaced.extend_from_slice(text.get(from..span.start).unwrap_or_default());
                let placeholder = self.patterns.get(index).map(|pattern| pattern.placeholder.as_bytes());
                replaced.extend_from_slice(placeholder.unwrap_or_default());
            }
            from = from.max(span.end);
        }
        replaced.extend_from_slice(text.get(from..).unwrap_or_default());
        replaced
    }
}

/// Adds a value as it is, in hexadecimal digits and in base64.
fn add(patterns: &mut Vec<EchoPattern>, value: &[u8], placeholder: &str) {
    let mut put = |text: &[u8], margins: (usize, usize)| {
        if text.len() < SECRET_SENT_MIN_BYTES {
            return;
        }
        patterns.push(EchoPattern { text: fold(text), margins, placeholder: placeholder.to_owned() });
    };
    put(value, (0, 0));
    put(&hex(value), (0, 0));
    for bytes_before in 0..3 {
        let mut text = vec![0; bytes_before];
        text.extend_from_slice(value);
        let encoded = BASE64.encode(&text);
        // Three bytes are four characters. A character that a neighbouring byte shares depends on
        // that byte.
        let shared = (bytes_before * 8).div_ceil(6);
        let after = usize::from(text.len() % 3 != 0);
        let own = encoded.as_bytes().get(shared..encoded.len() - after).unwrap_or_default();
        put(own, (usize::from(bytes_before > 0), after));
    }
}

fn hex(value: &[u8]) -> Vec<u8> {
    value.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| b"0123456789abcdef"[usize::from(digit)]).collect()
}

/// Converts the text to lower case and one base64 alphabet, with a form's `+` for a space.
fn fold(text: &[u8]) -> Vec<u8> {
    let one = |byte: &u8| match byte {
        b'-' | b' ' => b'+',
        b'_' => b'/',
        other => other.to_ascii_lowercase(),
    };
    text.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;
    use crate::secrets::SecretValue;

    const KEY: &str = "s3\"c/r t";

    fn echoes(value: &[u8]) -> EchoFilter {
        let mut carried = RequestSecrets::new(vec![("key".to_owned(), SecretValue::new(value.to_vec()))]);
        carried.fill(b"{{basic:me:key}}", PlaceholderContext::Plain, 1_000_000).unwrap();
        EchoFilter::new(&carried).unwrap()
    }

    fn hidden(text: &str) -> String {
        String::from_utf8(echoes(KEY.as_bytes()).hide(text.as_bytes().to_vec())).unwrap()
    }

    fn entities(value: &str, hexadecimal: bool) -> String {
        value
            .chars()
            .map(|c| if hexadecimal { format!("&#x{:x};", u32::from(c)) } else { format!("&#{};", u32::from(c)) })
            .collect()
    }

    #[test]
    fn a_repeated_secret_becomes_its_placeholder() {
        let repeated = format!("a s3\"c/r t b s3%22c%2Fr%20t c s3\\\"c/r t d {}", STANDARD.encode(KEY));
        assert!(hidden(&repeated).starts_with("a {{secret:key}} b {{secret:key}} c {{secret:key}} d {{secret:key}}"));
    }

    #[test]
    fn a_basic_token_becomes_its_own_placeholder() {
        let token = STANDARD.encode(format!("me:{KEY}"));
        assert!(hidden(&format!("Basic {token}")).starts_with("Basic {{basic:me:key}}"));
        assert!(hidden(&STANDARD.encode(format!("Basic {token}"))).contains("{{basic:me:key}}"));
    }

    #[test]
    fn usual_encodings_of_a_secret_are_found() {
        let unicode: String = KEY.bytes().map(|b| format!("\\u{b:04X}")).collect();
        let percent: String = KEY.bytes().map(|b| format!("%{b:02x}")).collect();
        for text in [
            KEY.to_owned(),
            KEY.to_ascii_uppercase(),
            "s3%22c/r+t".to_owned(),
            "s3%22c%2fr%20t".to_owned(),
            "s3\\\"c\\/r t".to_owned(),
            "s3&quot;c/r t".to_owned(),
            "s3\\\\\\\"c\\\\\\/r t".to_owned(),
            "s3%2522c%252Fr%2520t".to_owned(),
            unicode.to_lowercase(),
            unicode,
            percent,
            entities(KEY, true),
            entities(KEY, false),
            String::from_utf8(hex(KEY.as_bytes())).unwrap(),
            String::from_utf8(hex(KEY.as_bytes())).unwrap().to_uppercase(),
            STANDARD.encode("s3%22c%2Fr%20t"),
        ] {
            let shown = hidden(&format!("<{text}>"));
            assert_eq!(shown.trim_end_matches(['=', '>']), "<{{secret:key}}", "{text}");
        }
    }

    #[test]
    fn partial_secrets_are_unchanged() {
        for text in ["s3\"c/r", "", "%", "\\u", "&#;", "the secret is s3\"c/r", "s3%22c%2Fr%2", "czMiYy9y"] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn a_long_secret_is_found_only_as_a_whole() {
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC".repeat(50));
        let echoes = echoes(pem.as_bytes());
        assert_eq!(echoes.hide(format!("a{pem}b").into_bytes()), b"a{{secret:key}}b");
        let other = pem.replace("ASC\n", "ASD\n").into_bytes();
        assert_eq!(echoes.hide(other.clone()), other);
    }

    #[test]
    fn comparisons_of_a_crafted_text_are_limited() {
        let echoes = echoes(&[b'a'; 64 * 1024]);
        let mut text = vec![b'a'; 1 << 20];
        for at in (0..text.len()).step_by(65_000) {
            text[at] = b'b';
        }
        let hidden = echoes.hide(text);
        assert!(hidden.len() < 1 << 20);
    }

    proptest! {
        #[test]
        fn a_secret_is_found_at_every_position_in_base64(
            secret in prop::collection::vec(any::<u8>(), 8..80),
            before in prop::collection::vec(any::<u8>(), 0..7),
            after in prop::collection::vec(any::<u8>(), 0..7),
            safe: bool,
        ) {
            let text = [before.clone(), secret.clone(), after.clone()].concat();
            let encoded = if safe { URL_SAFE_NO_PAD.encode(text) } else { STANDARD.encode(text) };
            let hidden = echoes(&secret).hide(encoded.clone().into_bytes());
            let hidden = String::from_utf8(hidden).unwrap();
            prop_assert!(hidden.contains("{{secret:key}}"), "{} {}", encoded, hidden);
            let most = (before.len() + after.len()) * 4 / 3 + 8 + "{{secret:key}}".len();
            prop_assert!(hidden.len() <= most, "{} {}", encoded, hidden);
        }

        #[test]
        fn text_without_the_secret_is_unchanged(
            secret in prop::collection::vec(any::<u8>(), 8..20),
            text in prop::collection::vec(prop::sample::select(b"s3\\\"u00%2f&#x;quot{}+ ".to_vec()), 0..200),
        ) {
            let hidden = echoes(&secret).hide(text.clone());
            prop_assert_eq!(hidden, text);
        }

        #[test]
        fn a_contained_secret_is_always_replaced(
            secret in "[a-z\"/ é%\\\\]{8,20}",
            before in "[ -~]{0,20}",
            after in "[ -~]{0,20}",
            place in prop::sample::select(vec![PlaceholderContext::Plain, PlaceholderContext::Url, PlaceholderContext::Json]),
        ) {
            let mut text = before.into_bytes();
            text.extend(escape(secret.as_bytes(), place));
            text.extend(after.bytes());
            let hidden = echoes(secret.as_bytes()).hide(text);
            prop_assert!(String::from_utf8_lossy(&hidden).contains("{{secret:key}}"));
        }
    }
}
