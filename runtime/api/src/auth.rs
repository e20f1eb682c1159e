//! Authorizes requests: a bearer token, compared in constant time; without a token, only callers on
//! this machine.

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Uri, Version};
use subtle::ConstantTimeEq as _;
use tidemill_core::Code;

use crate::problem::{ApiResult, Problem, quoted};

/// Header in which a browser relates the calling page's site to the host's (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that does not name one host (RFC 9112, section 3.2).
///
/// # Errors
/// [`Code::BadHeader`] if an HTTP/1.1 request has no `Host`, any request has more than one, the
/// value is not a host, or the request's target names another host.
pub fn check_host(version: Version, uri: &Uri, headers: &HeaderMap) -> ApiResult<()> {
    let bad = |detail: &str| {
        Err(Problem::new(Code::BadHeader, detail).fix("Send one `Host` header with the name and port of this host."))
    };
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes(),
        (None, _) if version < Version::HTTP_11 => return Ok(()),
        (None, _) => return bad("a request of HTTP/1.1 has a `Host` header"),
        (Some(_), Some(_)) => return bad("the request has more than one `Host` header"),
    };
    if !host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_~:[]%!$&'()*+,;=".contains(byte)) {
        return bad("the `Host` header is not a host");
    }
    match uri.authority() {
        Some(target) if !target.as_str().as_bytes().eq_ignore_ascii_case(host) => {
            bad("the request's target and its `Host` header name different hosts")
        }
        _ => Ok(()),
    }
}

/// Authorizes a request.
///
/// # Errors
/// [`Code::Unauthorized`] without the right token. If the host has no token:
/// [`Code::OriginRefused`] if `host` does not name this machine's loopback, which stops a web page
/// that points its own name here. In both cases also [`Code::OriginRefused`] if `origin` or
/// `sec-fetch-site` names another site.
pub fn check(token: Option<&str>, headers: &HeaderMap) -> ApiResult<()> {
    check_origin(headers)?;
    match token {
        Some(token) => check_token(token, headers),
        None => check_loopback(headers),
    }
}

fn check_token(token: &str, headers: &HeaderMap) -> ApiResult<()> {
    let Some(given) = headers.get(AUTHORIZATION) else {
        return Err(Problem::new(Code::Unauthorized, "the request has no `authorization` header"));
    };
    let (scheme, given) = given.as_bytes().split_at_checked(7).unwrap_or_default();
    if scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(given.trim_ascii().ct_eq(token.as_bytes())) {
        Ok(())
    } else {
        Err(Problem::new(Code::Unauthorized, "the token of the request is not this host's"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

/// Refuses requests of other sites' pages. Only the host's own pages may call.
fn check_origin(headers: &HeaderMap) -> ApiResult<()> {
    // A `GET` by another site's page has no `Origin`. `none` is a user who typed the address.
    if text(headers, &SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(Problem::new(Code::OriginRefused, "a page of another site may not call this host"));
    }
    let Some(origin) = text(headers, &ORIGIN) else { return Ok(()) };
    let site = origin.split_once("://").map(|(_, site)| site);
    if site.is_some() && site == text(headers, &HOST) {
        return Ok(());
    }
    Err(Problem::new(Code::OriginRefused, format!("a page of `{}` may not call this host", quoted(origin))))
}

fn check_loopback(headers: &HeaderMap) -> ApiResult<()> {
    // A program that speaks HTTP/1.0 may omit it; a browser does not.
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
    Err(Problem::new(
        Code::OriginRefused,
        format!("this host has no token and does not answer to the name `{}`", quoted(host)),
    )
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
            assert_eq!(check(bad).unwrap_err().code(), "host/unauthorized", "{bad}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let check = |origin, host| check(None, &headers(&[(ORIGIN, origin), (HOST, host)]));
        assert!(check("http://127.0.0.1:7077", "127.0.0.1:7077").is_ok());
        assert!(check("http://evil.example", "127.0.0.1:7077").is_err());
        assert!(check("null", "127.0.0.1:7077").is_err());
        // A page's own name that points at this machine.
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

    #[test]
    fn a_browser_on_another_site_is_refused_without_an_origin_too() {
        for (site, good) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false), ("", false)]
        {
            let headers = headers(&[(SEC_FETCH_SITE, site), (AUTHORIZATION, "Bearer s3cret"), (HOST, "localhost")]);
            assert_eq!(check(None, &headers).is_ok(), good, "{site}");
            assert_eq!(check(Some("s3cret"), &headers).is_ok(), good, "{site}");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        let check = |version, uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, HeaderValue::from_str(host).unwrap());
            }
            check_host(version, &uri.parse().unwrap(), &headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(check(Version::HTTP_11, "/", &["localhost:7077"]), Ok(()));
        assert_eq!(check(Version::HTTP_11, "/", &["[::1]:7077"]), Ok(()));
        assert_eq!(check(Version::HTTP_11, "http://LOCALHOST/", &["localhost"]), Ok(()));
        assert_eq!(check(Version::HTTP_10, "/", &[]), Ok(()));
        for (version, uri, hosts) in [
            (Version::HTTP_11, "/", [].as_slice()),
            (Version::HTTP_11, "/", &["a", "b"]),
            (Version::HTTP_11, "/", &["a", "a"]),
            (Version::HTTP_10, "/", &["a", "b"]),
            (Version::HTTP_11, "/", &["a b"]),
            (Version::HTTP_11, "/", &["user@a"]),
            (Version::HTTP_11, "http://evil.example/", &["localhost"]),
        ] {
            assert_eq!(check(version, uri, hosts), Err(400), "{uri} {hosts:?}");
        }
    }

    proptest! {
        #[test]
        fn headers_of_any_bytes_never_panic(value in prop::collection::vec(0x20u8..=0xff, 0..200)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for name in [AUTHORIZATION, HOST, ORIGIN, SEC_FETCH_SITE] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                let _ = (check(None, &headers), check(Some("token"), &headers));
                let _ = check_host(Version::HTTP_11, &Uri::from_static("/"), &headers);
            }
        }
    }
}
