//! What a deployment may reach. Everything that is not granted is denied.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::ids::{DeploymentName, InvalidName};
use crate::topics::{Topic, TopicPattern};

/// Maximum number of origins, secrets, deployments and topics that one manifest grants, each.
pub const GRANTS: usize = 64;

/// All grants of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Origins to which it may send requests.
    pub http: Vec<HttpGrant>,
    /// Secrets that its requests may carry or that may sign for it.
    pub secrets: Vec<SecretGrant>,
    /// Whether it may post to the ledger.
    pub ledger: bool,
    /// Deployments that it may start, signal and cancel.
    pub deployments: Vec<DeploymentName>,
    /// Topics, or patterns of topics, to which it may publish.
    pub topics: Vec<TopicPattern>,
}

impl Grants {
    /// Whether it may send requests to an origin. `host` is in lower case, an IPv6 address without
    /// its brackets.
    #[must_use]
    pub fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.http.iter().any(|grant| grant.allows(scheme, host, port))
    }

    /// The grant of a secret, by the secret's name.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretGrant> {
        self.secrets.iter().find(|secret| secret.name == name)
    }

    /// Whether it may publish events to a topic.
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        self.topics.iter().any(|pattern| pattern.matches(topic))
    }

    /// The line of a manifest that grants requests to that origin.
    #[must_use]
    pub fn line_for(scheme: &str, host: &str, port: u16) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let port = if Some(port) == default_port(scheme) { String::new() } else { format!(":{port}") };
        format!("http = [\"{scheme}://{host}{port}\"]")
    }
}

/// An origin, or all hosts below a domain name: `https://api.example.com`, `http://10.0.0.1:8080`,
/// `https://*.example.com`.
///
/// Scheme, host and port must all match. `*.example.com` matches every name below `example.com`,
/// at any depth, but not `example.com` itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpGrant {
    scheme: Scheme,
    /// Host in lower case; an IPv6 address is without brackets and in its shortest form.
    host: String,
    below: bool,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl HttpGrant {
    /// Whether it grants requests to an origin. `host` is in lower case, an IPv6 address without
    /// its brackets.
    #[must_use]
    pub fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let named = if self.below {
            host.strip_suffix(self.host.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.host
        };
        named && scheme == self.scheme.as_str() && port == self.port
    }

    /// Whether it grants every origin that `other` grants.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let is_below =
            || other.host.strip_suffix(self.host.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
        let named = match (self.below, other.below) {
            (false, false) => self.host == other.host,
            (false, true) => false,
            (true, false) => is_below(),
            (true, true) => self.host == other.host || is_below(),
        };
        named && self.scheme == other.scheme && self.port == other.port
    }

    /// Its scheme, `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme.as_str()
    }
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), if self.below { "*." } else { "" })?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?
        } else {
            f.write_str(&self.host)?
        }
        if Some(self.port) == default_port(self.scheme.as_str()) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl FromStr for HttpGrant {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = InvalidName {
            kind: "http origin",
            rule: "a scheme, a host and perhaps a port, such as `https://api.example.com`, `http://10.0.0.1:8080` or `https://*.example.com`, without a path",
        };
        if text.len() > 300 {
            return Err(bad);
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = match lower.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            _ => return Err(bad),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(address) => {
                let (address, after) = address.split_once(']').ok_or(bad)?;
                let address: Ipv6Addr = address.parse().map_err(|_| bad)?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(bad)?) };
                (address.to_string(), port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (rest.to_owned(), None),
            },
        };
        let port = match port {
            None => default_port(scheme.as_str()).ok_or(bad)?,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port != 0).ok_or(bad)?
            }
            Some(_) => return Err(bad),
        };
        let (below, host) = match host.strip_prefix("*.") {
            // `*.com` would match a large part of the internet.
            Some(name) if is_host_name(name) && name.contains('.') && !looks_numeric(name) => (true, name.to_owned()),
            Some(_) => return Err(bad),
            None => (false, host),
        };
        let good =
            host.contains(':') || host.parse::<Ipv4Addr>().is_ok() || (is_host_name(&host) && !looks_numeric(&host));
        if good { Ok(Self { scheme, host, below, port }) } else { Err(bad) }
    }
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// Whether a resolver may read it as an address in another notation, such as `127.1` or `0x7f.1`.
fn looks_numeric(text: &str) -> bool {
    text.rsplit('.').next().is_some_and(|last| last.bytes().next().is_some_and(|b| b.is_ascii_digit()))
}

/// A secret and its allowed uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    /// Its name.
    pub name: String,
    /// Origins of requests that may carry it.
    pub to: Vec<HttpGrant>,
    /// Whether it may sign.
    pub sign: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(text: &str) -> HttpGrant {
        text.parse().unwrap()
    }

    #[test]
    fn scheme_host_and_port_must_match() {
        let api = grant("https://API.example.com/");
        assert!(api.allows("https", "api.example.com", 443) && api.allows("https", "api.example.com.", 443));
        for (scheme, host, port) in [
            ("http", "api.example.com", 443),
            ("https", "api.example.com", 8443),
            ("https", "example.com", 443),
            ("https", "evil-api.example.com", 443),
            ("https", "api.example.com.evil.org", 443),
        ] {
            assert!(!api.allows(scheme, host, port), "{scheme}://{host}:{port}");
        }
        assert!(grant("http://[::1]:8080").allows("http", "::1", 8080));
        assert!(grant("http://127.0.0.1:80").allows("http", "127.0.0.1", 80));
    }

    #[test]
    fn a_star_matches_every_name_below_but_not_the_domain_itself() {
        let below = grant("https://*.example.com:8443");
        assert!(below.allows("https", "a.example.com", 8443) && below.allows("https", "a.b.example.com", 8443));
        for host in ["example.com", ".example.com", "evilexample.com", "example.com.evil.org"] {
            assert!(!below.allows("https", host, 8443), "{host}");
        }
    }

    #[test]
    fn malformed_origins_are_refused() {
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https:///",
            "https://a b",
            "https://user@host",
            "https://a/b",
            "https://a?b",
            "https://*",
            "https://*.com",
            "https://*.1.2.3",
            "https://a.*.b.com",
            "https://a:0",
            "https://a:65536",
            "https://a:+80",
            "https://a:",
            "https://127.1",
            "https://0x7f.0.0.1x.1",
            "https://[::1",
            "https://[::1]80",
            "https://ä.com",
            "https://-a.com",
            "https://a..b",
        ] {
            assert!(bad.parse::<HttpGrant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_grant_covers_the_grants_within_it() {
        let below = grant("https://*.example.com");
        for within in
            ["https://a.example.com", "https://a.b.example.com", "https://*.example.com", "https://*.a.example.com"]
        {
            assert!(below.covers(&grant(within)), "{within}");
        }
        for beyond in ["https://example.com", "https://*.other.com", "http://a.example.com", "https://a.example.com:1"]
        {
            assert!(!below.covers(&grant(beyond)), "{beyond}");
        }
        assert!(!grant("https://a.example.com").covers(&below));
    }

    proptest! {
        #[test]
        fn any_text_is_an_origin_or_refused(text in "\\PC{0,60}|https?://[a-z0-9.*:\\[\\]/-]{0,30}") {
            if let Ok(grant) = text.parse::<HttpGrant>() {
                prop_assert_eq!(grant.to_string().parse::<HttpGrant>(), Ok(grant));
            }
        }

        #[test]
        fn the_line_that_is_shown_grants_it(https in any::<bool>(), host in "[a-z][a-z0-9]{0,9}(\\.[a-z][a-z0-9]{0,9}){0,3}|::1|10\\.0\\.0\\.1", port in 1u16..) {
            let scheme = if https { "https" } else { "http" };
            let line = Grants::line_for(scheme, &host, port);
            let origin = line.trim_start_matches("http = [\"").trim_end_matches("\"]");
            prop_assert!(grant(origin).allows(scheme, &host, port), "{}", line);
        }
    }
}
