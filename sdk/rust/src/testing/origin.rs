//! The origin of a request, and the origins in a grant: scheme, host and port, and `*.` for all
//! names below a name. Parses only what the rules need. The host checks the rest of a URL.

use super::journal::Failed;

/// Maximum length of a URL, in bytes.
const URL_BYTES: usize = 8 * 1024;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// Parses the origin of an absolute URL.
    pub(super) fn of(url: &str) -> Result<Self, Failed> {
        let bad = |why: &str| Failed::host("http-bad-request", format!("{why}: {}", cut(url)));
        if url.len() > URL_BYTES {
            return Err(bad("the URL is longer than 8 KiB"));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("the URL is not absolute"))?;
        let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(bad("the URL contains a user name"));
        }
        Self::read(scheme, authority).ok_or_else(|| bad("the URL is not http or https with a host"))
    }

    fn read(scheme: &str, authority: &str) -> Option<Self> {
        let scheme = scheme.to_ascii_lowercase();
        let standard = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let after_address = authority.rfind(']').map_or(0, |end| end + 1);
        let (host, port) = match authority[after_address..].find(':') {
            Some(colon) => {
                let port = &authority[after_address + colon + 1..];
                let port = if port.is_empty() {
                    Some(standard)
                } else {
                    port.parse().ok().filter(|_| !port.starts_with('+')).filter(|port| *port != 0)
                };
                (&authority[..after_address + colon], port?)
            }
            None => (authority, standard),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        let good = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.split('.').all(is_label),
        };
        good.then_some(Self { scheme, host, port })
    }

    /// Returns the line of `[grants]` that allows it.
    pub(super) fn line(&self) -> String {
        format!("http = [\"{self}\"]")
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme.as_str(), self.port) {
            ("http", 80) | ("https", 443) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

/// An origin, or all hosts below a name, in a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    origin: Origin,
    below: bool,
}

impl Pattern {
    /// Parses a grant: `https://api.example.com`, `http://127.0.0.1:8080`, `https://*.example.com`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (below, authority) = match rest.strip_prefix("*.") {
            // `*.com` would match half of the internet.
            Some(name) if name.contains('.') => (true, name),
            Some(_) => return None,
            None => (false, rest),
        };
        let foreign = |c: char| matches!(c, '/' | '?' | '#' | '@' | '*' | '\\');
        let origin = Origin::read(scheme, authority).filter(|_| !authority.contains(foreign))?;
        Some(Self { origin, below })
    }

    pub(super) fn allows(&self, to: &Origin) -> bool {
        let named = if self.below {
            to.host.strip_suffix(&self.origin.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            to.host == self.origin.host
        };
        named && to.scheme == self.origin.scheme && to.port == self.origin.port
    }
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scheme_host_and_port_must_match() {
        let allows = |pattern: &str, url: &str| Pattern::of(pattern).unwrap().allows(&Origin::of(url).unwrap());
        for (pattern, url) in [
            ("https://API.example.com/", "https://api.example.com./charges?x=1"),
            ("https://api.example.com", "https://api.example.com:443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://[::1]:8080", "http://[::1]:8080/a:b"),
            ("https://*.example.com", "https://a.b.example.com/"),
        ] {
            assert!(allows(pattern, url), "{pattern} {url}");
        }
        for (pattern, url) in [
            ("https://api.example.com", "http://api.example.com"),
            ("https://api.example.com", "https://api.example.com:8443"),
            ("https://api.example.com", "https://api.example.com.evil.org"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
        ] {
            assert!(!allows(pattern, url), "{pattern} {url}");
        }
        assert_eq!(Origin::of("http://[::1]:8080/").unwrap().line(), "http = [\"http://[::1]:8080\"]");
    }

    #[test]
    fn what_cannot_be_sent_or_granted_is_neither() {
        for url in ["", "/a", "ftp://a/", "http://", "http://u@a/", "http://a:x/", "http://a b/"] {
            assert_eq!(Origin::of(url).unwrap_err().code, "host/http-bad-request", "{url}");
        }
        for pattern in ["", "example.com", "https://", "https://a/b", "https://*", "https://*.com", "https://a.*.b.com"]
        {
            assert_eq!(Pattern::of(pattern), None, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_origin_or_refused(text in "\\PC{0,60}|https?://[a-z0-9.*:\\[\\]/@-]{0,30}") {
            if let Ok(origin) = Origin::of(&text) {
                prop_assert_eq!(Origin::of(&origin.to_string()), Ok(origin));
            }
            let _ = Pattern::of(&text);
        }
    }
}
