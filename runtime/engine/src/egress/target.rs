//! The target of a request: its URL, parsed once, and the origin that every rule checks.

use tidemill_core::origin::{Origin, Scheme, URL_BYTES};
use tidemill_core::{Code, Failure};
use url::Url;

/// A valid URL of a request; whether it is allowed is decided elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The URL, without a fragment.
    pub url: Url,
    /// The origin of the URL as it will be sent.
    pub origin: Origin,
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
            Code::HttpBadAnswer.failure(format!("{} redirects to an invalid URL: {error}", self.origin))
        })?;
        if url.as_str().len() > URL_BYTES {
            return Err(Code::HttpBadAnswer.failure(format!("{} redirects to a URL that is too long", self.origin)));
        }
        Self::of(url)
    }

    fn of(mut url: Url) -> Result<Self, Failure> {
        let scheme = Scheme::of(url.scheme()).ok_or_else(|| {
            let other: String = url.scheme().chars().take(20).collect();
            bad(format!("the URL's scheme is `{other}`; only http and https are supported"))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("the URL contains a user: use an `Authorization` header with `{{basic:USER:SECRET}}`"));
        }
        let port = url.port().unwrap_or_else(|| scheme.default_port());
        let origin = Origin::new(scheme, url.host_str().unwrap_or_default(), port)
            .map_err(|_| bad("the URL's host is neither a host name nor an address, or its port is 0"))?;
        url.set_fragment(None);
        Ok(Self { url, origin })
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
            assert_eq!(Target::parse(text).unwrap().origin.address(), Some("127.0.0.1".parse().unwrap()), "{text}");
        }
        assert_eq!(
            Target::parse("http://[::ffff:127.0.0.1]/").unwrap().origin.address(),
            Some("::ffff:127.0.0.1".parse().unwrap())
        );
    }

    #[test]
    fn each_url_has_the_origin_of_the_common_table() {
        let table = include_str!("../../../core/tests/data/origins.json");
        let table: Vec<serde_json::Value> = serde_json::from_str(table).unwrap();
        for row in table {
            let read = Target::parse(row["text"].as_str().unwrap()).ok().map(|target| target.origin.to_string());
            assert_eq!(serde_json::Value::from(read), row["url"], "{}", row["text"]);
        }
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
                prop_assert_eq!(again.origin, target.origin);
            }
        }
    }
}
