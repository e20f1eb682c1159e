//! A request as the guest gave it, checked for form: what can be sent at all, whoever sends it and wherever to.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tidemill_core::limits::{HTTP_BODY_BYTES, HTTP_TRY_DEFAULT_MILLIS, HTTP_TRY_MILLIS};
use tidemill_core::retry::RetryPolicy;
use tidemill_core::{Code, Failure};

use super::target::Target;

/// The most headers, and the most that they hold together.
const HEADERS: usize = 100;
pub(super) const HEADERS_BYTES: usize = 64 * 1024;
/// The most secrets of one request.
const SECRETS: usize = 16;
/// The most redirects that can be asked for, and those that are followed unless asked otherwise.
const REDIRECTS: u32 = 20;
const REDIRECTS_DEFAULT: u32 = 10;
/// The header by which a provider knows a request that it has seen.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Headers that belong to the connection, which is the host's.
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

/// How a request is tried again; the same as for anything else.
pub(crate) type HttpRetry = RetryPolicy;

/// A request that may be sent, in form.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingRequest {
    /// Its method.
    pub method: Method,
    /// Its url as the guest wrote it, placeholders included.
    pub url: String,
    /// Its headers, placeholders included.
    pub headers: Vec<(HeaderName, String)>,
    /// Its body, placeholders included.
    pub body: Vec<u8>,
    /// The secrets that it may carry.
    pub secrets: Vec<String>,
    /// For each try.
    pub timeout: Duration,
    /// When it is tried again.
    pub retry: HttpRetry,
    /// How many redirects are followed.
    pub redirects: u32,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    /// Its status.
    pub status: u16,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// Where it came from.
    pub url: String,
    /// How long the last try took, in milliseconds.
    pub elapsed: u64,
}

impl HttpResponse {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A request before it was looked at.
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
    /// Checks the form.
    pub fn check(self) -> Result<OutgoingRequest, Failure> {
        let method = method(&self.method)?;
        Target::parse(&self.url)?;
        if self.body.len() > HTTP_BODY_BYTES {
            return Err(Code::LimitHttpBody.failure(format!(
                "the body of the request holds {} bytes; at most {HTTP_BODY_BYTES} are sent",
                self.body.len()
            )));
        }
        let bytes: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.headers.len() > HEADERS || bytes > HEADERS_BYTES {
            return Err(bad(format!("at most {HEADERS} headers of {HEADERS_BYTES} bytes together are sent")));
        }
        if self.secrets.len() > SECRETS {
            return Err(bad(format!("a request carries at most {SECRETS} secrets")));
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
    /// Whether it may be sent twice without harm, by its method.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// What the request is, with its placeholders: a secret that was rotated changes nothing.
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

    /// Gives it a key, unless the guest did or its method needs none.
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
        return Err(bad(format!("`{shown}` is no method that is sent")));
    }
    Method::from_bytes(upper.as_bytes()).map_err(|_| bad("the method is not valid"))
}

fn header((name, value): (String, String)) -> Result<(HeaderName, String), Failure> {
    let shown: String = name.chars().take(64).collect();
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad(format!("{shown:?} is no name of a header")))?;
    if OURS.contains(&name.as_str()) {
        return Err(bad(format!("the header `{name}` belongs to the connection, which is the host's")));
    }
    if HeaderValue::from_bytes(value.as_bytes()).is_err() {
        return Err(bad(format!("the value of the header `{name}` holds a byte that no header can hold")));
    }
    Ok((name, value))
}

fn bad(message: impl Into<String>) -> Failure {
    Code::HttpBadRequest.failure(message)
}
