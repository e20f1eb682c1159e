//! Who may ask: a bearer token, compared in constant time; without a token, only callers on this machine.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq as _;
use tidemill_core::Code;

use crate::problem::{Answer, Problem, quoted};

/// Lets the request pass.
///
/// # Errors
/// [`Code::Unauthorised`] without the right token. Without a token to ask for: [`Code::OriginRefused`] where `host` is
/// not a name of this machine's own loopback, which stops a web page that has pointed its own name here. Either way where
/// `origin` names another site.
pub fn check(token: Option<&str>, headers: &HeaderMap) -> Answer<()> {
    check_origin(headers)?;
    match token {
        Some(token) => check_token(token, headers),
        None => check_loopback(headers),
    }
}

fn check_token(token: &str, headers: &HeaderMap) -> Answer<()> {
    let Some(given) = headers.get(AUTHORIZATION) else {
        return Err(Problem::new(Code::Unauthorised, "the request has no `authorization` header"));
    };
    let (scheme, given) = given.as_bytes().split_at_checked(7).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.trim_ascii().ct_eq(token.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::new(Code::Unauthorised, "the request has another token than this host's"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// A browser says from which site a page calls; only the host's own may.
fn check_origin(headers: &HeaderMap) -> Answer<()> {
    let Some(origin) = text(headers, &ORIGIN) else { return Ok(()) };
    let site = origin.split_once("://").map(|(_, site)| site);
    if site.is_some() && site == text(headers, &HOST) {
        return Ok(());
    }
    Err(Problem::new(Code::OriginRefused, format!("a page of `{}` may not call this host", quoted(origin))))
}

fn check_loopback(headers: &HeaderMap) -> Answer<()> {
    // A program may leave it out; a browser does not.
    let Some(host) = text(headers, &HOST) else { return Ok(()) };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => host.split(':').next(),
    }
    .unwrap_or_default();
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback {
        return Ok(());
    }
    Err(Problem::new(Code::OriginRefused, format!("this host has no token, so it is not called `{}`", quoted(host)))
        .fix("Use `127.0.0.1` or `localhost`, or start the host with a token."))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(of: &[(HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_the_right_token_passes() {
        let check = |value: &str| check(Some("s3cret"), &headers(&[(AUTHORIZATION, value)]));
        assert!(check("Bearer s3cret").is_ok());
        assert!(check("bearer  s3cret ").is_ok());
        for bad in ["", "s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "Bearers3cret"]
        {
            assert_eq!(check(bad).unwrap_err().code(), "host/unauthorised", "{bad}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let check = |origin, host| check(None, &headers(&[(ORIGIN, origin), (HOST, host)]));
        assert!(check("http://127.0.0.1:7077", "127.0.0.1:7077").is_ok());
        assert!(check("http://evil.example", "127.0.0.1:7077").is_err());
        assert!(check("null", "127.0.0.1:7077").is_err());
        // The page's own name was pointed at this machine.
        assert!(check("http://evil.example:7077", "evil.example:7077").is_err());
    }

    #[test]
    fn without_a_token_only_loopback_names_pass() {
        for (host, good) in [
            ("localhost:7077", true),
            ("127.0.0.1", true),
            ("127.9.9.9:1", true),
            ("[::1]:7077", true),
            ("example.com", false),
            ("10.0.0.1:7077", false),
            ("localhost.example.com", false),
            ("[::", false),
            ("", false),
        ] {
            assert_eq!(check(None, &headers(&[(HOST, host)])).is_ok(), good, "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_a_panic(value in prop::collection::vec(0x20u8..=0xff, 0..200)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for name in [AUTHORIZATION, HOST, ORIGIN] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                let _ = (check(None, &headers), check(Some("token"), &headers));
            }
        }
    }
}
