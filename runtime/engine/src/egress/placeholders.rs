//! Secrets in requests: replaces `{{secret:NAME}}` and `{{basic:USER:NAME}}` by their values,
//! outside the sandbox, escaped for their context.
//!
//! Only names that the request lists are replaced; other text in double braces is unchanged. A text
//! is read once, whatever it contains. Secrets that a response repeats are found by
//! [`super::echoes`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::secrets::SecretValue;

/// Maximum size of the user in `{{basic:USER:NAME}}`, in bytes.
const USER_BYTES: usize = 255;
/// Maximum size of a secret's name, in bytes.
const NAME_BYTES: usize = 63;
/// Maximum number of distinct `{{basic:USER:NAME}}` in one request: the response is searched for
/// each.
const BASIC_TOKENS: usize = 16;

/// The secrets of one request, with their values.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestSecrets {
    secrets: Vec<(String, SecretValue)>,
    /// The pairs of `{{basic:USER:NAME}}` that were filled in: the user, and the index of the
    /// secret.
    basic: Vec<(String, usize)>,
}

/// The context of a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceholderContext {
    /// Without escaping.
    Plain,
    /// In a URL or a form: percent-encoded.
    Url,
    /// Inside a string of a JSON text.
    Json,
}

/// Why a text cannot be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FillError {
    /// The text with its secrets exceeds its maximum size.
    #[error("with its secrets the text exceeds {0} bytes")]
    TooLong(usize),
    /// There are too many distinct users.
    #[error("a request may have at most {BASIC_TOKENS} different `{{{{basic:USER:NAME}}}}`")]
    TooManyUsers,
    /// A header cannot hold the value.
    #[error("a secret contains a line break or another byte that is not allowed in a header")]
    NotInHeader,
}

/// One placeholder of a text.
struct Placeholder<'a> {
    /// The range from its first brace to the end of its last.
    span: std::ops::Range<usize>,
    /// Index of the secret.
    secret: usize,
    /// The user of a `{{basic:USER:NAME}}`.
    user: Option<&'a str>,
}

impl RequestSecrets {
    /// Returns the secrets that a request may carry.
    pub const fn new(secrets: Vec<(String, SecretValue)>) -> Self {
        Self { secrets, basic: Vec::new() }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Returns each secret's name and value.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.secrets.iter().map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// Returns each `{{basic:USER:NAME}}` that was filled in, and its value.
    pub fn basic_tokens(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.basic.iter().filter_map(|(user, secret)| {
            let (name, value) = self.secrets.get(*secret)?;
            Some((format!("{{{{basic:{user}:{name}}}}}"), basic_token(user, value.expose())))
        })
    }

    /// Whether a text contains a placeholder of one of the secrets.
    pub fn contains_placeholder(&self, text: &[u8]) -> bool {
        self.next(text, 0).is_some()
    }

    /// Replaces every placeholder of a text. The result has at most `max_bytes`.
    pub fn fill(&mut self, text: &[u8], place: PlaceholderContext, max_bytes: usize) -> Result<Vec<u8>, FillError> {
        let (mut filled, mut from) = (Vec::with_capacity(text.len().min(max_bytes)), 0);
        let put = |filled: &mut Vec<u8>, more: &[u8]| {
            if filled.len() + more.len() > max_bytes {
                return Err(FillError::TooLong(max_bytes));
            }
            filled.extend_from_slice(more);
            Ok(())
        };
        while let Some(Placeholder { span, secret, user }) = self.next(text, from) {
            put(&mut filled, text.get(from..span.start).unwrap_or_default())?;
            let value = self.secrets.get(secret).map(|(_, value)| value.expose()).unwrap_or_default();
            match user {
                None => put(&mut filled, &escape(value, place))?,
                Some(user) => put(&mut filled, &escape(&basic_token(user, value), place))?,
            }
            from = span.end;
            if let Some(user) = user
                && !self.basic.iter().any(|(own, of)| own == user && *of == secret)
            {
                if self.basic.len() == BASIC_TOKENS {
                    return Err(FillError::TooManyUsers);
                }
                self.basic.push((user.to_owned(), secret));
            }
        }
        put(&mut filled, text.get(from..).unwrap_or_default())?;
        Ok(filled)
    }

    /// Fills in a header, which cannot hold every byte.
    pub fn fill_header(&mut self, value: &str, max_bytes: usize) -> Result<Vec<u8>, FillError> {
        let filled = self.fill(value.as_bytes(), PlaceholderContext::Plain, max_bytes)?;
        if filled.iter().any(|b| (*b < 32 && *b != b'\t') || *b == 127) {
            return Err(FillError::NotInHeader);
        }
        Ok(filled)
    }

    /// Returns the first placeholder at or after `from`. Text that is not a placeholder is not read
    /// again.
    fn next<'a>(&self, text: &'a [u8], mut from: usize) -> Option<Placeholder<'a>> {
        loop {
            let at = from + text.get(from..)?.iter().position(|b| *b == b'{')?;
            let inner = text.get(at + 1..)?;
            from = at + 1;
            let (before_name, user, name) = if let Some(rest) = inner.strip_prefix(b"{secret:") {
                ("{{secret:".len(), None, run(rest, NAME_BYTES, is_of_name))
            } else if let Some(rest) = inner.strip_prefix(b"{basic:") {
                let both = run(rest, USER_BYTES + 1 + NAME_BYTES, |b| !matches!(b, b'{' | b'}'));
                // The name has no colon; a user may have some.
                let Some(colon) = both.iter().rposition(|b| *b == b':') else {
                    from += "{basic:".len() + both.len();
                    continue;
                };
                let (user, name) = both.split_at(colon);
                ("{{basic:".len() + colon + 1, std::str::from_utf8(user).ok(), name.get(1..).unwrap_or_default())
            } else {
                continue;
            };
            let end = at + before_name + name.len();
            let is_basic = inner.starts_with(b"{basic:");
            from = end;
            if text.get(end..end + 2) == Some(b"}}")
                && let Some(secret) = self.secrets.iter().position(|(own, _)| own.as_bytes() == name)
                && user.is_some() == is_basic
            {
                return Some(Placeholder { span: at..end + 2, secret, user });
            }
        }
    }
}

/// Returns the longest prefix of a text whose bytes are of a kind, and at most `max_bytes` of it.
fn run(text: &[u8], max_bytes: usize, is: impl Fn(u8) -> bool) -> &[u8] {
    let length = text.iter().take(max_bytes).take_while(|b| is(**b)).count();
    text.get(..length).unwrap_or_default()
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Returns the value of `{{basic:USER:NAME}}` (RFC 7617).
fn basic_token(user: &str, value: &[u8]) -> Vec<u8> {
    let mut pair = format!("{user}:").into_bytes();
    pair.extend_from_slice(value);
    BASE64.encode(pair).into_bytes()
}

/// Escapes a value for its context. The result is never shorter than the value.
pub(super) fn escape(value: &[u8], place: PlaceholderContext) -> Vec<u8> {
    match place {
        PlaceholderContext::Plain => value.to_vec(),
        PlaceholderContext::Url => percent(value).into_bytes(),
        PlaceholderContext::Json => json(value).into_bytes(),
    }
}

/// Escapes everything except letters, digits and `-._~`.
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

/// Returns the inside of a JSON string.
fn json(value: &[u8]) -> String {
    let text = serde_json::to_string(&String::from_utf8_lossy(value)).unwrap_or_default();
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn carried() -> RequestSecrets {
        RequestSecrets::new(vec![("key".to_owned(), SecretValue::new(b"s3\"c/r t".to_vec()))])
    }

    fn fill(text: &str, place: PlaceholderContext) -> String {
        String::from_utf8(carried().fill(text.as_bytes(), place, 10_000).unwrap()).unwrap()
    }

    #[test]
    fn a_secret_is_escaped_for_its_place() {
        assert_eq!(fill("Bearer {{secret:key}}!", PlaceholderContext::Plain), "Bearer s3\"c/r t!");
        assert_eq!(fill("?a={{secret:key}}", PlaceholderContext::Url), "?a=s3%22c%2Fr%20t");
        assert_eq!(fill(r#"{"a":"{{secret:key}}"}"#, PlaceholderContext::Json), r#"{"a":"s3\"c/r t"}"#);
        assert_eq!(
            fill("Basic {{basic:me:key}}", PlaceholderContext::Plain),
            format!("Basic {}", BASE64.encode("me:s3\"c/r t"))
        );
        assert_eq!(fill("{{basic:a:b:key}}", PlaceholderContext::Plain), BASE64.encode("a:b:s3\"c/r t"));
    }

    #[test]
    fn unlisted_placeholders_are_unchanged() {
        for text in [
            "{{secret:other}}",
            "{{key}}",
            "{{",
            "}}{{secret:key",
            "{{basic:key}}",
            "{{secret:}}",
            "{{basic:{:key}}",
            "{{secret:key}",
        ] {
            assert_eq!(fill(text, PlaceholderContext::Plain), text);
        }
        assert_eq!(fill("{{ {{secret:key}}", PlaceholderContext::Plain), "{{ s3\"c/r t");
        assert_eq!(fill("{{{secret:key}}}", PlaceholderContext::Plain), "{s3\"c/r t}");
        assert_eq!(fill("{{secret:{{basic:{{secret:key}}", PlaceholderContext::Plain), "{{secret:{{basic:s3\"c/r t");
    }

    #[test]
    fn a_header_rejects_a_secret_with_a_line_break() {
        let mut carried = RequestSecrets::new(vec![("key".to_owned(), SecretValue::new(b"a\r\nHost: b".to_vec()))]);
        assert_eq!(carried.fill_header("{{secret:key}}", 100), Err(FillError::NotInHeader));
    }

    #[test]
    fn many_placeholders_of_a_long_secret_stop_at_the_bound() {
        let mut carried = RequestSecrets::new(vec![("key".to_owned(), SecretValue::new(vec![b'x'; 64 * 1024]))]);
        let text = "{{secret:key}}".repeat(100_000);
        assert_eq!(carried.fill(text.as_bytes(), PlaceholderContext::Plain, 1 << 20), Err(FillError::TooLong(1 << 20)));
        let users: String = (0..17).map(|n| format!("{{{{basic:{n}:key}}}}")).collect();
        assert_eq!(carried.fill(users.as_bytes(), PlaceholderContext::Plain, 4 << 20), Err(FillError::TooManyUsers));
    }

    /// The search reads each byte of the text only a few times, even if every position could begin
    /// a placeholder.
    #[test]
    fn unclosed_braces_are_read_once() {
        for piece in
            ["{", "{{", "{{basic:", "{{secret:", "{{basic:u:", "{{secret:aaaa", "{{basic:aaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            let text = piece.repeat((4 << 20) / piece.len());
            let (carried, mut from, mut found) = (carried(), 0, 0);
            while let Some(placeholder) = carried.next(text.as_bytes(), from) {
                from = placeholder.span.end;
                found += 1;
            }
            assert_eq!(found, 0, "{piece}");
        }
    }

    proptest! {
        #[test]
        fn filling_any_text_replaces_exactly_its_placeholders(text in "([{}a:]|secret|basic|key|ä|\\{\\{secret:key\\}\\}){0,30}") {
            let filled = carried().fill(text.as_bytes(), PlaceholderContext::Plain, 10_000).unwrap();
            prop_assert_eq!(carried().contains_placeholder(text.as_bytes()), filled != text.as_bytes());
        }

        #[test]
        fn placeholders_are_found_at_every_position(before in "[{}:a]{0,12}", after in "[{}:a]{0,12}", basic: bool) {
            let placeholder = if basic { "{{basic:u:key}}" } else { "{{secret:key}}" };
            let text = format!("{before}{placeholder}{after}");
            prop_assert!(carried().contains_placeholder(text.as_bytes()), "{}", text);
        }
    }
}
