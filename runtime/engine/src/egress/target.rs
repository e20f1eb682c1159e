//! The target of a request: its URL, parsed once, and the origin that every rule checks.

use tidemill_core::{Code, Failure};
use url::{Host, Url};

use super::origin::Scheme;

/// Maximum size of a URL, in bytes.
pub(super) const URL_BYTES: usize = 8 * 1024;

/// A valid URL of a request; whether it is allowed is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The URL, without a fragment.
    pub url: Url,
    /// The scheme.
    pub scheme: Scheme,
    /// The host in lower case, without a final dot; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Target {
    /// Parses an absolute URL.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if text.len() > URL_BYTES {
            return Err(bad(format!("the URL has {} bytes; the maximum is {URL_BYTES}", text.len())));
        }
        let url = Url::parse(text).map_err(|error| bad(format!("the URL is not valid: {error}")))?;
        Self::of(url)
    }

    /// Resolves the location of a redirect.
    pub fn join(&self, location: &str) -> Result<Self, Failure> {
        let url = self.url.join(location).map_err(|error| {
            Code::HttpBadAnswer.failure(format!("{} redirects to an invalid URL: {error}", self.origin()))
        })?;
        if url.as_str().len() > URL_BYTES {
            return Err(Code::HttpBadAnswer.failure(format!("{} redirects to a URL that is too long", self.origin())));
        }
        Self::of(url)
    }

    fn of(mut url: Url) -> Result<Self, Failure> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => {
                let other: String = other.chars().take(20).collect();
                return Err(bad(format!("the URL's scheme is `{other}`; only http and https are supported")));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("the URL contains a user: use an `Authorization` header with `{{basic:USER:SECRET}}`"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(bad("the URL has no host")),
        };
        let port = url.port_or_known_default().unwrap_or_else(|| scheme.default_port());
        url.set_fragment(None);
        Ok(Self { url, scheme, host, port })
    }

    /// Returns the address if the URL has one instead of a name.
    pub fn address(&self) -> Option<std::net::IpAddr> {
        self.host.parse().ok()
    }

    /// Whether both have the same scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// Returns scheme, host and port in readable form.
    pub fn origin(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.default_port() {
            format!("{}://{host}", self.scheme.as_str())
        } else {
            format!("{}://{host}:{}", self.scheme.as_str(), self.port)
        }
    }
}

fn bad(message: impl Into<String>) -> Failure {
    Code::HttpBadRequest.failure(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_in_disguise_is_read_as_the_address() {
        for text in
            ["http://127.1/", "http://0x7f.0.0.1/", "http://2130706433/", "http://127.0.0.1./", "http://１２７.0.0.1/"]
        {
            assert_eq!(Target::parse(text).unwrap().address(), Some("127.0.0.1".parse().unwrap()), "{text}");
        }
        assert_eq!(
            Target::parse("http://[::ffff:127.0.0.1]/").unwrap().address(),
            Some("::ffff:127.0.0.1".parse().unwrap())
        );
    }

    #[test]
    fn invalid_urls_are_refused() {
        for text in ["", "/relative", "ftp://a/", "file:///etc/passwd", "http://", "http://user@a/", "http://u:p@a/"] {
            assert_eq!(Target::parse(text).unwrap_err().code, "host/http-bad-request", "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_target_parses_again_to_the_same_origin(text in "\\PC{0,80}|https?://[a-z0-9.:@\\[\\]/{}%?#-]{0,60}") {
            if let Ok(target) = Target::parse(&text) {
                let again = Target::parse(target.url.as_str()).unwrap();
                prop_assert!(again.same_origin(&target));
            }
        }
    }
}
