//! The URL of PayPal's certificate, which the sender of a request chooses.

use std::fmt;

use tidemill_core::hook::HookEnvironment;

/// Maximum length of the name of a certificate, in bytes.
const NAME_BYTES: usize = 128;
const PATH: &str = "/v1/notifications/certs/";
const LIVE: [&str; 2] = ["api.paypal.com", "api-m.paypal.com"];
const TEST: [&str; 2] = ["api.sandbox.paypal.com", "api-m.sandbox.paypal.com"];

/// A URL at which PayPal publishes certificates: `https`, one of PayPal's hosts, the path of
/// certificates, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateUrl {
    host: &'static str,
    name: String,
}

/// Why a URL is not one at which PayPal publishes certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificateUrl {
    /// It does not begin with `https://`.
    #[error("it does not begin with `https://`")]
    Scheme,
    /// Its host is not one of PayPal's for the hook's environment, or it has a user or a port.
    #[error("its host is not one of PayPal's for the hook's environment, or it has a user or a port")]
    Host,
    /// Its path is not that of a certificate.
    #[error("its path is not that of a certificate")]
    Path,
}

impl CertificateUrl {
    /// Parses a URL from a request. Text is compared, because a parser of URLs accepts other
    /// spellings of a host.
    ///
    /// # Errors
    /// If it is anything but the URL of a certificate in that environment.
    pub fn parse(text: &str, environment: HookEnvironment) -> Result<Self, InvalidCertificateUrl> {
        let rest = text.strip_prefix("https://").ok_or(InvalidCertificateUrl::Scheme)?;
        let (authority, _) = rest.split_once('/').ok_or(InvalidCertificateUrl::Path)?;
        let hosts = match environment {
            HookEnvironment::Live => LIVE,
            HookEnvironment::Test => TEST,
        };
        let host = hosts.into_iter().find(|host| authority.strip_suffix(":443").unwrap_or(authority) == *host);
        let host = host.ok_or(InvalidCertificateUrl::Host)?;
        let name = rest[authority.len()..].strip_prefix(PATH).ok_or(InvalidCertificateUrl::Path)?;
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if plain && (1..=NAME_BYTES).contains(&name.len()) {
            Ok(Self { host, name: name.to_owned() })
        } else {
            Err(InvalidCertificateUrl::Path)
        }
    }

    /// The origin, such as `https://api.paypal.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{PATH}{}", self.name)
    }

    /// The name of the certificate: letters, digits, hyphens and underscores.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for CertificateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_of_paypal_reads_back() {
        for (url, environment) in [
            ("https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-7a48f8f3", HookEnvironment::Live),
            ("https://api-m.paypal.com/v1/notifications/certs/x", HookEnvironment::Live),
            ("https://api.sandbox.paypal.com/v1/notifications/certs/x", HookEnvironment::Test),
            ("https://api-m.sandbox.paypal.com/v1/notifications/certs/x_1", HookEnvironment::Test),
        ] {
            let parsed = CertificateUrl::parse(url, environment).unwrap();
            assert_eq!(parsed.to_string(), url);
            assert!(url.ends_with(parsed.name()));
            let other = HookEnvironment::ALL.into_iter().find(|other| *other != environment).unwrap();
            assert_eq!(CertificateUrl::parse(url, other), Err(InvalidCertificateUrl::Host));
        }
        let with_port = "https://api.paypal.com:443/v1/notifications/certs/x";
        let url = CertificateUrl::parse(with_port, HookEnvironment::Live).unwrap();
        assert_eq!(url.to_string(), "https://api.paypal.com/v1/notifications/certs/x");
    }

    #[test]
    fn what_is_not_quite_a_url_of_paypal_is_refused() {
        let long = format!("https://api.paypal.com/v1/notifications/certs/{}", "x".repeat(129));
        for url in [
            "http://api.paypal.com/v1/notifications/certs/x",
            "HTTPS://api.paypal.com/v1/notifications/certs/x",
            "//api.paypal.com/v1/notifications/certs/x",
            "https://paypal.com/v1/notifications/certs/x",
            "https://www.paypal.com/v1/notifications/certs/x",
            "https://api.paypal.com.example.org/v1/notifications/certs/x",
            "https://apixpaypal.com/v1/notifications/certs/x",
            "https://evilapi.paypal.com/v1/notifications/certs/x",
            "https://api.paypal.com./v1/notifications/certs/x",
            "https://API.PAYPAL.COM/v1/notifications/certs/x",
            "https://api.p\u{430}ypal.com/v1/notifications/certs/x",
            "https://api%2Epaypal.com/v1/notifications/certs/x",
            "https://api.paypal.com@example.org/v1/notifications/certs/x",
            "https://user@api.paypal.com/v1/notifications/certs/x",
            "https://example.org\\@api.paypal.com/v1/notifications/certs/x",
            "https://api.paypal.com:8443/v1/notifications/certs/x",
            "https://api.paypal.com:/v1/notifications/certs/x",
            "https://api.paypal.com?/v1/notifications/certs/x",
            "https://api.paypal.com#/v1/notifications/certs/x",
            "https://api.paypal.com/v1/notifications/certs/",
            "https://api.paypal.com/v1/notifications/certs",
            "https://api.paypal.com/v1/notifications/certs/a/b",
            "https://api.paypal.com/v1/notifications/certs/../../oauth2/token",
            "https://api.paypal.com/v1/notifications/certs/..%2fx",
            "https://api.paypal.com/v1/notifications/certs/x?y",
            "https://api.paypal.com/v1/notifications/certs/x#y",
            "https://api.paypal.com//v1/notifications/certs/x",
            "https://api.paypal.com/x/v1/notifications/certs/x",
            " https://api.paypal.com/v1/notifications/certs/x",
            "https://api.paypal.com/v1/notifications/certs/x ",
            "https://",
            "",
            &long,
        ] {
            assert!(CertificateUrl::parse(url, HookEnvironment::Live).is_err(), "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_reads_back(
            text in "\\PC{0,80}|https://(user@)?(api|api-m)\\.paypal\\.com(:443|:80|)/v1/notifications/certs/[a-zA-Z0-9/?.-]{0,9}",
        ) {
            if let Ok(url) = CertificateUrl::parse(&text, HookEnvironment::Live) {
                prop_assert_eq!(url.to_string(), text.replacen(":443/", "/", 1));
            }
        }
    }
}
