//! The language in which a manifest declares an HMAC.

use std::fmt;
use std::str::FromStr;

use crate::hook::place::{HeaderName, ParameterName};
use crate::hook::signed::SignedTemplate;
use crate::ids::InvalidName;

/// A declared HMAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HmacSpec {
    /// The header with the signature.
    pub header: HeaderName,
    /// The hash function.
    pub algorithm: HmacAlgorithm,
    /// How the signature is written.
    pub encoding: SignatureEncoding,
    /// Where the signature is in the header.
    pub form: SignatureForm,
    /// What is signed.
    pub signed: SignedTemplate,
    /// The time of the signature, which the signature covers.
    pub time: Option<SignedTime>,
}

/// The hash function of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HmacAlgorithm {
    /// SHA-1, for providers that offer nothing else.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HmacAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureEncoding {
    /// Hexadecimal digits in lower case.
    Hex,
    /// Base64 with padding.
    Base64,
    /// Base64 with `-` and `_`, without padding.
    Base64Url,
}

impl SignatureEncoding {
    /// Every encoding.
    pub const ALL: [Self; 3] = [Self::Hex, Self::Base64, Self::Base64Url];

    /// Its name in a manifest.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
        }
    }
}

/// Where a signature is in its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureForm {
    /// The header is the signature after a prefix, which may be empty.
    Whole {
        /// The prefix, of printable ASCII.
        prefix: String,
    },
    /// The header is a list of `name=value`; each item of that name is a signature.
    Item {
        /// The name of the items.
        name: ParameterName,
        /// The character between items.
        separator: char,
    },
}

/// The time of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTime {
    /// Where it is: digits, in seconds since 1970.
    pub place: TimePlace,
    /// Maximum difference from the time of receipt, in milliseconds.
    pub tolerance_millis: u64,
}

/// The place of a signature's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimePlace {
    /// A header: `header:X-Timestamp`.
    Header(HeaderName),
    /// An item of the signature's header: `item:ts`.
    Item(ParameterName),
}

impl fmt::Display for TimePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Item(name) => write!(f, "item:{name}"),
        }
    }
}

impl FromStr for TimePlace {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        const BAD: InvalidName = InvalidName {
            kind: "place of a time",
            rule: "\"header:NAME\", or \"item:NAME\" of the signature's header, such as \"header:X-Timestamp\"",
        };
        let (kind, name) = text.split_once(':').ok_or(BAD)?;
        match kind {
            "header" => name.parse().map(Self::Header).map_err(|_| BAD),
            "item" => name.parse().map(Self::Item).map_err(|_| BAD),
            _ => Err(BAD),
        }
    }
}
