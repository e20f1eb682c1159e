//! Sending: tries, redirects by hand, and reading the answer within its bounds.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, redirect};
use tidemill_core::clock::Stopwatch;
use tidemill_core::{Clock, Code, Failure, Limits};

use super::breakers::{Breakers, LetThrough};
use super::gates::Gates;
use super::outgoing::{Answered, Outgoing};
use super::placeholders::{Carried, Place};
use super::reach::{Reach, refused};
use super::resolve::{AddressRefused, Resolver};
use super::roots::Roots;
use super::target::Target;
use super::usage::{Budget, Usage};

/// Requests of one deployment that may be under way at once, and requests to one host: no deployment takes up a host alone.
const PER_DEPLOYMENT: usize = 32;
const PER_HOST: usize = 128;
/// How long connecting may take, within the try's own time.
const CONNECT: Duration = Duration::from_secs(10);
/// Connections that are kept for the next request, and how long.
const IDLE_PER_HOST: usize = 16;
const IDLE: Duration = Duration::from_secs(60);
/// The longest wait between two tries: it is waited in memory.
const WAIT_MILLIS: u64 = 10 * 60 * 1000;

/// Sends requests. One for each engine; its connections are shared.
pub(crate) struct Egress {
    public: OnceLock<Result<Client, String>>,
    private: OnceLock<Result<Client, String>>,
    roots: Roots,
    deployments: Gates,
    hosts: Gates,
    breakers: Breakers,
}

/// All that one request needs beside itself.
#[derive(Clone)]
pub(crate) struct Leave {
    /// Where it may go.
    pub reach: Reach,
    /// Whose it is.
    pub deployment: String,
    /// What bounds it.
    pub limits: Limits,
    /// What its run has used.
    pub usage: Arc<Usage>,
    /// What the bodies of its call may hold.
    pub budget: Arc<Budget>,
    /// For the jitter between tries.
    pub salt: u64,
}

/// The next place to ask, with what goes along.
struct Hop {
    target: Target,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Egress {
    /// Nothing is opened before the first request.
    pub fn new(clock: Arc<dyn Clock>, roots: Roots) -> Self {
        Self {
            public: OnceLock::new(),
            private: OnceLock::new(),
            roots,
            deployments: Gates::new(PER_DEPLOYMENT),
            hosts: Gates::new(PER_HOST),
            breakers: Breakers::new(clock),
        }
    }

    /// Sends a request, tries it again as its policy says, and answers what the last try brought.
    pub async fn send(&self, request: &Outgoing, leave: &Leave) -> Result<Answered, Failure> {
        let target = Target::parse(&request.url)?;
        // What is denied is denied at once: nothing of it is a matter of trying again.
        leave.reach.check(&target)?;
        let carried = leave.reach.secrets(&request.secrets, &target)?;
        let first = first_hop(request, target, &carried)?;
        let _deployment = self.deployments.pass(&leave.deployment).await;
        let mut attempt = 1;
        loop {
            leave.usage.call(&leave.limits)?;
            let tried = self.once(request, &first, &carried, leave).await;
            let again = match &tried {
                Ok(answer) => answer.status == 429 || answer.status >= 500,
                Err(failure) => {
                    failure.code == Code::HttpConnectFailed.as_str() || failure.code == Code::HttpTimeout.as_str()
                }
            };
            if !again || !request.retry.has_another(attempt) {
                return tried;
            }
            if let Ok(answer) = &tried {
                leave.budget.give_back(answer.body.len());
            }
            attempt += 1;
            let random = leave.salt.rotate_left(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let wait = request.retry.delay_before(attempt, random).min(WAIT_MILLIS);
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }

    /// One try, its redirects included, within its time.
    async fn once(
        &self,
        request: &Outgoing,
        first: &Hop,
        carried: &Carried,
        leave: &Leave,
    ) -> Result<Answered, Failure> {
        let mut asked = None;
        match tokio::time::timeout(request.timeout, self.follow(request, first, carried, leave, &mut asked)).await {
            Ok(tried) => {
                if let Some(asked) = asked {
                    tell(asked, &tried);
                }
                tried
            }
            Err(_) => {
                if let Some(asked) = asked {
                    asked.ended(true);
                }
                Err(Code::HttpTimeout.failure(format!(
                    "{} did not answer within {} ms",
                    first.target.origin(),
                    request.timeout.as_millis()
                )))
            }
        }
    }

    /// Follows redirects to an answer. `asked` is the server that has not answered yet, or whose answer is the result.
    async fn follow(
        &self,
        request: &Outgoing,
        first: &Hop,
        carried: &Carried,
        leave: &Leave,
        asked: &mut Option<LetThrough>,
    ) -> Result<Answered, Failure> {
        let watch = Stopwatch::start();
        let mut hop = Hop { target: first.target.clone(), headers: first.headers.clone(), body: first.body.clone() };
        let mut url = request.url.clone();
        let mut followed = 0;
        loop {
            let private = leave.reach.check(&hop.target)?;
            let let_through = self.breakers.ask(&leave.deployment, &hop.target.origin())?;
            let _host = self.hosts.pass(&hop.target.host).await;
            leave.usage.bytes(hop.body.len(), &leave.limits)?;
            *asked = Some(let_through.sent());
            let response = self.ask(&request.method, &hop, private).await?;
            match location(request, &response) {
                Some(to) if request.redirects > 0 => {
                    if let Some(answered) = asked.take() {
                        answered.ended(false);
                    }
                    if followed == request.redirects {
                        return Err(Code::HttpTooManyRedirects.failure(format!(
                            "{} redirects once more after {followed} redirects",
                            hop.target.origin()
                        )));
                    }
                    followed += 1;
                    let next = hop.target.join(&to)?;
                    if !next.same_origin(&hop.target) {
                        drop_credentials(&mut hop, request, carried);
                    }
                    url = next.url.to_string();
                    hop.target = next;
                }
                _ => {
                    let answer = read(response, &hop.target, leave).await?;
                    return Ok(finish(answer, url, carried, &watch));
                }
            }
        }
    }

    async fn ask(&self, method: &Method, hop: &Hop, private: bool) -> Result<reqwest::Response, Failure> {
        let cell = if private { &self.private } else { &self.public };
        let client =
            cell.get_or_init(|| client(private, &self.roots)).as_ref().map_err(|why| Code::Internal.failure(why))?;
        let mut asked = client.request(method.clone(), hop.target.url.clone()).headers(hop.headers.clone());
        if !hop.body.is_empty() || !matches!(*method, Method::GET | Method::HEAD) {
            asked = asked.body(hop.body.clone());
        }
        asked.send().await.map_err(|error| judge(error, &hop.target))
    }
}

/// Tells the breaker of who was asked last how it went.
fn tell(asked: LetThrough, tried: &Result<Answered, Failure>) {
    let is = |failure: &Failure, codes: &[Code]| codes.iter().any(|code| failure.code == code.as_str());
    match tried {
        Ok(answer) => asked.ended(answer.status >= 500),
        Err(failure) if is(failure, &[Code::HttpConnectFailed, Code::HttpTimeout, Code::HttpBadAnswer]) => {
            asked.ended(true);
        }
        // It answered, and more than the run may read.
        Err(failure) if is(failure, &[Code::LimitHttpBody, Code::LimitHttp]) => asked.ended(false),
        // Nothing was sent.
        Err(_) => drop(asked),
    }
}

/// A client; says why not where TLS cannot be set up, as on a machine without any root certificates.
fn client(private: bool, roots: &Roots) -> Result<Client, String> {
    // Another part of the process may have installed one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |error: reqwest::Error| format!("this host cannot send requests: {error}");
    let roots: Result<Vec<_>, _> = roots.ders().map(Certificate::from_der).collect();
    Client::builder()
        .tls_certs_merge(roots.map_err(failed)?)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Resolver { private })
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .referer(false)
        .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)
}

/// The request with its secrets in place.
fn first_hop(request: &Outgoing, target: Target, carried: &Carried) -> Result<Hop, Failure> {
    let target = if carried.is_empty() { target } else { fill_url(&request.url, &target, carried)? };
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 1);
    let mut kind = None;
    for (name, value) in &request.headers {
        if name == "content-type" {
            kind = Some(value.to_ascii_lowercase());
        }
        let mut filled = HeaderValue::from_bytes(&carried.fill_header(value)?)
            .map_err(|_| Code::HttpBadRequest.failure(format!("the header `{name}` cannot be sent")))?;
        filled.set_sensitive(carried.stands_in(value.as_bytes()));
        headers.append(name.clone(), filled);
    }
    if !carried.is_empty() {
        // A compressed answer could repeat a secret where nobody finds it.
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
    }
    let place = match kind.as_deref() {
        Some(kind) if kind.contains("json") => Place::Json,
        Some(kind) if kind.contains("x-www-form-urlencoded") => Place::Url,
        _ => Place::Plain,
    };
    Ok(Hop { target, headers, body: carried.fill(&request.body, place) })
}

/// Fills path and query; the origin stays what was checked.
fn fill_url(text: &str, checked: &Target, carried: &Carried) -> Result<Target, Failure> {
    let authority = text.find("://").map_or(0, |at| at + 3);
    let path =
        text.get(authority..).and_then(|rest| rest.find(['/', '?', '#', '\\'])).map_or(text.len(), |at| authority + at);
    let (origin, rest) = text.split_at(path);
    let filled = String::from_utf8(carried.fill(rest.as_bytes(), Place::Url)).unwrap_or_default();
    let target = Target::parse(&format!("{origin}{filled}"))?;
    if target.same_origin(checked) {
        Ok(target)
    } else {
        Err(Code::HttpBadRequest.failure("a secret may stand in a url's path and query, not in its origin"))
    }
}

/// Where an answer sends a request that may be sent on.
fn location(request: &Outgoing, response: &reqwest::Response) -> Option<String> {
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

/// Another origin gets nothing that was meant for the first: no secret, no credentials, no body.
fn drop_credentials(hop: &mut Hop, request: &Outgoing, carried: &Carried) {
    for (name, value) in &request.headers {
        if carried.stands_in(value.as_bytes()) {
            hop.headers.remove(name);
        }
    }
    for name in ["authorization", "cookie", "cookie2", "www-authenticate"] {
        hop.headers.remove(name);
    }
    hop.headers.remove("content-type");
    hop.body.clear();
}

/// Reads the body as it comes, within every bound.
async fn read(mut response: reqwest::Response, target: &Target, leave: &Leave) -> Result<Answered, Failure> {
    let status = response.status().as_u16();
    let headers =
        response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), latin1(value.as_bytes()))).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| judge(error, target))? {
        leave.budget.take(chunk.len(), body.len() + chunk.len())?;
        leave.usage.bytes(chunk.len(), &leave.limits)?;
        body.extend_from_slice(&chunk);
    }
    Ok(Answered { status, headers, body, url: String::new(), elapsed: 0 })
}

fn finish(answer: Answered, url: String, carried: &Carried, watch: &Stopwatch) -> Answered {
    let elapsed = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    if carried.is_empty() {
        return Answered { url, elapsed, ..answer };
    }
    let hide = |text: String| String::from_utf8(carried.hide(text.into_bytes())).unwrap_or_default();
    Answered {
        status: answer.status,
        headers: answer.headers.into_iter().map(|(name, value)| (name, hide(value))).collect(),
        body: carried.hide(answer.body),
        url: hide(url),
        elapsed,
    }
}

/// What went wrong, without the url: it may hold a secret.
fn judge(error: reqwest::Error, target: &Target) -> Failure {
    let origin = target.origin();
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        if let Some(address) = inner.downcast_ref::<AddressRefused>() {
            return refused(&origin, &address.to_string());
        }
        words = inner.to_string();
        cause = inner.source();
    }
    let words: String = words.chars().take(300).collect();
    if error.is_timeout() {
        Code::HttpTimeout.failure(format!("{origin} did not answer in time"))
    } else if error.is_builder() {
        Code::HttpBadRequest.failure(format!("the request to {origin} cannot be sent: {words}"))
    } else if error.is_connect() {
        Code::HttpConnectFailed.failure(format!("{origin} could not be reached: {words}"))
    } else {
        Code::HttpBadAnswer.failure(format!("{origin} did not answer in HTTP: {words}"))
    }
}

/// Header values are bytes; those that are not ASCII are read as Latin-1.
fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}
