//! The limits of a host by count or size, with the same codes. Does not check what only a sandbox
//! can count (fuel, memory, active time), the size of the journal, whose packed form belongs to the
//! host, and what other runs use, such as a full inbox.

use crate::bindings::imports::tidemill::guest::durable::StartOptions;
use crate::bindings::imports::tidemill::guest::http::Request;
use crate::bindings::imports::tidemill::guest::types::{Field, RetryPolicy as WitRetryPolicy};
use tidemill_core::limits::{
    FETCH_ALL_BYTES, FETCH_ALL_REQUESTS, HTTP_BODY_BYTES, HTTP_TRY_MILLIS, INPUT_BYTES, Limits as RunLimits,
    OUTPUT_BYTES, RANDOM_BYTES, STATE_KEY_BYTES, STATE_VALUE_BYTES,
};
use tidemill_core::operator::{note_problem, retry_limit_problem};
use tidemill_core::origin::Origin;
use tidemill_core::retry::RetryPolicy;
use tidemill_core::run::Export;
use tidemill_core::spawn::OPEN_CHILDREN;
use tidemill_core::topics::EVENT_BYTES;
use tidemill_core::wire::json;
use tidemill_core::{Code, DeploymentName, Failure, Topic};

/// Bounds of the engine.
const HEADERS: usize = 100;
const HEADERS_BYTES: usize = 64 * 1024;
const SECRETS: usize = 16;
/// Headers of the connection, which the host sets.
const OURS: [&str; 11] = [
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
/// Maximum length of the names of steps and signals, and of idempotency keys.
const NAME: usize = 255;
const OPEN_STEPS: usize = 64;
const LABELS: usize = 16;
const LABEL: usize = 256;
/// Maximum number of signals in one wait.
const WAIT_SIGNALS: usize = 1_000;
const NOTE: usize = 1024;
/// Size that a line counts in addition to its text.
pub(super) const LOG_LINE_OVERHEAD: u64 = 32;
const SIGNED: usize = 1024 * 1024;
const METRIC_NAME: usize = 64;
const METRIC_VALUE: usize = 128;
const METRIC_LABELS: usize = 8;

/// Those `[limits]` of a deployment that a native test can count. The defaults are those of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum size of the output, in bytes; at most 4 MiB. A larger output fails the run with
    /// `host/limit-output`.
    pub output: u64,
    /// Maximum size of all log lines of a generation, in bytes. Further lines are dropped.
    pub log: u64,
    /// Maximum number of requests of a generation, tries included. Further requests fail with
    /// `host/limit-http`.
    pub http_calls: u64,
    /// Maximum size of the bodies of these requests and their responses, in bytes. Further requests
    /// fail with `host/limit-http`.
    pub http_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_manifest(&RunLimits::default())
    }
}

impl Limits {
    pub(super) fn of_manifest(limits: &RunLimits) -> Self {
        let RunLimits { output, log, http_calls, http_bytes, .. } = *limits;
        Self { output, log, http_calls, http_bytes }
    }
}

/// The usage of one generation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    pub(super) calls: u64,
    pub(super) bytes: u64,
    pub(super) log: u64,
}

pub(super) type Check = Result<(), Failure>;

fn bad(why: impl Into<String>) -> Check {
    Err(Code::BadArgument.failure(why))
}

/// Checks the arguments of an action on another deployment.
pub(super) fn operator(deployment: &str, note: &str, limit: Option<u32>) -> Result<DeploymentName, Failure> {
    let name = deployment_name(deployment)?;
    match note_problem(note).or_else(|| limit.and_then(retry_limit_problem)) {
        Some(problem) => Err(Code::BadArgument.failure(problem)),
        None => Ok(name),
    }
}

/// Checks the name of another deployment.
pub(super) fn deployment_name(deployment: &str) -> Result<DeploymentName, Failure> {
    deployment.parse().map_err(|_| Code::BadArgument.failure("the deployment's name is not valid"))
}

pub(super) fn key(key: &str) -> Check {
    match key.len() {
        1..=STATE_KEY_BYTES => Ok(()),
        len => long_key(len),
    }
}

/// Checks a key prefix, which may be empty.
pub(super) fn prefix(text: &str) -> Check {
    if text.len() <= STATE_KEY_BYTES { Ok(()) } else { long_key(text.len()) }
}

fn long_key(len: usize) -> Check {
    let message = format!("a state key has 1 to {STATE_KEY_BYTES} bytes; this one has {len}");
    Err(Code::LimitStateKey.failure(message))
}

pub(super) fn value(value: &[u8]) -> Check {
    if value.len() <= STATE_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("a state value has at most {STATE_VALUE_BYTES} bytes; this one has {}", value.len());
    Err(Code::LimitStateValue.failure(message))
}

pub(super) fn page(limit: u32) -> Check {
    if limit == 0 { bad("`limit` is 0: a page has at least one entry") } else { Ok(()) }
}

pub(super) fn step(name: &str, open: usize) -> Check {
    if name.is_empty() || name.len() > NAME {
        return bad(format!("the name of a step has 1 to {NAME} bytes; this one has {}", name.len()));
    }
    if open >= OPEN_STEPS {
        return bad(format!("{OPEN_STEPS} steps are open, which is the maximum"));
    }
    Ok(())
}

pub(super) fn policy(policy: &WitRetryPolicy) -> RetryPolicy {
    RetryPolicy {
        max_attempts: policy.max_attempts,
        initial_millis: policy.initial_delay,
        factor_permille: policy.factor_permille,
        max_millis: policy.max_delay,
        jitter_permille: policy.jitter_permille,
    }
}

/// Checks the policy of a step or a request.
pub(super) fn retry(given: &WitRetryPolicy) -> Result<RetryPolicy, Failure> {
    policy(given).checked().map_err(|why| Code::BadArgument.failure(format!("the retry policy: {why}")))
}

/// Checks a result of a step.
pub(super) fn result(text: &str) -> Check {
    bounded("the result of the step", text, OUTPUT_BYTES)
}

/// Checks the input of a run.
pub(super) fn input(text: &str) -> Check {
    bounded("the input", text, INPUT_BYTES)
}

/// Checks the payload of a signal or an event.
pub(super) fn payload(text: &str) -> Check {
    bounded("the payload", text, EVENT_BYTES)
}

pub(super) fn bounded(what: &str, text: &str, most: usize) -> Check {
    json::check(text.as_bytes(), most).or_else(|why| match why {
        json::InvalidJson::TooLarge { bytes, limit } => {
            bad(format!("{what} has {bytes} bytes; the maximum is {limit}"))
        }
        why @ json::InvalidJson::Wrong(_) => bad(format!("{what} is not JSON: {why}")),
    })
}

pub(super) fn topic(text: &str) -> Result<Topic, Failure> {
    text.parse().map_err(|why: tidemill_core::ids::InvalidName| Code::BadArgument.failure(why.to_string()))
}

pub(super) fn signal(name: &str) -> Check {
    match name.len() {
        1..=NAME => Ok(()),
        _ => bad(format!("the name of a signal has 1 to {NAME} bytes")),
    }
}

pub(super) fn waits(signals: usize, runs: usize, ends: bool) -> Check {
    if signals > WAIT_SIGNALS || runs > OPEN_CHILDREN as usize {
        return bad(format!(
            "the wait is for {signals} signals and {runs} runs; it may be for {WAIT_SIGNALS} signals and {OPEN_CHILDREN} runs"
        ));
    }
    if signals + runs == 0 && !ends {
        return bad("the wait is for nothing and has no timeout: it would never end");
    }
    Ok(())
}

pub(super) fn start(deployment: &str, text: &str, options: &StartOptions) -> Check {
    if deployment.parse::<DeploymentName>().is_err() {
        return bad("the deployment's name is not valid");
    }
    input(text)?;
    if options.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > NAME) {
        return bad(format!("an idempotency key has 1 to {NAME} bytes"));
    }
    if options.priority.is_some_and(|priority| !(1..=9).contains(&priority)) {
        return bad("a priority is from 1 to 9");
    }
    let long = |label: &Field| label.name.len() + label.value.len() > LABEL;
    if options.labels.len() > LABELS || options.labels.iter().any(long) {
        return bad(format!("a run has at most {LABELS} labels of {LABEL} bytes each"));
    }
    match options.export.as_deref().map(Export::parse) {
        Some(None) => bad("the export is unknown: use `workflow`, `revenue-stream` or `webhook`"),
        _ => Ok(()),
    }
}

/// Checks a message to sign.
pub(super) fn message(message: &[u8]) -> Check {
    if message.len() <= SIGNED { Ok(()) } else { bad(format!("a message to sign has at most {SIGNED} bytes")) }
}

/// Checks the form of one request, but not its destination.
pub(super) fn request(request: &Request) -> Check {
    let bad = |why: String| Err(Code::HttpBadRequest.failure(why));
    let method = request.method.as_bytes();
    let token = (1..=20).contains(&method.len()) && method.iter().all(|b| b.is_ascii_alphabetic() || *b == b'-');
    if !token || ["CONNECT", "TRACE"].iter().any(|refused| request.method.eq_ignore_ascii_case(refused)) {
        return bad(format!("`{}` is not a valid method", request.method.chars().take(20).collect::<String>()));
    }
    origin(&request.url)?;
    body(request.body.len())?;
    let bytes: usize = request.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
    if request.headers.len() > HEADERS || bytes > HEADERS_BYTES {
        return bad(format!("a request has at most {HEADERS} headers of {HEADERS_BYTES} bytes together"));
    }
    if request.secrets.len() > SECRETS {
        return bad(format!("a request has at most {SECRETS} secrets"));
    }
    if let Some(ours) = request.headers.iter().find(|it| OURS.contains(&it.name.to_ascii_lowercase().as_str())) {
        return bad(format!("the header `{}` belongs to the connection; the host sets it", ours.name));
    }
    match request.timeout {
        Some(timeout) if timeout == 0 || timeout > HTTP_TRY_MILLIS => {
            bad(format!("the timeout is {timeout} ms; it must be 1 to {HTTP_TRY_MILLIS} ms"))
        }
        _ => Ok(()),
    }
}

/// Returns the origin of a request.
pub(super) fn origin(url: &str) -> Result<Origin, Failure> {
    let shown = || url.chars().take(100).collect::<String>();
    Origin::of_url(url).map_err(|why| Code::HttpBadRequest.failure(format!("the URL `{}` is {why}", shown())))
}

pub(super) fn body(len: usize) -> Check {
    if len <= HTTP_BODY_BYTES {
        return Ok(());
    }
    let message = format!("the body has {len} bytes; the maximum is {HTTP_BODY_BYTES}");
    Err(Code::LimitHttpBody.failure(message))
}

/// Checks the bodies of one `fetch-all`, of its requests or of its responses.
pub(super) fn bodies(all: usize) -> Check {
    if all <= FETCH_ALL_BYTES {
        return Ok(());
    }
    let message = format!("the bodies of one `fetch-all` have {all} bytes; the maximum is {FETCH_ALL_BYTES}");
    Err(Code::LimitHttpBody.failure(message))
}

/// Checks the outcomes of one wait.
pub(super) fn outcomes(bytes: usize) -> Check {
    if bytes <= FETCH_ALL_BYTES {
        return Ok(());
    }
    let message = format!("the outcomes have {bytes} bytes; the maximum of one call is {FETCH_ALL_BYTES}");
    Err(Code::LimitHostCall.failure(message))
}

/// Checks a metric sample.
pub(super) fn sample(name: &str, value: f64, labels: &[Field], counts: bool) -> Check {
    let is_name = |text: &str| {
        text.len() <= METRIC_NAME
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let good = |label: &Field| is_name(&label.name) && label.value.len() <= METRIC_VALUE;
    let number = value.is_finite() && !(counts && value < 0.0);
    if !is_name(name) || !number || labels.len() > METRIC_LABELS || !labels.iter().all(good) {
        let message = format!("the metric is not valid: `{name}` of {value}, with {} labels", labels.len());
        return Err(Code::BadArgument.failure(message));
    }
    Ok(())
}

/// Checks the number of random bytes in one call.
pub(super) fn random(len: u32) -> Check {
    if len > RANDOM_BYTES {
        let message = format!("the guest requested {len} random bytes; the maximum of one call is {RANDOM_BYTES}");
        return Err(Code::LimitRandom.failure(message));
    }
    Ok(())
}

/// Checks the number of requests in one `fetch-all`.
pub(super) fn requests(count: usize) -> Check {
    if count > FETCH_ALL_REQUESTS {
        let message = format!("`http.fetch-all` has {count} requests; the maximum is {FETCH_ALL_REQUESTS}");
        return Err(Code::BadArgument.failure(message));
    }
    Ok(())
}

/// Checks the status that operators see.
pub(super) fn status(text: &str) -> Check {
    bounded("the status", text, EVENT_BYTES)
}

/// Cuts a note to its maximum.
pub(super) fn note(text: &str) -> &str {
    cut(text, NOTE)
}

pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
