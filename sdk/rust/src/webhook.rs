//! What a webhook is given, and what it replies.

use crate::{Error, Result, Timestamp, json};
use serde::{Serialize, de::DeserializeOwned};

/// An HTTP delivery that the host has authenticated and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The provider's id of the event, or one that the host made.
    pub id: String,
    /// Which of the deployment's hooks took it.
    pub hook: String,
    /// The request's method.
    pub method: String,
    /// The request's path.
    pub path: String,
    /// The request's query, without the `?`.
    pub query: String,
    /// The request's headers, in order.
    pub headers: Vec<(String, String)>,
    /// The request's body, as it came.
    pub body: Vec<u8>,
    /// When it came.
    pub received_at: Timestamp,
    /// The scheme that verified it: `stripe`, `paypal`, `standard-webhooks`, `github`, `token` or `none`.
    pub verified_by: String,
}

impl Delivery {
    /// The first header of that name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// `bad-input`, not retryable, where it does not have the shape of `T`; the message names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::decode_bytes(&self.body).map_err(|why| Error::new("bad-input", format!("the delivery's body: {why}")))
    }
}

/// Sent to the caller where the hook waits for it, otherwise kept with the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// 200 and a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::status(200).header("Content-Type", "text/plain; charset=utf-8").body(text.into())
    }

    /// 200 and JSON.
    ///
    /// # Errors
    /// `not-json` where the value does not serialise.
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Self> {
        Ok(Self::status(200).header("Content-Type", "application/json").body(json::encode(value)?))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl From<()> for Reply {
    /// 200 and an empty body.
    fn from((): ()) -> Self {
        Self::status(200)
    }
}
