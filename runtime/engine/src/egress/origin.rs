//! Origin patterns of an operator, who can allow requests to any origin: `https://*`. A
//! deployment's grants are narrower (`tidemill_core::manifest::HttpGrant`).

use std::fmt;
use std::str::FromStr;

/// An origin, or a family of origins: `https://api.example.com`, `https://*.example.com:8443`,
/// `http://localhost:*`, `https://*`.
///
/// Without a port, the scheme's default port applies. `*.example.com` matches every name below
/// `example.com`, but not `example.com` itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginPattern {
    scheme: Scheme,
    host: HostPattern,
    port: Option<u16>,
}

/// The two schemes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum HostPattern {
    Any,
    Below(String),
    Exact(String),
}

/// Maximum size of a pattern, in bytes.
const PATTERN_BYTES: usize = 300;

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
}

impl OriginPattern {
    /// Whether the pattern matches an origin. `host` is in lower case, an IPv6 address without
    /// brackets.
    #[must_use]
    pub fn fits(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.scheme == scheme
            && self.port.is_none_or(|own| own == port)
            && match &self.host {
                HostPattern::Any => true,
                HostPattern::Exact(own) => own == host,
                HostPattern::Below(parent) => {
                    host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                }
            }
    }
}

/// The text is not an origin pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an origin: write `https://host`, `https://*.domain` or `https://*`, followed by `:port` or `:*` if it is not the scheme's default port"
)]
pub struct BadOrigin;

impl FromStr for OriginPattern {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text.len() > PATTERN_BYTES {
            return Err(BadOrigin);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadOrigin)?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return Err(BadOrigin),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            None => Some(scheme.default_port()),
            Some("*") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok().filter(|port| *port > 0).ok_or(BadOrigin)?)
            }
            Some(_) => return Err(BadOrigin),
        };
        let host = host.to_ascii_lowercase();
        let host = if host == "*" {
            HostPattern::Any
        } else if let Some(parent) = host.strip_prefix("*.") {
            HostPattern::Below(name(parent)?)
        } else if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: std::net::Ipv6Addr = address.parse().map_err(|_| BadOrigin)?;
            HostPattern::Exact(address.to_string())
        } else {
            HostPattern::Exact(name(&host)?)
        };
        Ok(Self { scheme, host, port })
    }
}

/// Validates a host name or IPv4 address without wildcards.
fn name(text: &str) -> Result<String, BadOrigin> {
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if text.len() <= 253 && text.split('.').all(label) { Ok(text.to_owned()) } else { Err(BadOrigin) }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.as_str())?;
        match &self.host {
            HostPattern::Any => f.write_str("*")?,
            HostPattern::Below(parent) => write!(f, "*.{parent}")?,
            HostPattern::Exact(host) if host.contains(':') => write!(f, "[{host}]")?,
            HostPattern::Exact(host) => f.write_str(host)?,
        }
        match self.port {
            None => f.write_str(":*"),
            Some(port) if port == self.scheme.default_port() => Ok(()),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> OriginPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_matches_exactly_its_origins() {
        let exact = pattern("https://api.example.com");
        assert!(exact.fits(Scheme::Https, "api.example.com", 443));
        assert!(!exact.fits(Scheme::Http, "api.example.com", 80));
        assert!(!exact.fits(Scheme::Https, "api.example.com", 8443));
        assert!(!exact.fits(Scheme::Https, "xapi.example.com", 443));
        let below = pattern("https://*.example.com");
        assert!(below.fits(Scheme::Https, "a.b.example.com", 443));
        assert!(!below.fits(Scheme::Https, "example.com", 443));
        assert!(!below.fits(Scheme::Https, "badexample.com", 443));
        assert!(!below.fits(Scheme::Https, ".example.com", 443));
        assert!(pattern("http://localhost:*").fits(Scheme::Http, "localhost", 9999));
        assert!(pattern("https://*").fits(Scheme::Https, "anything.test", 443));
        assert!(pattern("http://[::1]:80").fits(Scheme::Http, "::1", 80));
    }

    #[test]
    fn invalid_origins_are_refused() {
        for bad in
            ["", "example.com", "ftp://x", "https://", "https://a/b", "https://a b", "https://*x.com", "https://a:0"]
        {
            assert_eq!(bad.parse::<OriginPattern>(), Err(BadOrigin), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_what_is_read_reads_back(text in "\\PC{0,60}|https?://[a-z*.:0-9\\[\\]]{0,30}") {
            if let Ok(pattern) = text.parse::<OriginPattern>() {
                prop_assert_eq!(pattern.to_string().parse::<OriginPattern>(), Ok(pattern));
            }
        }
    }
}
