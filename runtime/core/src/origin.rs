//! Origins of requests, and the patterns that grant, allow or deny them. There is no other grammar
//! of origins: manifests, policies, the host's egress rules and the SDK's test harness use this
//! one.
//!
//! A manifest holds [`HttpGrant`]s. An operator writes [`OriginPattern`]s, which can also name
//! every host and every port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::str::FromStr;

use crate::ids::InvalidName;

/// Maximum size of a pattern, in bytes.
const PATTERN_BYTES: usize = 300;
/// Maximum size of a URL, in bytes.
pub const URL_BYTES: usize = 8 * 1024;
/// Maximum size of a host name and of one of its labels, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// The two schemes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Returns the scheme as in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port of a URL that names none.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Parses a scheme, ignoring case.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
    }
}

/// Scheme, host and port of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// Creates an origin. `host` is as in a URL: an IPv6 address has brackets, and a name may end
    /// with a dot.
    ///
    /// # Errors
    /// If `host` is neither a host name nor an address, or `port` is 0.
    pub fn new(scheme: Scheme, host: &str, port: u16) -> Result<Self, InvalidName> {
        let host = parse_host(host.strip_suffix('.').unwrap_or(host)).filter(|_| port != 0).ok_or(NOT_AN_ORIGIN)?;
        Ok(Self { scheme, host, port })
    }

    /// Reads the origin of an absolute URL that spells its host plainly: as a name of ASCII
    /// letters, or as an address in its usual notation. Does not check the rest of the URL.
    ///
    /// # Errors
    /// If the URL has another scheme, a user name, or a host in any other notation.
    pub fn of_url(url: &str) -> Result<Self, InvalidName> {
        let (scheme, rest) = url.split_once("://").filter(|_| url.len() <= URL_BYTES).ok_or(NOT_AN_ORIGIN)?;
        let scheme = Scheme::of(scheme).ok_or(NOT_AN_ORIGIN)?;
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        let (host, port) = split_port(authority).ok_or(NOT_AN_ORIGIN)?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(digits) => parse_port(digits).ok_or(NOT_AN_ORIGIN)?,
        };
        Self::new(scheme, host, port)
    }

    /// Returns the scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host in lower case; an IPv6 address is without brackets and in its shortest
    /// form.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address if the host is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_origin(f, self.scheme, "", &self.host, Some(self.port))
    }
}

/// An origin, or a family of origins: `https://api.example.com`, `https://*.example.com:8443`,
/// `http://localhost:*`, `https://*`.
///
/// Without a port, the scheme's default port applies. `*.example.com` matches every name below
/// `example.com` at any depth, but not `example.com` itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginPattern {
    scheme: Scheme,
    host: HostPattern,
    /// `None` is every port.
    port: Option<u16>,
}

/// Hosts as in [`Origin::host`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum HostPattern {
    Any,
    Below(String),
    Exact(String),
}

impl OriginPattern {
    /// Whether the pattern contains an origin.
    #[must_use]
    pub fn matches(&self, origin: &Origin) -> bool {
        self.scheme == origin.scheme
            && self.port.is_none_or(|port| port == origin.port)
            && match &self.host {
                HostPattern::Any => true,
                HostPattern::Below(parent) => is_below(&origin.host, parent),
                HostPattern::Exact(host) => *host == origin.host,
            }
    }

    /// Whether the pattern contains every origin of `other`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && (self.port.is_none() || self.port == other.port)
            && match (&self.host, &other.host) {
                (HostPattern::Any, _) => true,
                (HostPattern::Below(parent), HostPattern::Below(name)) => name == parent || is_below(name, parent),
                (HostPattern::Below(parent), HostPattern::Exact(name)) => is_below(name, parent),
                (HostPattern::Exact(host), HostPattern::Exact(name)) => host == name,
                _ => false,
            }
    }
}

impl FromStr for OriginPattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        parse_pattern(text).ok_or(NOT_A_PATTERN)
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (star, host) = match &self.host {
            HostPattern::Any => ("*", ""),
            HostPattern::Below(parent) => ("*.", parent.as_str()),
            HostPattern::Exact(host) => ("", host.as_str()),
        };
        write_origin(f, self.scheme, star, host, self.port)
    }
}

/// A pattern of a manifest: an origin, or all hosts below a domain name, at one port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpGrant(OriginPattern);

impl FromStr for HttpGrant {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let pattern = parse_pattern(text).ok_or(NOT_A_GRANT)?;
        let is_narrow = match &pattern.host {
            HostPattern::Any => false,
            // `*.com` would match a large part of the internet.
            HostPattern::Below(parent) => parent.contains('.'),
            HostPattern::Exact(_) => true,
        };
        if is_narrow && pattern.port.is_some() { Ok(Self(pattern)) } else { Err(NOT_A_GRANT) }
    }
}

impl Deref for HttpGrant {
    type Target = OriginPattern;

    fn deref(&self) -> &OriginPattern {
        &self.0
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const NOT_AN_ORIGIN: InvalidName =
    InvalidName { kind: "http origin", rule: "http or https, and a host name or an address without a user name" };
const NOT_A_PATTERN: InvalidName = InvalidName {
    kind: "http origin",
    rule: "`https://host`, `https://*.domain` or `https://*`, followed by `:port` or `:*` if it is not the scheme's default port",
};
const NOT_A_GRANT: InvalidName = InvalidName {
    kind: "http origin",
    rule: "a scheme, a host and perhaps a port, such as `https://api.example.com`, `http://10.0.0.1:8080` or `https://*.example.com`, without a path",
};

fn parse_pattern(text: &str) -> Option<OriginPattern> {
    let (scheme, rest) = text.split_once("://").filter(|_| text.len() <= PATTERN_BYTES)?;
    let scheme = Scheme::of(scheme)?;
    let (host, port) = split_port(rest.strip_suffix('/').unwrap_or(rest))?;
    let port = match port {
        None => Some(scheme.default_port()),
        Some("*") => None,
        Some(digits) => Some(parse_port(digits)?),
    };
    let host = match host.strip_prefix("*.") {
        _ if host == "*" => HostPattern::Any,
        Some(parent) => HostPattern::Below(parse_name(parent)?),
        None => HostPattern::Exact(parse_host(host)?),
    };
    Some(OriginPattern { scheme, host, port })
}

/// Splits `host` or `host:port`. The host may be an IPv6 address in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

fn parse_port(digits: &str) -> Option<u16> {
    // `parse` would also accept `+80`.
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?.filter(|port| *port != 0)
}

fn parse_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[') {
        return Some(address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.to_string());
    }
    if text.parse::<Ipv4Addr>().is_ok() { Some(text.to_owned()) } else { parse_name(text) }
}

fn parse_name(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A resolver may read such a name as an address in another notation: `127.1`, `0x7f.1`.
    let looks_numeric = text.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
    let is_name = text.len() <= HOST_BYTES && text.split('.').all(is_label) && !looks_numeric;
    is_name.then(|| text.to_ascii_lowercase())
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn write_origin(f: &mut fmt::Formatter<'_>, scheme: Scheme, star: &str, host: &str, port: Option<u16>) -> fmt::Result {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    write!(f, "{}://{star}{open}{host}{close}", scheme.as_str())?;
    match port {
        None => f.write_str(":*"),
        Some(port) if port == scheme.default_port() => Ok(()),
        Some(port) => write!(f, ":{port}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> OriginPattern {
        text.parse().unwrap()
    }

    /// The table holds what each spelling is as a grant, as an operator's pattern, and as a URL
    /// that a host parses; `plain` is what [`Origin::of_url`] reads, if it differs. The tests of
    /// manifests, policies, the engine and the SDK's harness read the same table.
    #[test]
    fn each_spelling_is_read_as_in_the_table() {
        let table: Vec<serde_json::Value> = serde_json::from_str(include_str!("../tests/data/origins.json")).unwrap();
        for row in table {
            let text = row["text"].as_str().unwrap();
            let shown = |read: Option<String>| serde_json::Value::from(read);
            assert_eq!(shown(text.parse::<HttpGrant>().ok().map(|it| it.to_string())), row["grant"], "{text:?}");
            assert_eq!(shown(text.parse::<OriginPattern>().ok().map(|it| it.to_string())), row["operator"], "{text:?}");
            let plain = row.get("plain").unwrap_or(&row["url"]);
            assert_eq!(shown(Origin::of_url(text).ok().map(|it| it.to_string())), *plain, "{text:?}");
        }
    }

    #[test]
    fn a_pattern_matches_exactly_its_origins() {
        for (text, url, expected) in [
            ("https://API.example.com/", "https://api.example.com./charges?x=1", true),
            ("https://api.example.com", "https://api.example.com:443", true),
            ("https://api.example.com", "http://api.example.com", false),
            ("https://api.example.com", "https://api.example.com:8443", false),
            ("https://api.example.com", "https://evil-api.example.com", false),
            ("https://api.example.com", "https://api.example.com.evil.org", false),
            ("https://*.example.com", "https://a.b.example.com/", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://evilexample.com", false),
            ("https://*.example.com:8443", "https://a.example.com", false),
            ("http://[::1]:8080", "http://[0:0::1]:8080/a:b", true),
            ("http://127.0.0.1:80", "http://127.0.0.1", true),
            ("http://localhost:*", "http://localhost:9999", true),
            ("https://*", "https://anything.test", true),
            ("https://*", "https://anything.test:8443", false),
            ("https://*:*", "https://anything.test:8443", true),
            ("https://*:*", "http://anything.test", false),
        ] {
            assert_eq!(pattern(text).matches(&Origin::of_url(url).unwrap()), expected, "{text} {url}");
        }
    }

    #[test]
    fn a_pattern_covers_the_patterns_within_it() {
        for (text, within) in [
            ("https://*.example.com", "https://a.example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com", "https://*.example.com"),
            ("https://*.example.com", "https://*.a.example.com"),
            ("https://*", "https://*.example.com"),
            ("https://*:*", "https://example.com:8443"),
        ] {
            assert!(pattern(text).covers(&pattern(within)), "{text} {within}");
            assert_eq!(pattern(within).covers(&pattern(text)), text == within, "{within} {text}");
        }
        for beyond in ["https://example.com", "https://*.other.com", "http://a.example.com", "https://a.example.com:1"]
        {
            assert!(!pattern("https://*.example.com").covers(&pattern(beyond)), "{beyond}");
        }
        assert!(!pattern("https://*").covers(&pattern("https://a.example.com:8443")));
    }

    const ANY: &str =
        "\\PC{0,60}|(?i:https?)://[a-zA-Z0-9_.*:%@\\\\\\[\\]/-]{0,30}|https?://(\\*\\.)?[a-z.]{1,9}(:[0-9*]{0,6})?";

    proptest! {
        #[test]
        fn what_is_read_reads_back_equal(text in ANY) {
            if let Ok(origin) = Origin::of_url(&text) {
                prop_assert_eq!(Origin::of_url(&origin.to_string()), Ok(origin.clone()));
                prop_assert!(pattern(&origin.to_string()).matches(&origin));
            }
            if let Ok(pattern) = text.parse::<OriginPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<OriginPattern>(), Ok(pattern));
            }
            if let Ok(grant) = text.parse::<HttpGrant>() {
                prop_assert_eq!(grant.to_string().parse::<HttpGrant>(), Ok(grant.clone()));
                prop_assert_eq!(text.parse::<OriginPattern>(), Ok(grant.0));
            }
        }

        #[test]
        fn a_pattern_matches_what_the_patterns_within_it_match(a in 0usize..8, b in 0usize..8, url in 0usize..5) {
            let patterns = ["https://*:*", "https://*", "https://*.b.c", "https://*.b.c:8443", "https://a.b.c", "https://b.c:*",
                "https://*.a.b.c", "https://b.c"];
            let urls = ["https://a.b.c", "https://b.c", "https://b.c:8443", "https://x.a.b.c", "https://a.b.c:8443"];
            let (a, b, origin) = (pattern(patterns[a]), pattern(patterns[b]), Origin::of_url(urls[url]).unwrap());
            prop_assert!(!a.covers(&b) || !b.matches(&origin) || a.matches(&origin), "{} {} {}", a, b, origin);
        }
    }
}
