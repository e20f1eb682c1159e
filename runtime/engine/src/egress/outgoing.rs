//! Validates the form of a request, whatever its sender and target.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tidemill_core::limits::{HTTP_BODY_BYTES, HTTP_TRY_DEFAULT_MILLIS, HTTP_TRY_MILLIS};
use tidemill_core::retry::RetryPolicy;
use tidemill_core::{Code, Failure};

use super::target::Target;

/// Maximum number of headers, and their maximum total size in bytes.
const HEADERS: usize = 100;
pub(super) const HEADERS_BYTES: usize = 64 * 1024;
/// Maximum number of secrets in one request.
const SECRETS: usize = 16;
/// Maximum and default number of redirects to follow.
const REDIRECTS: u32 = 20;
const REDIRECTS_DEFAULT: u32 = 10;
/// The header by which a provider recognises a repeated request.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Headers of the connection, which belong to the host.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The retry policy of a request.
pub(crate) type HttpRetry = RetryPolicy;

/// A validated request.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingRequest {
    /// The method.
    pub method: Method,
    /// The URL with its placeholders.
    pub url: String,
    /// The headers with their placeholders.
    pub headers: Vec<(HeaderName, String)>,
    /// The body with its placeholders.
    pub body: Vec<u8>,
    /// Names of the secrets that it may carry.
    pub secrets: Vec<String>,
    /// Timeout of each try.
    pub timeout: Duration,
    /// The retry policy.
    pub retry: HttpRetry,
    /// Maximum number of redirects to follow.
    pub redirects: u32,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The URL that sent the response.
    pub url: String,
    /// Duration of the last try, in milliseconds.
    pub elapsed: u64,
}

impl HttpResponse {
    /// Returns the first header of that name, ignoring case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Converts a header value; bytes that are not UTF-8 are read as Latin-1.
pub(super) fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// A request before validation.
pub(crate) struct RequestDraft {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub secrets: Vec<String>,
    pub timeout: Option<u64>,
    pub retry: Option<HttpRetry>,
    pub redirects: Option<u32>,
}

impl RequestDraft {
    /// Validates the form of the request.
    pub fn check(self) -> Result<OutgoingRequest, Failure> {
        let method = method(&self.method)?;
        Target::parse(&self.url)?;
        if self.body.len() > HTTP_BODY_BYTES {
            return Err(Code::LimitHttpBody.failure(format!(
                "the body of the request has {} bytes; the maximum is {HTTP_BODY_BYTES}",
                self.body.len()
            )));
        }
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.headers.len() > HEADERS || bytes > HEADERS_BYTES {
            return Err(bad(format!("a request may have at most {HEADERS} headers of {HEADERS_BYTES} bytes in total")));
        }
        if self.secrets.len() > SECRETS {
            return Err(bad(format!("a request may carry at most {SECRETS} secrets")));
        }
        let headers = self.headers.into_iter().map(header).collect::<Result<_, _>>()?;
        let retry = match self.retry {
            None => HttpRetry::NEVER,
            Some(policy) => {
                policy.checked().map_err(|error| Code::BadArgument.failure(format!("the retry policy: {error}")))?
            }
        };
        let timeout = self.timeout.unwrap_or(HTTP_TRY_DEFAULT_MILLIS);
        if timeout == 0 || timeout > HTTP_TRY_MILLIS {
            return Err(bad(format!("a timeout of {timeout} ms: a try may take 1 to {HTTP_TRY_MILLIS} ms")));
        }
        Ok(OutgoingRequest {
            method,
            url: self.url,
            headers,
            body: self.body,
            secrets: self.secrets,
            timeout: Duration::from_millis(timeout),
            retry,
            redirects: self.redirects.unwrap_or(REDIRECTS_DEFAULT).min(REDIRECTS),
        })
    }
}

impl OutgoingRequest {
    /// Whether the method makes it safe to send the request twice.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// Hashes the request with its placeholders: rotating a secret changes nothing.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        put(self.method.as_str().as_bytes());
        put(self.url.as_bytes());
        for (name, value) in &self.headers {
            put(name.as_str().as_bytes());
            put(value.as_bytes());
        }
        put(b"");
        put(&self.body);
        hash.finalize().into()
    }

    /// Adds an idempotency key, unless the guest set one or the method needs none.
    pub fn set_idempotency_key(&mut self, key: &str) {
        if !self.is_safe() && !self.headers.iter().any(|(name, _)| name == IDEMPOTENCY_KEY) {
            self.headers.push((HeaderName::from_static(IDEMPOTENCY_KEY), key.to_owned()));
        }
    }
}

fn method(text: &str) -> Result<Method, Failure> {
    let upper = text.to_ascii_uppercase();
    let token = (1..=20).contains(&upper.len()) && upper.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if !token || matches!(upper.as_str(), "CONNECT" | "TRACE") {
        let shown: String = text.chars().take(20).collect();
        return Err(bad(format!("the method `{shown}` is not supported")));
    }
    Method::from_bytes(upper.as_bytes()).map_err(|_| bad("the method is not valid"))
}

fn header((name, value): (String, String)) -> Result<(HeaderName, String), Failure> {
    let shown: String = name.chars().take(64).collect();
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("{shown:?} is not a valid header name")))?;
    if OURS.contains(&name.as_str()) {
        return Err(bad(format!("the header `{name}` is set by the host and cannot be overridden")));
    }
    if HeaderValue::from_bytes(value.as_bytes()).is_err() {
        return Err(bad(format!("the value of the header `{name}` contains a byte that is not allowed in a header")));
    }
    Ok((name, value))
}

fn bad(message: impl Into<String>) -> Failure {
    Code::HttpBadRequest.failure(message)
}
