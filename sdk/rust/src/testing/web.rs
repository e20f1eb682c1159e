//! The outside world that answers a module's requests: plain functions, and a provider that honours `Idempotency-Key`s.

use crate::{Error, Timestamp, json};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::rc::Rc;

/// A request as it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its method.
    pub method: String,
    /// Its URL; secrets are placeholders still.
    pub url: String,
    /// Its headers, in order, the host's `Idempotency-Key` among them.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
    /// When it left.
    pub at: Timestamp,
    /// Counts from 1 what this route has been asked: not what the provider answered from its memory of a key, nor anew what was sent again after a crash. **Let an
    /// answer depend on this and on the request alone**: a test that crashes runs the module many times, each in a world that begins anew.
    pub nth: u32,
}

impl Sent {
    /// The first header of that name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its `Idempotency-Key`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.header("Idempotency-Key")
    }

    /// The body read as JSON.
    ///
    /// # Panics
    /// Where it does not have the shape of `T`: the test fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a test fails so")]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        json::decode_bytes(&self.body).unwrap_or_else(|why| panic!("the body of {} {}: {why}", self.method, self.url))
    }

    /// Whether it may change something where it goes.
    pub(super) fn is_effect(&self) -> bool {
        is_effect(&self.method)
    }
}

/// Whether a request of that method may change something.
pub(super) fn is_effect(method: &str) -> bool {
    !matches!(method, "GET" | "HEAD")
}

/// What the outside world answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub(super) result: Result<Whole, Error>,
}

/// Status, headers, body.
type Whole = (u16, Vec<(String, String)>, Vec<u8>);

impl Answer {
    /// A status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { result: Ok((status, Vec::new(), Vec::new())) }
    }

    /// 200 and JSON.
    ///
    /// # Panics
    /// Where it does not serialise: the test fails.
    #[must_use]
    #[track_caller]
    #[allow(clippy::panic, reason = "a test fails so")]
    pub fn json(value: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|why| panic!("an answer: {why}"));
        Self::status(200).with_header("Content-Type", "application/json").with_body(body)
    }

    /// 200 and a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::status(200).with_header("Content-Type", "text/plain; charset=utf-8").with_body(text.into())
    }

    /// No answer: the connection was lost. Whether the request arrived nobody knows, so it may be tried again.
    #[must_use]
    pub fn lost() -> Self {
        Self::failed(Error::retryable("host/http-failed", "the connection was lost"))
    }

    /// No answer but a failure, such as the host's own.
    #[must_use]
    pub fn failed(error: Error) -> Self {
        Self { result: Err(error) }
    }

    /// Another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        if let Ok((own, ..)) = &mut self.result {
            *own = status;
        }
        self
    }

    /// One more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        if let Ok((_, headers, _)) = &mut self.result {
            headers.push((name.into(), value.into()));
        }
        self
    }

    /// Another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Ok((.., own)) = &mut self.result {
            *own = body.into();
        }
        self
    }

    /// What the host's own retries try again.
    pub(super) fn is_passing(&self) -> bool {
        match &self.result {
            Ok((status, ..)) => matches!(status, 429 | 500..=599),
            Err(error) => error.is_retryable(),
        }
    }

    /// Whether the provider did what was asked.
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

pub(super) type Handler = Rc<dyn Fn(&Sent) -> Answer>;

/// Which requests a function answers.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) answer: Handler,
}

impl Route {
    /// `*` stands for any method, and at the end of a URL for any rest of it.
    pub(super) fn takes(&self, method: &str, url: &str) -> bool {
        let by_url = match self.url.strip_suffix('*') {
            Some(prefix) => url.starts_with(prefix),
            None => self.url == url,
        };
        by_url && (self.method == "*" || self.method == method)
    }
}
