//! One hop of a request: the first with its secrets filled in, and the targets of redirects.

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue};
use tidemill_core::limits::HTTP_BODY_BYTES;
use tidemill_core::origin::URL_BYTES;
use tidemill_core::{Code, Failure};

use super::outgoing::{HEADERS_BYTES, IDEMPOTENCY_KEY, OutgoingRequest, latin1};
use super::placeholders::{FillError, PlaceholderContext, RequestSecrets};
use super::target::Target;

/// The next target, with headers and body.
#[derive(Clone)]
pub(super) struct Hop {
    pub target: Target,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Headers that a redirect to another origin drops: they were meant for the first.
const CREDENTIALS: [&str; 5] = ["authorization", "cookie", "cookie2", "www-authenticate", IDEMPOTENCY_KEY];

impl Hop {
    /// Returns the request with its secrets filled in.
    pub fn first(
        request: &OutgoingRequest,
        body: Vec<u8>,
        target: Target,
        carried: &mut RequestSecrets,
    ) -> Result<Self, Failure> {
        let target = if carried.is_empty() { target } else { fill_url(&request.url, &target, carried)? };
        let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
        let (mut kind, mut left) = (None, HEADERS_BYTES);
        for (name, value) in &request.headers {
            if name == "content-type" {
                kind = Some(value.to_ascii_lowercase());
            }
            let filled =
                carried.fill_header(value, left).map_err(|unfit| bad(&format!("the header `{name}`"), unfit))?;
            left -= filled.len();
            let mut filled = HeaderValue::from_bytes(&filled)
                .map_err(|_| Code::HttpBadRequest.failure(format!("the header `{name}` cannot be sent")))?;
            filled.set_sensitive(name == AUTHORIZATION || carried.contains_placeholder(value.as_bytes()));
            headers.append(name.clone(), filled);
        }
        if !carried.is_empty() || !headers.contains_key(ACCEPT_ENCODING) {
            // Responses in other encodings could be neither decompressed nor searched for a secret.
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let place = match kind.as_deref() {
            Some(kind) if kind.contains("json") => PlaceholderContext::Json,
            Some(kind) if kind.contains("x-www-form-urlencoded") => PlaceholderContext::Url,
            _ => PlaceholderContext::Plain,
        };
        let body = if carried.is_empty() {
            body
        } else {
            carried.fill(&body, place, HTTP_BODY_BYTES).map_err(|unfit| {
                let code =
                    if matches!(unfit, FillError::TooLong(_)) { Code::LimitHttpBody } else { Code::HttpBadRequest };
                code.failure(format!("the body of the request: {unfit}"))
            })?
        };
        Ok(Self { target, headers, body: body.into() })
    }

    /// Returns the same request for the target of a redirect.
    ///
    /// # Errors
    /// If the location is not a URL, or if it is another origin and the request carries a secret:
    /// the location may repeat the secret in a form that the filter does not find.
    pub fn redirect(mut self, location: &str, carries_secret: bool) -> Result<Self, Failure> {
        let next = self.target.join(location)?;
        if next.origin != self.target.origin {
            if carries_secret {
                return Err(Code::HttpRedirectRefused.failure(format!(
                    "{} redirects a request that carries a secret to another origin; request it with `redirects = 0`, and send \
                     another request without the secret to the `location` of the answer",
                    self.target.origin
                )));
            }
            for name in CREDENTIALS {
                self.headers.remove(name);
            }
            self.headers.remove("content-type");
            self.body = Bytes::new();
        }
        Ok(Self { target: next, ..self })
    }
}

/// Returns the location of a redirect, if the request may follow it.
pub(super) fn location(request: &OutgoingRequest, response: &reqwest::Response) -> Option<String> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !redirects || !request.is_safe() {
        return None;
    }
    response.headers().get("location").map(|value| latin1(value.as_bytes()))
}

/// Fills in path and query. The origin remains the one that was checked.
fn fill_url(text: &str, checked: &Target, carried: &mut RequestSecrets) -> Result<Target, Failure> {
    let authority = text.find("://").map_or(0, |at| at + 3);
    let path =
        text.get(authority..).and_then(|rest| rest.find(['/', '?', '#', '\\'])).map_or(text.len(), |at| authority + at);
    let (origin, rest) = text.split_at(path);
    let filled =
        carried.fill(rest.as_bytes(), PlaceholderContext::Url, URL_BYTES).map_err(|unfit| bad("the URL", unfit))?;
    let target = Target::parse(&format!("{origin}{}", String::from_utf8(filled).unwrap_or_default()))?;
    if target.origin == checked.origin {
        Ok(target)
    } else {
        Err(Code::HttpBadRequest.failure("a secret is allowed in a URL's path and query, not in its origin"))
    }
}

fn bad(what: &str, unfit: FillError) -> Failure {
    Code::HttpBadRequest.failure(format!("{what}: {unfit}"))
}
