//! Templates of the text that an HMAC signs.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::hook::place::HeaderName;
use crate::ids::InvalidName;

/// Maximum length of a template, in bytes.
const TEMPLATE_BYTES: usize = 256;
/// Maximum number of parts of a template.
const PARTS: usize = 16;

/// The text that is signed, such as `v0:{time}:{body}`. At most one value is the body, and between
/// two values is text that the first of them does not contain, except between `{url}` and the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTemplate(Vec<SignedPart>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedPart {
    /// Text as it is.
    Text(String),
    /// The raw body: `{body}`.
    Body,
    /// The fields of a form, sorted by name, each name followed by its value: `{sorted-form}`.
    SortedForm,
    /// The text of the time of the signature: `{time}`.
    Time,
    /// The value of a header: `{header:X-Id}`.
    Header(HeaderName),
    /// The raw query without `?`: `{query}`.
    Query,
    /// The hook's public URL with the query: `{url}`.
    Url,
}

impl SignedPart {
    const fn is_body(&self) -> bool {
        matches!(self, Self::Body | Self::SortedForm)
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "body" => Self::Body,
            "sorted-form" => Self::SortedForm,
            "time" => Self::Time,
            "query" => Self::Query,
            "url" => Self::Url,
            _ => Self::Header(name.strip_prefix("header:")?.parse().ok()?),
        })
    }
}

impl SignedTemplate {
    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[SignedPart] {
        &self.0
    }

    /// Whether the signature covers the body.
    #[must_use]
    pub fn covers_body(&self) -> bool {
        self.0.iter().any(SignedPart::is_body)
    }

    /// Whether the signature covers a part.
    #[must_use]
    pub fn covers(&self, part: &SignedPart) -> bool {
        self.0.contains(part)
    }

    /// The parts that a sender can cut into other values under the same signature: a sorted form,
    /// because nothing separates its names and values, and `{url}` with a body right after it.
    /// `None` if the text has one reading.
    #[must_use]
    pub fn several_readings(&self) -> Option<Range<usize>> {
        let body = self.0.iter().position(SignedPart::is_body)?;
        let start = if body > 0 && self.0[body - 1] == SignedPart::Url { body - 1 } else { body };
        (start < body || self.0[body] == SignedPart::SortedForm).then_some(start..body + 1)
    }

    /// Whether the signature covers a part, and nothing else can be read as this part.
    #[must_use]
    pub fn fixes(&self, part: &SignedPart) -> bool {
        let several = self.several_readings().unwrap_or_default();
        self.0.iter().position(|known| known == part).is_some_and(|at| !several.contains(&at))
    }

    /// Whether each value ends at a text, so that only what
    /// [`several_readings`](Self::several_readings) selects has several readings.
    fn is_separated(parts: &[SignedPart]) -> bool {
        let bodies = parts.iter().filter(|part| part.is_body()).count();
        let unique = parts.iter().all(|part| {
            matches!(part, SignedPart::Text(_)) || parts.iter().filter(|other| *other == part).count() == 1
        });
        let separate = parts.windows(2).all(|pair| match pair {
            // Providers sign this; see `several_readings`.
            [SignedPart::Url, other] if other.is_body() => true,
            [one, other] => matches!(one, SignedPart::Text(_)) || matches!(other, SignedPart::Text(_)),
            _ => true,
        });
        bodies <= 1 && unique && separate && parts.iter().any(|part| !matches!(part, SignedPart::Text(_)))
    }
}

impl fmt::Display for SignedTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            SignedPart::Text(text) => f.write_str(text),
            SignedPart::Body => f.write_str("{body}"),
            SignedPart::SortedForm => f.write_str("{sorted-form}"),
            SignedPart::Time => f.write_str("{time}"),
            SignedPart::Header(name) => write!(f, "{{header:{name}}}"),
            SignedPart::Query => f.write_str("{query}"),
            SignedPart::Url => f.write_str("{url}"),
        })
    }
}

impl FromStr for SignedTemplate {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const BAD: InvalidName = InvalidName {
            kind: "template of what is signed",
            rule: "text with {body} or {sorted-form}, {time}, {header:NAME}, {query} and {url}, each at most once and with text between them, such as \"v0:{time}:{body}\"",
        };
        if text.len() > TEMPLATE_BYTES || !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(BAD);
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() && parts.len() <= PARTS {
            if let Some(inner) = rest.strip_prefix('{') {
                let (name, after) = inner.split_once('}').ok_or(BAD)?;
                parts.push(SignedPart::parse(name).ok_or(BAD)?);
                rest = after;
            } else {
                let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
                if literal.contains('}') {
                    return Err(BAD);
                }
                parts.push(SignedPart::Text(literal.to_owned()));
                rest = after;
            }
        }
        if parts.len() <= PARTS && Self::is_separated(&parts) { Ok(Self(parts)) } else { Err(BAD) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn templates_read_back() {
        for text in [
            "{body}",
            "v0:{time}:{body}",
            "{header:x-id}.{time}.{body}",
            "{url}{sorted-form}",
            "{url}{body}",
            "{query}",
            "{body}.{time}",
        ] {
            assert_eq!(text.parse::<SignedTemplate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn ambiguous_and_malformed_templates_are_refused() {
        for bad in [
            "",
            "text",
            "{time}{body}",
            "{body}{body}",
            "{body}.{sorted-form}",
            "{time}.{time}",
            "{query}{body}",
            "{header:a}{header:b}",
            "{header:}",
            "{}",
            "{",
            "}",
            "a}{body}",
            "{{body}}",
            "{id}",
            "\n{body}",
            &"{body}a".repeat(40),
        ] {
            assert!(bad.parse::<SignedTemplate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_template_knows_what_it_covers() {
        let template: SignedTemplate = "{header:X-Id}.{time}.{body}".parse().unwrap();
        assert!(template.covers_body() && template.covers(&SignedPart::Time) && !template.covers(&SignedPart::Url));
        assert!(template.covers(&SignedPart::Header("X-ID".parse().unwrap())));
        assert!(!"{query}".parse::<SignedTemplate>().unwrap().covers_body());
    }

    #[test]
    fn a_template_knows_which_parts_have_several_readings() {
        let header = || SignedPart::Header("x-id".parse().unwrap());
        for (text, several, fixed, open) in [
            ("{time}.{body}", None, vec![SignedPart::Body, SignedPart::Time], vec![]),
            ("{url}|{body}", None, vec![SignedPart::Url, SignedPart::Body], vec![]),
            ("{body}|{url}", None, vec![SignedPart::Url, SignedPart::Body], vec![]),
            ("{query}", None, vec![SignedPart::Query], vec![SignedPart::Body, SignedPart::Url]),
            ("{url}{body}", Some(0..2), vec![], vec![SignedPart::Url, SignedPart::Body]),
            ("{header:x-id}.{url}{body}", Some(2..4), vec![header()], vec![SignedPart::Url, SignedPart::Body]),
            ("{sorted-form}", Some(0..1), vec![], vec![SignedPart::SortedForm, SignedPart::Body]),
            ("{url}{sorted-form}", Some(0..2), vec![], vec![SignedPart::Url, SignedPart::SortedForm]),
            ("{url}|{sorted-form}", Some(2..3), vec![SignedPart::Url], vec![SignedPart::SortedForm]),
        ] {
            let template: SignedTemplate = text.parse().unwrap();
            assert_eq!(template.several_readings(), several, "{text}");
            assert!(fixed.iter().all(|part| template.fixes(part)), "{text}");
            assert!(!open.iter().any(|part| template.fixes(part)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused(
            text in "\\PC{0,40}|(\\{(body|time|url|header:[a-z]{0,2}|sorted-form)\\}|[:.]){0,6}",
        ) {
            if let Ok(template) = text.parse::<SignedTemplate>() {
                prop_assert_eq!(template.to_string().parse::<SignedTemplate>(), Ok(template));
            }
        }
    }
}
