//! The delivery and the reply of a webhook.

use crate::{Error, Result, Timestamp, json};
use serde::{Serialize, de::DeserializeOwned};

/// An HTTP delivery that the host has authenticated and stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The provider's id of the event, or an id that the host generated.
    pub id: String,
    /// The name of the deployment's hook that received the delivery.
    pub hook: String,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The query of the request, without the `?`.
    pub query: String,
    /// The headers of the request, in order.
    pub headers: Vec<(String, String)>,
    /// The body of the request, unchanged.
    pub body: Vec<u8>,
    /// The time of arrival.
    pub received_at: Timestamp,
    /// The scheme that verified the delivery: `stripe`, `paypal`, `standard-webhooks`, `github`,
    /// `token` or `none`.
    pub verified_by: String,
}

impl Delivery {
    /// Returns the first header of this name, ignoring case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `bad-input`, not retryable, if it does not match `T`; the message names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::decode_bytes(&self.body).map_err(|why| Error::new("bad-input", format!("the delivery's body: {why}")))
    }
}

/// The response to the caller if the hook waits for it. Otherwise the host stores it with the run.
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
    /// Creates a reply with a status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Creates a reply with status 200 and text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::status(200).header("Content-Type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Creates a reply with status 200 and JSON.
    ///
    /// # Errors
    /// `not-json` if the value does not serialize.
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
    /// A reply with status 200 and an empty body.
    fn from((): ()) -> Self {
        Self::status(200)
    }
}
