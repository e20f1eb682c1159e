//! Outbound HTTP through the host, to the hosts that the deployment is granted.
//!
//! ```no_run
//! # fn main() -> tidemill_sdk::Result<()> {
//! use tidemill_sdk::http;
//!
//! let answer = http::get("https://api.example.org/rates").header("Accept", "application/json").send()?;
//! let rates: std::collections::BTreeMap<String, u64> = answer.ok()?.json()?;
//! # Ok(())
//! # }
//! ```

use crate::host::http as host;
use crate::host::types::{Failure, Field};
use crate::retry::Retry;
use crate::time::to_millis;
use crate::{Error, Result, durable, json};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A `GET` request to an absolute URL.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// A `HEAD` request to an absolute URL.
pub fn head(url: impl Into<String>) -> Request {
    request("HEAD", url)
}

/// A `POST` request to an absolute URL.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// A `PUT` request to an absolute URL.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// A `PATCH` request to an absolute URL.
pub fn patch(url: impl Into<String>) -> Request {
    request("PATCH", url)
}

/// A `DELETE` request to an absolute URL.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

/// A request with any method to an absolute URL.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request {
        wit: host::Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            secrets: Vec::new(),
            timeout: None,
            retry: None,
            redirects: None,
        },
        refused: None,
        new_key: false,
    }
}

/// Sends several at once, up to 16 at a time; the answers come in the order of the requests.
pub fn send_all(requests: impl IntoIterator<Item = Request>) -> Vec<Result<Response>> {
    // What could not be built is not sent, and its error stands in its place.
    let requests: Vec<Result<host::Request>> = requests.into_iter().map(Request::ready).collect();
    let ready: Vec<host::Request> = requests.iter().flatten().cloned().collect();
    let mut answers = if ready.is_empty() { Vec::new() } else { host::fetch_all(&ready) }.into_iter();
    requests
        .into_iter()
        .map(|request| {
            request?;
            answers.next().map_or_else(
                || Err(Error::new("answers-missing", "the host gave fewer answers than there were requests")),
                Response::from_host,
            )
        })
        .collect()
}

/// A request on its way to being sent.
///
/// To one that is not `GET` or `HEAD` the host adds an `Idempotency-Key` that is the same in every try and after a crash,
/// unless the request has one, or asks for [another in each attempt](Request::new_key_each_attempt).
#[must_use = "a request does nothing until it is sent"]
#[derive(Clone, Debug)]
pub struct Request {
    wit: host::Request,
    refused: Option<Error>,
    new_key: bool,
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.wit.headers.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// Adds `name=value` to the URL's query, percent-encoded, before a `#` if there is one.
    pub fn query(mut self, name: &str, value: impl ToString) -> Self {
        let url = &mut self.wit.url;
        let fragment = url.find('#').map(|at| url.split_off(at)).unwrap_or_default();
        url.push(if url.contains('?') { '&' } else { '?' });
        percent_encode(url, name);
        url.push('=');
        percent_encode(url, &value.to_string());
        url.push_str(&fragment);
        self
    }

    /// The body, up to 4 MiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.wit.body = body.into();
        self
    }

    /// The body as JSON, with its `Content-Type`. A value that does not serialise fails when the request is sent.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match json::encode(body) {
            Ok(text) => self.header("Content-Type", "application/json").body(text),
            Err(error) => {
                self.refused = Some(error);
                self
            }
        }
    }

    /// Allows the request to carry a granted secret: `{{secret:NAME}}` in a header's value, in the URL's path and query or in the
    /// body is replaced outside the sandbox.
    pub fn secret(mut self, name: impl Into<String>) -> Self {
        self.wit.secrets.push(name.into());
        self
    }

    /// Sends the secret of that name as `Authorization: Bearer …`.
    pub fn bearer_secret(self, name: &str) -> Self {
        self.header("Authorization", format!("Bearer {{{{secret:{name}}}}}")).secret(name)
    }

    /// Sends user and secret as `Authorization: Basic …`.
    pub fn basic_secret(self, user: &str, name: &str) -> Self {
        self.header("Authorization", format!("Basic {{{{basic:{user}:{name}}}}}")).secret(name)
    }

    /// How long each try may take; 30 seconds if not said.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.wit.timeout = Some(to_millis(timeout));
        self
    }

    /// Tries again on connection failure, timeout, 429 and 5xx.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.wit.retry = Some(retry.to_policy());
        self
    }

    /// Gives the request an `Idempotency-Key` of its own in each attempt of the step or run that it is in, and not one that is the same in all
    /// of them. **The provider then carries it out again**: say this where a new attempt is meant to be a new charge, as after a declined one. A try
    /// again after a lost connection or a crash still has the same key.
    pub fn new_key_each_attempt(mut self) -> Self {
        self.new_key = true;
        self
    }

    /// How many redirects a `GET` or `HEAD` follows; 10 if not said.
    pub fn redirects(mut self, most: u32) -> Self {
        self.wit.redirects = Some(most);
        self
    }

    /// Sends it, and waits for the whole answer. Any status is an answer: see [`Response::ok`].
    ///
    /// # Errors
    /// `host/not-granted` for a host that the deployment is not granted, and what kept an answer from coming.
    pub fn send(self) -> Result<Response> {
        Response::from_host(host::fetch(&self.ready()?))
    }

    /// As it is to leave, at the moment it does.
    fn ready(mut self) -> Result<host::Request> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        if self.new_key && !matches!(self.wit.method.as_str(), "GET" | "HEAD") {
            self.wit.headers.push(Field { name: "Idempotency-Key".to_owned(), value: durable::new_key() });
        }
        Ok(self.wit)
    }
}

/// An answer, body and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in order, as they were sent.
    pub headers: Vec<(String, String)>,
    /// The body, up to 4 MiB.
    pub body: Vec<u8>,
    /// Where the last redirect led.
    pub url: String,
    /// From sending the last try to the end of its body.
    pub elapsed: Duration,
}

impl Response {
    fn from_host(answer: Result<host::Response, Failure>) -> Result<Self> {
        let response = answer.map_err(Error::from_failure)?;
        Ok(Self {
            status: response.status,
            headers: response.headers.into_iter().map(|Field { name, value }| (name, value)).collect(),
            body: response.body,
            url: response.url,
            elapsed: Duration::from_millis(response.elapsed),
        })
    }

    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The answer itself where its status is 2xx.
    ///
    /// # Errors
    /// `http-status` otherwise, with the status in its details; retryable for 408, 425, 429 and 5xx.
    pub fn ok(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let message = format!("{} answered {}", self.url, self.status);
        let passing = matches!(self.status, 408 | 425 | 429 | 500..=599);
        let error = if passing { Error::retryable("http-status", message) } else { Error::new("http-status", message) };
        Err(error.with_details(serde_json::json!({ "status": self.status, "url": self.url })))
    }

    /// The first header of that name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// `bad-response`, retryable, where it does not have the shape of `T`; the message names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::decode_bytes(&self.body)
            .map_err(|why| Error::retryable("bad-response", format!("the answer of {}: {why}", self.url)))
    }

    /// The body as text.
    ///
    /// # Errors
    /// `bad-response`, retryable, where it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body)
            .map_err(|why| Error::retryable("bad-response", format!("the answer of {}: {why}", self.url)))
    }
}

/// Leaves the unreserved characters of RFC 3986 as they are, and encodes all else.
fn percent_encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            for nibble in [byte >> 4, byte & 15] {
                url.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16) -> Response {
        Response {
            status,
            headers: vec![("Content-Type".into(), "text/plain".into())],
            body: b"not json".to_vec(),
            url: "https://example.org/".into(),
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn a_query_is_encoded_and_stands_before_the_fragment() {
        let request = get("https://example.org/a#top").query("after", "ä &=?").query("limit", 500);
        assert_eq!(request.wit.url, "https://example.org/a?after=%C3%A4%20%26%3D%3F&limit=500#top");
    }

    #[test]
    fn only_passing_statuses_are_worth_another_try() {
        assert!(answer(204).ok().is_ok());
        for (status, retryable) in [(404, false), (429, true), (503, true), (301, false)] {
            let error = answer(status).ok().unwrap_err();
            assert_eq!((error.code(), error.is_retryable()), ("http-status", retryable), "{status}");
        }
    }

    #[test]
    fn a_header_is_found_in_any_case() {
        assert_eq!(answer(200).header("content-type"), Some("text/plain"));
        assert_eq!(answer(200).json::<u8>().unwrap_err().code(), "bad-response");
    }

    #[test]
    fn a_body_that_does_not_serialise_fails_when_sent() {
        let by_pair = std::collections::BTreeMap::from([((1, 2), 3)]);
        let request = post("https://example.org/").json(&by_pair);
        assert_eq!(request.clone().send().unwrap_err().code(), "not-json");
        assert_eq!(send_all([request])[0].as_ref().unwrap_err().code(), "not-json");
    }

    #[test]
    fn secrets_are_placeholders_and_are_listed() {
        let request = get("https://example.org/").bearer_secret("key").basic_secret("me", "password");
        let values: Vec<&str> = request.wit.headers.iter().map(|field| field.value.as_str()).collect();
        assert_eq!(values, ["Bearer {{secret:key}}", "Basic {{basic:me:password}}"]);
        assert_eq!(request.wit.secrets, ["key", "password"]);
    }

    proptest! {
        #[test]
        fn any_value_becomes_plain_ascii(value: String) {
            let request = get("https://example.org/").query("q", &value);
            let encoded = request.wit.url.split_once("?q=").unwrap().1.to_owned();
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
