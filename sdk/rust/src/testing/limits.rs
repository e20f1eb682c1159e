//! The limits of a host by count or size, with the same codes. Does not check what only a sandbox
//! can count (fuel, memory, active time), the size of the journal, whose packed form belongs to the
//! host, and what other runs use, such as a full inbox.

use super::host::durable::StartOptions;
use super::host::http::Request;
use super::host::types::Field;
use super::journal::Failed;
use super::run::{Fake, Left, leave};
use serde_json::Value;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Maximum sizes of state keys and values, and of the writes of one transaction.
const STATE_KEY: usize = 512;
const STATE_VALUE: usize = MIB;
const TRANSACTION_BYTES: usize = 16 * MIB;
/// Maximum number of objects that one transaction may read, write, post, start, send and publish.
const TRANSACTION_OBJECTS: usize = 10_000;
/// Maximum sizes of the body of one request or response, and of all bodies of one `fetch-all`. The
/// second also limits the outcomes of one wait.
const HTTP_BODY: usize = 4 * MIB;
const FETCH_ALL: usize = 6 * MIB;
const FETCH_ALL_REQUESTS: usize = 256;
const HEADERS: usize = 100;
const HEADERS_BYTES: usize = 64 * KIB;
const SECRETS: usize = 16;
/// Maximum timeout of a try, in milliseconds.
const HTTP_TRY: u64 = 10 * 60 * 1000;
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
/// Maximum size of inputs, outputs and results of steps.
const VALUE: usize = 4 * MIB;
/// Maximum nesting depth of a JSON text.
const LEVELS: usize = 64;
/// Maximum length of the names of steps and signals, and of idempotency keys.
const NAME: usize = 255;
const OPEN_STEPS: usize = 64;
const LABELS: usize = 16;
const LABEL: usize = 256;
/// Maximum size of the payloads of signals and events, and of a run's status.
const PAYLOAD: usize = 64 * KIB;
const TOPIC: usize = 128;
/// Maximum numbers of signals and runs in one wait.
const WAIT_SIGNALS: usize = 1_000;
const WAIT_RUNS: usize = 4_096;
const NOTE: usize = KIB;
const LOG_LINE: usize = 64 * KIB;
pub(super) const LOG_FIELDS: usize = 64;
/// Minimum size that a field counts.
const LOG_FIELD: usize = 32;
/// Size that a line counts in addition to its text.
const LOG_LINE_OVERHEAD: u64 = 32;
const RANDOM: u32 = 65_536;
const SIGNED: usize = MIB;
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
        Self { output: VALUE as u64, log: MIB as u64, http_calls: 1_000, http_bytes: 256 * MIB as u64 }
    }
}

/// The usage of one generation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    calls: u64,
    bytes: u64,
    log: u64,
}

type Checked = Result<(), Failed>;

fn bad(why: String) -> Checked {
    Err(Failed::host("bad-argument", why))
}

pub(super) fn key(key: &str) -> Checked {
    match key.len() {
        1..=STATE_KEY => Ok(()),
        len => long_key(len),
    }
}

/// Checks a key prefix, which may be empty.
pub(super) fn prefix(text: &str) -> Checked {
    if text.len() <= STATE_KEY { Ok(()) } else { long_key(text.len()) }
}

fn long_key(len: usize) -> Checked {
    Err(Failed::host("limit-state-key", format!("a state key has 1 to {STATE_KEY} bytes; this one has {len}")))
}

pub(super) fn value(value: &[u8]) -> Checked {
    if value.len() <= STATE_VALUE {
        return Ok(());
    }
    let message = format!("a state value has at most {STATE_VALUE} bytes; this one has {}", value.len());
    Err(Failed::host("limit-state-value", message))
}

pub(super) fn page(limit: u32) -> Checked {
    if limit == 0 { bad("`limit` is 0: a page has at least one entry".to_owned()) } else { Ok(()) }
}

pub(super) fn step(name: &str, open: usize) -> Checked {
    if name.is_empty() || name.len() > NAME {
        return bad(format!("the name of a step has 1 to {NAME} bytes; this one has {}", name.len()));
    }
    if open >= OPEN_STEPS {
        return bad(format!("{OPEN_STEPS} steps are open, which is the maximum"));
    }
    Ok(())
}

/// Checks an input or a result of a step.
pub(super) fn json(what: &str, text: &str) -> Checked {
    bounded(what, text, VALUE)
}

/// Checks the payload of a signal or an event.
pub(super) fn payload(text: &str) -> Checked {
    bounded("the payload", text, PAYLOAD)
}

fn bounded(what: &str, text: &str, most: usize) -> Checked {
    if text.len() > most {
        return bad(format!("{what} has {} bytes; the maximum is {most}", text.len()));
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if levels(&value) > LEVELS => bad(format!("{what} is not JSON: nested deeper than {LEVELS} levels")),
        Ok(_) => Ok(()),
        Err(why) => bad(format!("{what} is not JSON: {why}")),
    }
}

/// Returns the nesting depth of arrays and objects.
fn levels(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

pub(super) fn topic(text: &str) -> Checked {
    let word = |word: &str| {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        !word.is_empty() && word.bytes().all(known)
    };
    if text.len() <= TOPIC && text.split('.').all(word) {
        return Ok(());
    }
    bad(format!("`{}` is not a valid topic", text.chars().take(TOPIC).collect::<String>()))
}

pub(super) fn signal(name: &str) -> Checked {
    match name.len() {
        1..=NAME => Ok(()),
        _ => bad(format!("the name of a signal has 1 to {NAME} bytes")),
    }
}

pub(super) fn waits(signals: usize, runs: usize, ends: bool) -> Checked {
    if signals > WAIT_SIGNALS || runs > WAIT_RUNS {
        return bad(format!(
            "the wait is for {signals} signals and {runs} runs; it may be for {WAIT_SIGNALS} signals and {WAIT_RUNS} runs"
        ));
    }
    if signals + runs == 0 && !ends {
        return bad("the wait is for nothing and has no timeout: it would never end".to_owned());
    }
    Ok(())
}

pub(super) fn start(input: &str, options: &StartOptions) -> Checked {
    json("the input", input)?;
    if options.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > NAME) {
        return bad(format!("an idempotency key has 1 to {NAME} bytes"));
    }
    if options.priority.is_some_and(|priority| !(1..=9).contains(&priority)) {
        return bad("a priority is from 1 to 9".to_owned());
    }
    let long = |label: &Field| label.name.len() + label.value.len() > LABEL;
    if options.labels.len() > LABELS || options.labels.iter().any(long) {
        return bad(format!("a run has at most {LABELS} labels of {LABEL} bytes each"));
    }
    match options.export.as_deref() {
        None | Some("workflow" | "revenue-stream" | "webhook") => Ok(()),
        Some(_) => bad("the export does not exist; it must be `workflow`, `revenue-stream` or `webhook`".to_owned()),
    }
}

/// Checks a message to sign.
pub(super) fn message(message: &[u8]) -> Checked {
    if message.len() <= SIGNED { Ok(()) } else { bad(format!("a message to sign has at most {SIGNED} bytes")) }
}

/// Checks the form of one request, but not its destination.
pub(super) fn request(request: &Request) -> Checked {
    let bad = |why: String| Err(Failed::host("http-bad-request", why));
    let method = request.method.as_bytes();
    let token = (1..=20).contains(&method.len()) && method.iter().all(|b| b.is_ascii_alphabetic() || *b == b'-');
    if !token || ["CONNECT", "TRACE"].iter().any(|refused| request.method.eq_ignore_ascii_case(refused)) {
        return bad(format!("`{}` is not a valid method", request.method.chars().take(20).collect::<String>()));
    }
    super::origin::Origin::of(&request.url)?;
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
        Some(timeout) if timeout == 0 || timeout > HTTP_TRY => {
            bad(format!("the timeout is {timeout} ms; it must be 1 to {HTTP_TRY} ms"))
        }
        _ => Ok(()),
    }
}

fn body(len: usize) -> Checked {
    if len <= HTTP_BODY {
        return Ok(());
    }
    let message = format!("the body has {len} bytes; the maximum is {HTTP_BODY}");
    Err(Failed::host("limit-http-body", message))
}

/// Checks the bodies of one `fetch-all`, of its requests or of its responses.
pub(super) fn bodies(all: usize) -> Checked {
    if all <= FETCH_ALL {
        return Ok(());
    }
    let message = format!("the bodies of one `fetch-all` have {all} bytes; the maximum is {FETCH_ALL}");
    Err(Failed::host("limit-http-body", message))
}

/// Checks the outcomes of one wait.
pub(super) fn outcomes(bytes: usize) -> Checked {
    if bytes <= FETCH_ALL {
        return Ok(());
    }
    let message = format!("the outcomes have {bytes} bytes; the maximum of one call is {FETCH_ALL}");
    Err(Failed::host("limit-host-call", message))
}

/// Checks a metric sample. The call cannot return a failure, so an invalid sample stops the run.
pub(super) fn sample(name: &str, value: f64, labels: &[Field], counts: bool) {
    let is_name = |text: &str| {
        text.len() <= METRIC_NAME
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let good = |label: &Field| is_name(&label.name) && label.value.len() <= METRIC_VALUE;
    let number = value.is_finite() && !(counts && value < 0.0);
    if !is_name(name) || !number || labels.len() > METRIC_LABELS || !labels.iter().all(good) {
        let message = format!("the metric is not valid: `{name}` of {value}, with {} labels", labels.len());
        stopped("bad-argument", message);
    }
}

/// Checks the number of random bytes in one call.
pub(super) fn random(len: u32) {
    if len > RANDOM {
        let message = format!("the guest requested {len} random bytes; the maximum of one call is {RANDOM}");
        stopped("limit-random", message);
    }
}

/// Checks the number of requests in one `fetch-all`.
pub(super) fn requests(count: usize) {
    if count > FETCH_ALL_REQUESTS {
        let message = format!("`http.fetch-all` has {count} requests; the maximum is {FETCH_ALL_REQUESTS}");
        stopped("bad-argument", message);
    }
}

/// Checks the status that operators see.
pub(super) fn status(text: &str) {
    if let Err(failed) = bounded("the status", text, PAYLOAD) {
        leave(Left::Stopped(failed));
    }
}

/// Cuts a note to its maximum.
pub(super) fn note(text: &str) -> &str {
    cut(text, NOTE)
}

fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// Stops the run like a host, regardless of how the module would handle a failure.
fn stopped(code: &str, message: String) -> ! {
    leave(Left::Stopped(Failed::host(code, message)))
}

impl Fake {
    /// Whether this run belongs to the deployment under test, to which the limits and grants apply.
    pub(super) fn is_tested(&self) -> bool {
        self.deployment == self.setup.name
    }

    fn limits(&self) -> Limits {
        if self.is_tested() { self.setup.limits } else { Limits::default() }
    }

    /// Checks that the transaction has room for one more object.
    pub(super) fn has_room(&self) -> Checked {
        let things: usize = self.run.borrow().layers.iter().map(super::layer::Layer::things).sum();
        if things < TRANSACTION_OBJECTS {
            return Ok(());
        }
        let message = format!(
            "the maximum of one transaction is {TRANSACTION_OBJECTS} reads, writes, postings, starts, signals and events"
        );
        Err(Failed::host("limit-commit", message))
    }

    /// Checks that the transaction has room for this number of bytes of state.
    pub(super) fn has_room_for(&self, bytes: usize) -> Checked {
        let written: usize = self.run.borrow().layers.iter().map(|layer| layer.written).sum();
        if written.saturating_add(bytes) <= TRANSACTION_BYTES {
            return Ok(());
        }
        let message = format!("the maximum of one transaction is {TRANSACTION_BYTES} bytes of state");
        Err(Failed::host("limit-commit", message))
    }

    /// Counts a try of a request.
    pub(super) fn count_request(&self, body: usize) -> Checked {
        let limit = self.limits().http_calls;
        let calls = {
            let mut run = self.run.borrow_mut();
            run.used.calls += 1;
            run.used.calls
        };
        if calls > limit {
            let raised = limit.saturating_mul(2);
            let message = format!(
                "the run has sent {limit} requests, tries included; raise it with `http_calls = {raised}` under `[limits]`"
            );
            return Err(Failed::host("limit-http", message));
        }
        self.count_body(body)
    }

    /// Counts its response.
    pub(super) fn count_answer(&self, len: usize) -> Checked {
        body(len)?;
        self.count_body(len)
    }

    fn count_body(&self, len: usize) -> Checked {
        let limit = self.limits().http_bytes;
        let bytes = {
            let mut run = self.run.borrow_mut();
            run.used.bytes = run.used.bytes.saturating_add(len as u64);
            run.used.bytes
        };
        if bytes <= limit {
            return Ok(());
        }
        let message = format!(
            "the bodies of the run's requests and responses exceed {limit} bytes; raise it with `http_bytes` under `[limits]`"
        );
        Err(Failed::host("limit-http", message))
    }

    /// Returns a log line as the host stores it, cut to its maximum, or `None` if the log is full.
    pub(super) fn kept_line(&self, message: &str, fields: &[Field]) -> Option<String> {
        let beside: usize = fields.iter().map(|field| field.name.len() + field.value.len()).sum();
        let counted: usize = fields.iter().map(|field| (field.name.len() + field.value.len()).max(LOG_FIELD)).sum();
        let message = cut(message, LOG_LINE.saturating_sub(beside));
        let mut run = self.run.borrow_mut();
        let bytes = (message.len() + counted) as u64 + LOG_LINE_OVERHEAD;
        if run.used.log.saturating_add(bytes) > self.limits().log {
            return None;
        }
        run.used.log += bytes;
        Some(message.to_owned())
    }

    /// Checks the output of a run.
    pub(super) fn output(&self, output: &str) -> Checked {
        let limit = self.limits().output.min(VALUE as u64);
        if output.len() as u64 <= limit {
            return json("the output", output).map_err(|failed| Failed::host("output-invalid", failed.message));
        }
        let message = format!("the output has {} bytes; the maximum is {limit}", output.len());
        Err(Failed::host("limit-output", message))
    }
}
