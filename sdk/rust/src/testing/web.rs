//! The outside world that answers a module's requests: plain functions, and a provider that
//! supports `Idempotency-Key`.

use crate::{Error, Timestamp, json};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::rc::Rc;
use tidemill_core::Code;
use tidemill_core::retry_after::after_answer;

/// A request that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentRequest {
    /// The method.
    pub method: String,
    /// The URL, with placeholders for secrets.
    pub url: String,
    /// The headers, in order, including the host's `Idempotency-Key`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The time of sending.
    pub at: Timestamp,
    /// The number of this request on its route, from 1. Requests that the provider answered from
    /// its record of a key do not count, and requests that were sent again after a crash keep their
    /// number. **An answer must depend only on this number and on the request**: a test with
    /// crashes runs the module many times, each in a new world.
    pub nth: u32,
}

impl SentRequest {
    /// Returns the first header of this name, ignoring case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns the `Idempotency-Key`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.header("Idempotency-Key")
    }

    /// Reads the body as JSON.
    ///
    /// # Panics
    /// If it does not match `T`. The test fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        json::decode_bytes(&self.body).unwrap_or_else(|why| panic!("the body of {} {}: {why}", self.method, self.url))
    }

    /// Whether the request may change something at its destination.
    pub(super) fn is_effect(&self) -> bool {
        is_effect(&self.method)
    }
}

/// Whether a request with this method may change something.
pub(super) fn is_effect(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD")
}

/// An answer of the outside world.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub(super) result: Result<Whole, Error>,
}

/// Status, headers and body.
type Whole = (u16, Vec<(String, String)>, Vec<u8>);

impl Answer {
    /// Answers with a status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { result: Ok((status, Vec::new(), Vec::new())) }
    }

    /// Answers with status 200 and JSON.
    ///
    /// # Panics
    /// If the value does not serialize. The test fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|why| panic!("an answer: {why}"));
        Self::status(200).with_header("Content-Type", "application/json").with_body(body)
    }

    /// Answers with status 200 and text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::status(200).with_header("Content-Type", "text/plain; charset=utf-8").with_body(text.into())
    }

    /// Loses the connection instead of answering. It is unknown whether the request arrived, so it
    /// may be retried.
    #[must_use]
    pub fn lost() -> Self {
        Self::failed(Error::retryable(Code::HttpConnectFailed.as_str(), "the connection was lost"))
    }

    /// Fails instead of answering, for example with a failure of the host.
    #[must_use]
    pub fn failed(error: Error) -> Self {
        Self { result: Err(error) }
    }

    /// Sets another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        if let Ok((own, ..)) = &mut self.result {
            *own = status;
        }
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Ok((_, headers, _)) = &mut self.result {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Sets another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Ok((.., own)) = &mut self.result {
            *own = body.into();
        }
        self
    }

    /// Whether the retry policy of a request retries it.
    pub(super) fn is_passing(&self) -> bool {
        match &self.result {
            Ok((status, ..)) => matches!(status, 429 | 500..=599),
            Err(error) => [Code::HttpConnectFailed, Code::HttpTimeout, Code::HttpCircuitOpen]
                .iter()
                .any(|code| code.as_str() == error.code()),
        }
    }

    /// Returns the earliest time of another try that the answer requests.
    pub(super) fn retry_after(&self, now: tidemill_core::Timestamp) -> Option<tidemill_core::Timestamp> {
        let (status, headers, _) = self.result.as_ref().ok()?;
        let header = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Retry-After"));
        after_answer(*status, header.map(|(_, value)| value.as_str()), now)
    }

    /// Whether the provider executed the request.
    pub(super) fn is_success(&self) -> bool {
        matches!(&self.result, Ok((200..=299, ..)))
    }
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        Self::status(status)
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::json(&value)
    }
}

pub(super) type Handler = Rc<dyn Fn(&SentRequest) -> Answer>;

/// The requests that a function answers.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) answer: Handler,
}

impl Route {
    /// Whether the route matches: `*` matches any method, and any rest at the end of a URL.
    pub(super) fn takes(&self, method: &str, url: &str) -> bool {
        let by_url = match self.url.strip_suffix('*') {
            Some(prefix) => url.starts_with(prefix),
            None => self.url == url,
        };
        by_url && (self.method == "*" || self.method == method)
    }
}
