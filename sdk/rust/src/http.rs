//! Outbound HTTP through the host, to the origins in the deployment's grants.
//!
//! ```no_run
//! # fn main() -> tidemill_sdk::Result<()> {
//! use tidemill_sdk::http;
//!
//! let request = http::get("https://api.example.org/rates").header("Accept", "application/json");
//! let rates: std::collections::BTreeMap<String, u64> = request.send()?.ok()?.json()?;
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

/// Creates a `GET` request to an absolute URL.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// Creates a `HEAD` request to an absolute URL.
pub fn head(url: impl Into<String>) -> Request {
    request("HEAD", url)
}

/// Creates a `POST` request to an absolute URL.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// Creates a `PUT` request to an absolute URL.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// Creates a `PATCH` request to an absolute URL.
pub fn patch(url: impl Into<String>) -> Request {
    request("PATCH", url)
}

/// Creates a `DELETE` request to an absolute URL.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

/// Creates a request with any method to an absolute URL.
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

/// Sends several requests concurrently, at most 16 at a time. The responses have the order of the
/// requests.
pub fn send_all(requests: impl IntoIterator<Item = Request>) -> Vec<Result<Response>> {
    // A request that could not be built is not sent. Its error takes its place in the results.
    let requests: Vec<Result<host::Request>> = requests.into_iter().map(Request::ready).collect();
    let ready: Vec<host::Request> = requests.iter().flatten().cloned().collect();
    let mut answers = if ready.is_empty() { Vec::new() } else { host::fetch_all(&ready) }.into_iter();
    requests
        .into_iter()
        .map(|request| {
            request?;
            answers.next().map_or_else(
                || Err(Error::new("answers-missing", "the host returned fewer responses than requests")),
                Response::from_host,
            )
        })
        .collect()
}

/// A request that has not been sent yet.
///
/// For methods other than `GET` and `HEAD`, the host adds an `Idempotency-Key` that is the same in
/// every try and after a crash, unless the request has one or uses
/// [a new key in each attempt](Request::new_key_each_attempt).
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

    /// Sets the body, up to 4 MiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.wit.body = body.into();
        self
    }

    /// Sets the body as JSON with its `Content-Type`. A value that does not serialize fails when
    /// the request is sent.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        match json::encode(body) {
            Ok(text) => self.header("Content-Type", "application/json").body(text),
            Err(error) => {
                self.refused = Some(error);
                self
            }
        }
    }

    /// Allows the request to use a granted secret. The host replaces `{{secret:NAME}}` in header
    /// values, in the path and query of the URL and in the body, outside the sandbox.
    pub fn secret(mut self, name: impl Into<String>) -> Self {
        self.wit.secrets.push(name.into());
        self
    }

    /// Sends the secret of this name as `Authorization: Bearer …`.
    pub fn bearer_secret(self, name: &str) -> Self {
        self.header("Authorization", format!("Bearer {{{{secret:{name}}}}}")).secret(name)
    }

    /// Sends a user name and a secret as `Authorization: Basic …`.
    pub fn basic_secret(self, user: &str, name: &str) -> Self {
        self.header("Authorization", format!("Basic {{{{basic:{user}:{name}}}}}")).secret(name)
    }

    /// Sets the timeout of each try. The default is 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.wit.timeout = Some(to_millis(timeout));
        self
    }

    /// Sets the retry policy for connection failures, timeouts, 429 and 5xx.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.wit.retry = Some(retry.to_policy());
        self
    }

    /// Uses a new `Idempotency-Key` in each attempt of the enclosing step or run, instead of the
    /// same key in all attempts. **The provider then executes the request again.** Use this if a
    /// new attempt means a new charge, for example after a declined one. A retry after a lost
    /// connection or a crash still has the same key.
    pub fn new_key_each_attempt(mut self) -> Self {
        self.new_key = true;
        self
    }

    /// Sets the maximum number of redirects that a `GET` or `HEAD` follows. The default is 10.
    pub fn redirects(mut self, most: u32) -> Self {
        self.wit.redirects = Some(most);
        self
    }

    /// Sends the request and waits for the whole response. Every status is a response: see
    /// [`Response::ok`].
    ///
    /// # Errors
    /// `host/not-granted` for an origin that the deployment is not granted, or the reason why no
    /// response arrived.
    pub fn send(self) -> Result<Response> {
        Response::from_host(host::fetch(&self.ready()?))
    }

    /// Builds the request that is sent, at the moment of sending.
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

/// A response with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in the order in which they were sent.
    pub headers: Vec<(String, String)>,
    /// The body, up to 4 MiB.
    pub body: Vec<u8>,
    /// The URL after the last redirect.
    pub url: String,
    /// The time from the start of the last try to the end of the body.
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

    /// Returns the response if its status is 2xx.
    ///
    /// # Errors
    /// `http-status` otherwise, with the status in its details; retryable for 408, 425, 429 and
    /// 5xx.
    pub fn ok(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let message = format!("{} answered {}", self.url, self.status);
        let passing = matches!(self.status, 408 | 425 | 429 | 500..=599);
        let error = if passing { Error::retryable("http-status", message) } else { Error::new("http-status", message) };
        Err(error.with_details(serde_json::json!({ "status": self.status, "url": self.url })))
    }

    /// Returns the first header of this name, ignoring case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// `bad-response`, retryable, if it does not match `T`; the message names the field.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        json::decode_bytes(&self.body)
            .map_err(|why| Error::retryable("bad-response", format!("the response of {}: {why}", self.url)))
    }

    /// Reads the body as text.
    ///
    /// # Errors
    /// `bad-response`, retryable, if it is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body)
            .map_err(|why| Error::retryable("bad-response", format!("the response of {}: {why}", self.url)))
    }
}

/// Keeps the unreserved characters of RFC 3986 and encodes all others.
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
    fn a_query_is_encoded_and_precedes_the_fragment() {
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
