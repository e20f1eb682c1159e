//! Secrets in requests: `{{secret:NAME}}` and `{{basic:USER:NAME}}` become their values here, outside the sandbox, escaped for the
//! place where they stand, and become placeholders again in an answer that repeats them.
//!
//! Only names that the request lists are looked at; any other text in double braces stays as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tidemill_core::{Code, Failure};

use crate::secrets::SecretValue;

/// A secret shorter than this is not searched for in answers: it would be found everywhere.
const SEARCHED_BYTES: usize = 6;

/// The longest placeholder; what is longer is none. Without a bound, braces without end would be searched again and again.
const PLACEHOLDER_BYTES: usize = 320;

/// The secrets of one request, with their values.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried(Vec<(String, SecretValue)>);

/// Where a placeholder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// As it is.
    Plain,
    /// In a url or a form: percent-encoded.
    Url,
    /// Inside a string of a JSON text.
    Json,
}

impl Carried {
    /// The secrets that a request may carry.
    pub const fn new(secrets: Vec<(String, SecretValue)>) -> Self {
        Self(secrets)
    }

    /// Whether there are any.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a text has a placeholder of one of them.
    pub fn stands_in(&self, text: &[u8]) -> bool {
        self.next(text).is_some()
    }

    /// The text with every placeholder replaced.
    pub fn fill(&self, text: &[u8], place: Place) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, value, after)) = self.next(rest) {
            filled.extend_from_slice(before);
            match place {
                Place::Plain => filled.extend_from_slice(&value),
                Place::Url => filled.extend_from_slice(percent(&value).as_bytes()),
                Place::Json => filled.extend_from_slice(json(&value).as_bytes()),
            }
            rest = after;
        }
        filled.extend_from_slice(rest);
        filled
    }

    /// The same for a header, which cannot hold every byte.
    pub fn fill_header(&self, value: &str) -> Result<Vec<u8>, Failure> {
        let filled = self.fill(value.as_bytes(), Place::Plain);
        if filled.iter().any(|b| (*b < 32 && *b != b'\t') || *b == 127) {
            return Err(
                Code::HttpBadRequest.failure("a secret holds a line break or another byte that no header can hold")
            );
        }
        Ok(filled)
    }

    /// What came back, with a placeholder wherever it repeats a secret, in any of the forms that it may have been sent in.
    pub fn hide(&self, mut text: Vec<u8>) -> Vec<u8> {
        for (name, value) in &self.0 {
            let value = value.expose();
            if value.len() < SEARCHED_BYTES {
                continue;
            }
            let placeholder = format!("{{{{secret:{name}}}}}");
            for form in [
                value.to_vec(),
                percent(value).into_bytes(),
                json(value).into_bytes(),
                BASE64.encode(value).into_bytes(),
            ] {
                text = replace(text, &form, placeholder.as_bytes());
            }
        }
        text
    }

    /// The first placeholder: what is before it, its value, what is behind it.
    fn next<'a>(&self, text: &'a [u8]) -> Option<(&'a [u8], Vec<u8>, &'a [u8])> {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| find(rest, b"{{")).map(|at| from + at) {
            let inner = text.get(at + 2..)?;
            let near = inner.get(..PLACEHOLDER_BYTES.min(inner.len()))?;
            if let Some(end) = find(near, b"}}")
                && let Some(value) = near.get(..end).and_then(|inner| self.value(inner))
            {
                return Some((text.get(..at)?, value, inner.get(end + 2..)?));
            }
            from = at + 1;
        }
        None
    }

    fn value(&self, inner: &[u8]) -> Option<Vec<u8>> {
        let inner = std::str::from_utf8(inner).ok()?;
        let secret = |name: &str| self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose());
        if let Some(name) = inner.strip_prefix("secret:") {
            return secret(name).map(<[u8]>::to_vec);
        }
        let (user, name) = inner.strip_prefix("basic:")?.rsplit_once(':')?;
        let mut pair = format!("{user}:").into_bytes();
        pair.extend_from_slice(secret(name)?);
        Some(BASE64.encode(pair).into_bytes())
    }
}

/// Everything but letters, digits and `-._~`.
fn percent(value: &[u8]) -> String {
    use std::fmt::Write as _;
    value.iter().fold(String::with_capacity(value.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// The inside of a JSON string.
fn json(value: &[u8]) -> String {
    let text = serde_json::to_string(&String::from_utf8_lossy(value)).unwrap_or_default();
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn replace(text: Vec<u8>, what: &[u8], with: &[u8]) -> Vec<u8> {
    let Some(mut at) = find(&text, what) else { return text };
    let (mut replaced, mut rest) = (Vec::with_capacity(text.len()), text.as_slice());
    loop {
        let (before, behind) = rest.split_at(at);
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(with);
        rest = behind.get(what.len()..).unwrap_or_default();
        match find(rest, what) {
            Some(next) => at = next,
            None => break,
        }
    }
    replaced.extend_from_slice(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn carried() -> Carried {
        Carried::new(vec![("key".to_owned(), SecretValue::new(b"s3\"c/r t".to_vec()))])
    }

    fn fill(text: &str, place: Place) -> String {
        String::from_utf8(carried().fill(text.as_bytes(), place)).unwrap()
    }

    #[test]
    fn a_secret_is_escaped_for_its_place() {
        assert_eq!(fill("Bearer {{secret:key}}!", Place::Plain), "Bearer s3\"c/r t!");
        assert_eq!(fill("?a={{secret:key}}", Place::Url), "?a=s3%22c%2Fr%20t");
        assert_eq!(fill(r#"{"a":"{{secret:key}}"}"#, Place::Json), r#"{"a":"s3\"c/r t"}"#);
        assert_eq!(fill("Basic {{basic:me:key}}", Place::Plain), format!("Basic {}", BASE64.encode("me:s3\"c/r t")));
    }

    #[test]
    fn what_is_not_listed_stays() {
        for text in ["{{secret:other}}", "{{key}}", "{{", "}}{{secret:key", "{{basic:key}}", "{{secret:}}"] {
            assert_eq!(fill(text, Place::Plain), text);
        }
        assert_eq!(fill("{{ {{secret:key}}", Place::Plain), "{{ s3\"c/r t");
    }

    #[test]
    fn an_answer_that_repeats_a_secret_holds_the_placeholder() {
        let repeated = format!("a s3\"c/r t b s3%22c%2Fr%20t c s3\\\"c/r t d {}", BASE64.encode("s3\"c/r t"));
        let hidden = carried().hide(repeated.into_bytes());
        assert_eq!(hidden, b"a {{secret:key}} b {{secret:key}} c {{secret:key}} d {{secret:key}}");
    }

    #[test]
    fn a_header_takes_no_secret_with_a_line_break() {
        let carried = Carried::new(vec![("key".to_owned(), SecretValue::new(b"a\r\nHost: b".to_vec()))]);
        assert_eq!(carried.fill_header("{{secret:key}}").unwrap_err().code, "host/http-bad-request");
    }

    proptest! {
        #[test]
        fn any_text_is_filled_without_a_panic(text in "([{}a:]|secret|basic|key|ä){0,30}") {
            let filled = carried().fill(text.as_bytes(), Place::Plain);
            prop_assert_eq!(carried().stands_in(text.as_bytes()), filled != text.as_bytes());
            let _ = carried().hide(text.into_bytes());
        }
    }
}
