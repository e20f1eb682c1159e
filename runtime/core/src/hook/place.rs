//! Places of values in a request, and the names of headers and parameters.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::flow::Pointer;
use crate::ids::{InvalidName, as_text};

/// Maximum length of the name of a header or a parameter, in bytes.
const NAME_BYTES: usize = 64;
/// Maximum number of levels of a pointer into a body.
const LEVELS: usize = 16;

/// The name of a header, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(Arc<str>);

impl HeaderName {
    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(is_token) {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(InvalidName {
                kind: "header name",
                rule: "1 to 64 letters, digits, hyphens, dots and underscores, such as \"X-Signature\"",
            })
        }
    }
}

as_text!(HeaderName);

/// The name of a parameter of a query, of a form, or of a list in a header.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterName(Arc<str>);

impl ParameterName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.[]".contains(&b);
        if (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName {
                kind: "parameter name",
                rule: "1 to 64 letters, digits, hyphens, dots, underscores and brackets",
            })
        }
    }
}

as_text!(ParameterName);

/// The place of a value in a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValuePlace {
    /// A value in the JSON body: `body:/data/object/id`.
    Body(Pointer),
    /// A field of a body of type `application/x-www-form-urlencoded`: `form:trigger_id`.
    Form(ParameterName),
    /// A header: `header:X-GitHub-Delivery`.
    Header(HeaderName),
    /// A parameter of the query: `query:id`.
    Query(ParameterName),
}

impl ValuePlace {
    /// Whether it is in the body.
    #[must_use]
    pub const fn is_in_body(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Form(_))
    }
}

impl fmt::Display for ValuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(pointer) => write!(f, "body:{}", pointer.as_str()),
            Self::Form(name) => write!(f, "form:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

impl FromStr for ValuePlace {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const BAD: InvalidName = InvalidName {
            kind: "place in a request",
            rule: "\"body:\" with a JSON pointer of at most 16 levels, or \"header:\", \"query:\" or \"form:\" with a name, such as \"body:/data/id\"",
        };
        let (kind, rest) = text.split_once(':').ok_or(BAD)?;
        match kind {
            "body" => {
                let levels = (1..=LEVELS).contains(&rest.matches('/').count());
                rest.parse().ok().filter(|_| levels).map(Self::Body).ok_or(BAD)
            }
            "form" => rest.parse().map(Self::Form).map_err(|_| BAD),
            "header" => rest.parse().map(Self::Header).map_err(|_| BAD),
            "query" => rest.parse().map(Self::Query).map_err(|_| BAD),
            _ => Err(BAD),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_read_back() {
        for text in ["body:/id", "body:/a~1b/0/c", "form:payload", "header:x-id", "query:a[0]"] {
            assert_eq!(text.parse::<ValuePlace>().unwrap().to_string(), text);
        }
        assert_eq!("header:X-Id".parse::<ValuePlace>().unwrap().to_string(), "header:x-id");
        let deep = format!("body:{}", "/a".repeat(17));
        for bad in ["", "/id", "body:", "body:id", "body:/~2", "header:", "header:a b", "cookie:a", "query:ä", &deep] {
            assert!(bad.parse::<ValuePlace>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_place_or_refused(text in "\\PC{0,80}|(body|header|query|form):[/a-z~01\\[\\]]{0,20}") {
            if let Ok(place) = text.parse::<ValuePlace>() {
                prop_assert_eq!(place.to_string().parse::<ValuePlace>(), Ok(place));
            }
        }
    }
}
