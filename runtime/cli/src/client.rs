//! The HTTP client of a host: JSON requests, with a refusal distinguished from a host that does not
//! answer.
//!
//! Every answer has a maximum size; no command holds more than one page of a list in memory.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use tidemill_api_types::{List, ProblemDetails};

use crate::error::{CliError, chain};
use crate::globals::GlobalArgs;
use crate::printer::Row;
use crate::profile;

/// Default URL of a host.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7077";
/// Maximum size of an answer in memory, in bytes.
const ANSWER_BYTES: usize = 16 << 20;
/// Timeout for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum length of a token, in bytes.
const TOKEN_BYTES: u64 = 4096;

/// A client of one host.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    http: reqwest::Client,
}

/// The answer to a request.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Vec<u8>,
}

/// A stored value with its entity tag.
#[derive(Debug)]
pub struct Download {
    /// The entity tag, without quotes.
    pub tag: Option<String>,
    /// The bytes.
    pub body: Vec<u8>,
}

/// An answer: its shape, and its JSON with the fields that this program does not know.
#[derive(Debug, Clone)]
pub struct Record<T> {
    shape: T,
    json: Value,
}

impl<T: Serialize> Record<T> {
    /// Builds the record of a shape that this program made itself.
    pub fn of(shape: T) -> Self {
        let json = serde_json::to_value(&shape).unwrap_or_default();
        Self { shape, json }
    }
}

impl<T> Deref for Record<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shape
    }
}

impl<T> Serialize for Record<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(to)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Record<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(from)?;
        let shape = T::deserialize(&json).map_err(serde::de::Error::custom)?;
        Ok(Self { shape, json })
    }
}

impl<T: Row> Row for Record<T> {
    const HEADS: &'static [&'static str] = T::HEADS;

    fn cells(&self) -> Vec<String> {
        self.shape.cells()
    }
}

/// A host's URL, and the token for it.
#[derive(PartialEq, Eq)]
struct Target {
    url: String,
    token: Option<String>,
}

impl Target {
    /// Flags override the environment, which overrides the profile. A profile named by a flag
    /// overrides the environment.
    fn find(shared: &GlobalArgs, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CliError> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let flag = shared.url.clone().filter(|url| !url.is_empty());
        let url = match &shared.profile {
            Some(_) => flag,
            None => {
                flag.or_else(|| set("TIDEMILL_URL")).or_else(|| set("TIDEMILL_ADDR").map(|address| url_of(&address)))
            }
        };
        let named = shared.profile.clone().or_else(|| set("TIDEMILL_PROFILE"));
        // A profile is required only for the URL, or if the user names one.
        let profile =
            if url.is_none() || named.is_some() { profile::find(named.as_deref(), environment)? } else { None };
        // The profile's token belongs only to the profile's URL.
        let profile = profile.filter(|profile| url.as_ref().is_none_or(|url| *url == profile.url));
        let token = match (&shared.token_file, &shared.profile) {
            (Some(file), _) => Some(read_token(file)?),
            (None, Some(_)) => None,
            (None, None) => match (set("TIDEMILL_TOKEN"), set("TIDEMILL_TOKEN_FILE")) {
                (Some(token), _) => Some(token),
                (None, Some(file)) => Some(read_token(Path::new(&file))?),
                (None, None) => None,
            },
        };
        let own = profile.as_ref().and_then(|profile| profile.token_file.as_deref());
        let token = match (token, own) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => Some(read_token(file)?),
            (None, None) => None,
        };
        let url = url.or_else(|| profile.map(|profile| profile.url)).unwrap_or_else(|| DEFAULT_URL.to_owned());
        Ok(Self { url, token })
    }
}

impl Client {
    /// Builds the client that flags and environment select.
    ///
    /// # Errors
    /// If the URL or the token is not valid.
    pub fn from_args(shared: &GlobalArgs) -> Result<Self, CliError> {
        let target = Target::find(shared, &|name| std::env::var(name).ok())?;
        Self::new(&target.url, target.token.as_deref())
    }

    /// Builds a client of the host at `url`.
    ///
    /// # Errors
    /// If the URL or the token is not valid.
    pub fn new(url: &str, token: Option<&str>) -> Result<Self, CliError> {
        let url = url.trim_end_matches('/').to_owned();
        let parsed =
            reqwest::Url::parse(&url).ok().filter(|it| matches!(it.scheme(), "http" | "https") && it.has_host());
        let Some(parsed) = parsed else {
            return Err(CliError::usage(
                format!("`{url}` is not the url of a host"),
                "give one such as http://127.0.0.1:7077",
            ));
        };
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
                CliError::usage(
                    "the token has characters that no header allows",
                    "make one with `openssl rand -hex 32`",
                )
            })?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder();
        if parsed.scheme() == "http" {
            // Plain HTTP needs no certificates, and a small container may have none.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .default_headers(headers)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .build()
            .map_err(|cause| CliError::machine("cannot make an HTTP client", &cause))?;
        Ok(Self { url, http })
    }

    /// Returns the host's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a `GET` for bytes that need not be JSON.
    pub async fn fetch(&self, path: &str) -> Result<Download, CliError> {
        let response =
            self.request(Method::GET, path).timeout(PATIENCE).send().await.map_err(|cause| self.unreachable(&cause))?;
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.map(|tag| tag.trim_matches('"').to_owned());
        let answer = self.whole(response).await?;
        if answer.status.is_success() { Ok(Download { tag, body: answer.body }) } else { Err(refusal(&answer)) }
    }

    /// Sends a `GET` and parses the answer as `T`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.json(&self.send(self.request(Method::GET, path), PATIENCE).await?)
    }

    /// Returns the items of a list, page by page, up to `most`.
    pub async fn list<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<Vec<T>, CliError> {
        self.list_from(path, "", most).await
    }

    /// The same as [`Client::list`], with `begin`, such as `&after=7`, in the query of the first
    /// page only.
    pub async fn list_from<T: DeserializeOwned>(
        &self,
        path: &str,
        begin: &str,
        most: usize,
    ) -> Result<Vec<T>, CliError> {
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            let left = (most - items.len()).min(500);
            let mut page = format!("{path}{join}limit={left}");
            match &cursor {
                Some(cursor) => page.push_str(&format!("&cursor={}", encoded(cursor))),
                None => page.push_str(begin),
            }
            let list: List<T> = self.get(&page).await?;
            items.extend(list.items);
            cursor = list.next;
            if items.len() >= most || cursor.is_none() {
                items.truncate(most);
                return Ok(items);
            }
        }
    }

    /// Returns all items of a list.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, CliError> {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut list: List<T> = self.get(path).await?;
        let mut items = std::mem::take(&mut list.items);
        while let Some(cursor) = list.next {
            list = self.get(&format!("{path}{join}cursor={}", encoded(&cursor))).await?;
            items.append(&mut list.items);
        }
        Ok(items)
    }

    /// Sends a `POST` without a body and parses the answer as `T`.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.json(&self.send(self.request(Method::POST, path), PATIENCE).await?)
    }

    /// Sends a `POST` with a JSON body and parses the answer as `T`.
    pub async fn post_json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, CliError> {
        self.ask(Method::POST, path, serde_json::to_vec(body).unwrap_or_default(), &[]).await
    }

    /// Sends a request with a body and extra headers, and parses the answer as `T`.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Result<T, CliError> {
        let mut request = self.request(method, path).header(CONTENT_TYPE, "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.json(&self.send(request, PATIENCE).await?)
    }

    /// Uploads a component's bytes with `PUT`.
    pub async fn upload(&self, path: &str, bytes: Vec<u8>) -> Result<HttpAnswer, CliError> {
        let request = self.request(Method::PUT, path).header(CONTENT_TYPE, "application/wasm").body(bytes);
        self.send(request, Duration::from_secs(180)).await
    }

    /// Sends a `DELETE` with extra headers.
    pub async fn delete(&self, path: &str, headers: &[(&str, &str)]) -> Result<(), CliError> {
        let mut request = self.request(Method::DELETE, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, PATIENCE).await.map(|_| ())
    }

    /// Sends a `GET` for a stream and passes each piece to `take`, which returns whether to
    /// continue.
    pub async fn follow(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), CliError> {
        let mut request = self.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        if !response.status().is_success() {
            let answer = self.whole(response).await?;
            return Err(refusal(&answer));
        }
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if take(&piece) => {}
                Ok(_) => return Ok(()),
                Err(cause) => return Err(self.unreachable(&cause)),
            }
        }
        Ok(())
    }

    /// Sends a `GET` with a short timeout.
    pub async fn answers(&self, path: &str) -> Result<HttpAnswer, CliError> {
        let response = self
            .request(Method::GET, path)
            .timeout(Duration::from_secs(3))
            .send()
            .await
            .map_err(|cause| self.unreachable(&cause))?;
        self.whole(response).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    async fn send(&self, request: RequestBuilder, patience: Duration) -> Result<HttpAnswer, CliError> {
        let response = request.timeout(patience).send().await.map_err(|cause| self.unreachable(&cause))?;
        let answer = self.whole(response).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
    }

    async fn whole(&self, response: Response) -> Result<HttpAnswer, CliError> {
        let status = response.status();
        let mut body = Vec::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(|cause| self.unreachable(&cause))?);
            if body.len() > ANSWER_BYTES {
                return Err(CliError::failed("the answer is larger than 16 MiB").with_fix("ask for less, with --limit"));
            }
        }
        Ok(HttpAnswer { status, body })
    }

    fn json<T: DeserializeOwned>(&self, answer: &HttpAnswer) -> Result<T, CliError> {
        answer.json().map_err(|why| {
            CliError::failed(format!("{} does not answer as a host does: {why}", self.url))
                .with_fix("check that the url is that of a Tidemill host of this version")
        })
    }

    fn unreachable(&self, cause: &reqwest::Error) -> CliError {
        // The message contains the URL already.
        let why = if cause.is_timeout() { "no answer in time".to_owned() } else { innermost(cause) };
        CliError::Unreachable { url: self.url.clone(), why }
    }
}

impl HttpAnswer {
    /// Parses the body as JSON.
    ///
    /// # Errors
    /// If the body is not of the expected form.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    chain(last)
}

/// Returns the host's problem, or a description of the answer if it has none.
fn refusal(answer: &HttpAnswer) -> CliError {
    match answer.json::<ProblemDetails>() {
        Ok(problem) if !problem.code.is_empty() => CliError::Refused(Box::new(problem)),
        _ => CliError::failed(format!("the host answered {} without a reason", answer.status))
            .with_fix("check that the url is that of a Tidemill host"),
    }
}

/// Percent-encodes a value for a query or a part of a path.
pub fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Returns the URL under which this machine reaches a host that listens at `address`.
pub fn url_of(address: &str) -> String {
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

/// Reads the token from a file, without the newline at its end.
///
/// # Errors
/// If there is no token.
pub fn read_token(file: &Path) -> Result<String, CliError> {
    let unread = |why: String| {
        CliError::usage(format!("no token in {}: {why}", file.display()), "make one with `openssl rand -hex 32 > FILE`")
    };
    let size = std::fs::metadata(file).map_err(|cause| unread(cause.to_string()))?.len();
    if size > TOKEN_BYTES {
        return Err(unread(format!("the file is longer than {TOKEN_BYTES} bytes")));
    }
    let text = std::fs::read_to_string(file).map_err(|cause| unread(cause.to_string()))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err(unread("it is empty".to_owned())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(url: Option<&str>, profile: Option<&str>) -> GlobalArgs {
        GlobalArgs {
            url: url.map(str::to_owned),
            token_file: None,
            profile: profile.map(str::to_owned),
            json: false,
            quiet: false,
        }
    }

    #[test]
    fn a_token_is_read_from_a_file_and_a_profiles_token_stays_with_its_url() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("token"), "of-the-profile\n").unwrap();
        std::fs::write(path("other"), "of-the-environment\n").unwrap();
        std::fs::write(path("profiles.toml"), "[prod]\nurl = \"https://prod.example\"\ntoken_file = \"token\"\n")
            .unwrap();
        let find = |shared: &GlobalArgs, more: &[(&str, String)]| {
            let environment = |name: &str| {
                let set = more.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
                set.or_else(|| (name == "TIDEMILL_PROFILES").then(|| path("profiles.toml")))
            };
            let target = Target::find(shared, &environment).unwrap();
            (target.url, target.token.unwrap_or_default())
        };
        let plain = shared(None, None);
        assert_eq!(find(&plain, &[]), (DEFAULT_URL.to_owned(), String::new()));
        let file = [("TIDEMILL_TOKEN_FILE", path("other"))];
        assert_eq!(find(&plain, &file), (DEFAULT_URL.to_owned(), "of-the-environment".to_owned()));
        let prod = ("https://prod.example".to_owned(), "of-the-profile".to_owned());
        let elsewhere = [("TIDEMILL_TOKEN", "t".to_owned()), ("TIDEMILL_URL", "http://else".to_owned())];
        assert_eq!(find(&shared(None, Some("prod")), &elsewhere), prod);
        assert_eq!(find(&plain, &[("TIDEMILL_PROFILE", "prod".to_owned())]), prod);
        // The token of a profile is not sent to the URL of a flag.
        assert_eq!(find(&shared(Some("http://evil"), Some("prod")), &[]), ("http://evil".to_owned(), String::new()));
    }

    #[test]
    fn a_query_value_is_encoded() {
        assert_eq!(encoded("a&b=c d/ü"), "a%26b%3Dc%20d%2F%C3%BC");
    }

    #[test]
    fn a_host_on_all_addresses_is_called_on_loopback() {
        assert_eq!(url_of("0.0.0.0:7077"), "http://127.0.0.1:7077");
        assert_eq!(url_of("[::]:80"), "http://127.0.0.1:80");
        assert_eq!(url_of("10.0.0.1:80"), "http://10.0.0.1:80");
    }

    #[test]
    fn a_bad_url_is_wrong_usage() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for bad in ["", "127.0.0.1:7077", "ftp://x", "http://"] {
            assert_eq!(Client::new(bad, None).unwrap_err().exit_code(), 2, "{bad}");
        }
        assert!(Client::new("http://127.0.0.1:7077/", Some("token")).is_ok());
    }
}
