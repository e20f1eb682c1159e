//! What a host bounds by count or by size, refused here with the same codes. Not here: what only a sandbox can count, which is fuel, memory and the time
//! that a module works; the size of the journal, whose packed form is the host's; and what other runs take up, such as a full inbox.

use super::host::durable::StartOptions;
use super::host::http::Request;
use super::host::types::Field;
use super::journal::Failed;
use super::run::{Fake, Left, leave};
use serde_json::Value;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Keys and values of state, and what one stretch writes.
const STATE_KEY: usize = 512;
const STATE_VALUE: usize = MIB;
const STRETCH_WRITES: usize = 16 * MIB;
/// What one stretch may read, write, post, start, send and publish.
const STRETCH_THINGS: usize = 10_000;
/// Bodies of one request or answer, and of one `fetch-all`; the outcomes of one wait have the same bound.
const HTTP_BODY: usize = 4 * MIB;
const FETCH_ALL: usize = 6 * MIB;
const FETCH_ALL_REQUESTS: usize = 256;
const HEADERS: usize = 100;
const HEADERS_BYTES: usize = 64 * KIB;
const SECRETS: usize = 16;
/// The longest try of a request, in milliseconds.
const HTTP_TRY: u64 = 10 * 60 * 1000;
/// Headers that belong to the connection, which is the host's.
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
/// Inputs, outputs and results of steps.
const VALUE: usize = 4 * MIB;
/// How deep a JSON text may nest.
const LEVELS: usize = 64;
/// Names of steps and signals, and idempotency keys.
const NAME: usize = 255;
const OPEN_STEPS: usize = 64;
const LABELS: usize = 16;
const LABEL: usize = 256;
/// Payloads of signals and events, and a run's status.
const PAYLOAD: usize = 64 * KIB;
const TOPIC: usize = 128;
/// Signals and runs in one wait.
const WAIT_SIGNALS: usize = 1_000;
const WAIT_RUNS: usize = 4_096;
const NOTE: usize = KIB;
const LOG_LINE: usize = 64 * KIB;
pub(super) const LOG_FIELDS: usize = 64;
/// What a field counts at least.
const LOG_FIELD: usize = 32;
/// What a line costs beside its text.
const LOG_LINE_OVERHEAD: u64 = 32;
const RANDOM: u32 = 65_536;
const SIGNED: usize = MIB;
const METRIC_NAME: usize = 64;
const METRIC_VALUE: usize = 128;
const METRIC_LABELS: usize = 8;

/// A deployment's `[limits]`, those that a native test can count; a host's own if not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest output, in bytes; at most 4 MiB. What is longer fails the run with `host/limit-output`.
    pub output: u64,
    /// All log lines of a generation, in bytes. What is beyond is dropped.
    pub log: u64,
    /// Requests of a generation, tries included. One more is refused with `host/limit-http`.
    pub http_calls: u64,
    /// Bodies of all those and of their answers, in bytes; likewise.
    pub http_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: VALUE as u64, log: MIB as u64, http_calls: 1_000, http_bytes: 256 * MIB as u64 }
    }
}

/// What one generation has used of them.
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

/// The beginning of keys, which may be empty.
pub(super) fn prefix(text: &str) -> Checked {
    if text.len() <= STATE_KEY { Ok(()) } else { long_key(text.len()) }
}

fn long_key(len: usize) -> Checked {
    Err(Failed::host("limit-state-key", format!("a key holds 1 to {STATE_KEY} bytes of UTF-8; this one holds {len}")))
}

pub(super) fn value(value: &[u8]) -> Checked {
    if value.len() <= STATE_VALUE {
        return Ok(());
    }
    let message = format!("a value holds at most {STATE_VALUE} bytes; this one holds {}", value.len());
    Err(Failed::host("limit-state-value", message))
}

pub(super) fn page(limit: u32) -> Checked {
    if limit == 0 { bad("`limit` is 0: a page has at least one entry".to_owned()) } else { Ok(()) }
}

pub(super) fn step(name: &str, open: usize) -> Checked {
    if name.is_empty() || name.len() > NAME {
        return bad(format!("the name of a step holds 1 to {NAME} bytes; this one holds {}", name.len()));
    }
    if open >= OPEN_STEPS {
        return bad(format!("{OPEN_STEPS} steps are open in one another; no more may be"));
    }
    Ok(())
}

/// An input or a step's result.
pub(super) fn json(what: &str, text: &str) -> Checked {
    bounded(what, text, VALUE)
}

/// A payload of a signal or an event.
pub(super) fn payload(text: &str) -> Checked {
    bounded("the payload", text, PAYLOAD)
}

fn bounded(what: &str, text: &str, most: usize) -> Checked {
    if text.len() > most {
        return bad(format!("{what} holds {} bytes; it may hold {most}", text.len()));
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) if levels(&value) > LEVELS => bad(format!("{what} is not JSON: nested deeper than {LEVELS} levels")),
        Ok(_) => Ok(()),
        Err(why) => bad(format!("{what} is not JSON: {why}")),
    }
}

/// How deep arrays and objects nest.
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
    bad(format!("`{}` is no topic", text.chars().take(TOPIC).collect::<String>()))
}

pub(super) fn signal(name: &str) -> Checked {
    match name.len() {
        1..=NAME => Ok(()),
        _ => bad(format!("the name of a signal holds 1 to {NAME} bytes")),
    }
}

pub(super) fn waits(signals: usize, runs: usize, ends: bool) -> Checked {
    if signals > WAIT_SIGNALS || runs > WAIT_RUNS {
        return bad(format!(
            "the wait is for {signals} signals and {runs} runs; it may be for {WAIT_SIGNALS} signals and {WAIT_RUNS} runs"
        ));
    }
    if signals + runs == 0 && !ends {
        return bad("nothing is waited for, without a timeout: it would never end".to_owned());
    }
    Ok(())
}

pub(super) fn start(input: &str, options: &StartOptions) -> Checked {
    json("the input", input)?;
    if options.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > NAME) {
        return bad(format!("an idempotency key holds 1 to {NAME} bytes"));
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
        Some(_) => bad("there is no such export: it is `workflow`, `revenue-stream` or `webhook`".to_owned()),
    }
}

/// A message to sign.
pub(super) fn message(message: &[u8]) -> Checked {
    if message.len() <= SIGNED { Ok(()) } else { bad(format!("a message to sign may hold {SIGNED} bytes")) }
}

/// The form of one request. Where it goes is another matter.
pub(super) fn request(request: &Request) -> Checked {
    let bad = |why: String| Err(Failed::host("http-bad-request", why));
    let method = request.method.as_bytes();
    let token = (1..=20).contains(&method.len()) && method.iter().all(|b| b.is_ascii_alphabetic() || *b == b'-');
    if !token || ["CONNECT", "TRACE"].iter().any(|refused| request.method.eq_ignore_ascii_case(refused)) {
        return bad(format!("`{}` is no method that is sent", request.method.chars().take(20).collect::<String>()));
    }
    super::origin::Origin::of(&request.url)?;
    body(request.body.len())?;
    let bytes: usize = request.headers.iter().map(|field| field.name.len() + field.value.len()).sum();
    if request.headers.len() > HEADERS || bytes > HEADERS_BYTES {
        return bad(format!("at most {HEADERS} headers of {HEADERS_BYTES} bytes together are sent"));
    }
    if request.secrets.len() > SECRETS {
        return bad(format!("a request carries at most {SECRETS} secrets"));
    }
    if let Some(ours) = request.headers.iter().find(|it| OURS.contains(&it.name.to_ascii_lowercase().as_str())) {
        return bad(format!("the header `{}` belongs to the connection, which is the host's", ours.name));
    }
    match request.timeout {
        Some(timeout) if timeout == 0 || timeout > HTTP_TRY => {
            bad(format!("a timeout of {timeout} ms: a try may take 1 to {HTTP_TRY} ms"))
        }
        _ => Ok(()),
    }
}

fn body(len: usize) -> Checked {
    if len <= HTTP_BODY {
        return Ok(());
    }
    let message = format!("the body holds {len} bytes; at most {HTTP_BODY} are sent and taken");
    Err(Failed::host("limit-http-body", message))
}

/// The bodies of one `fetch-all`, of its requests or of its answers.
pub(super) fn bodies(all: usize) -> Checked {
    if all <= FETCH_ALL {
        return Ok(());
    }
    let message = format!("the bodies of one `fetch-all` hold {all} bytes; at most {FETCH_ALL} are sent and taken");
    Err(Failed::host("limit-http-body", message))
}

/// What one wait answers with.
pub(super) fn outcomes(bytes: usize) -> Checked {
    if bytes <= FETCH_ALL {
        return Ok(());
    }
    let message = format!("the outcomes hold {bytes} bytes; one call answers at most {FETCH_ALL}");
    Err(Failed::host("limit-host-call", message))
}

/// A sample of a metric, which has no failure to be answered with: one that is not valid stops the run.
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

/// Random bytes in one call.
pub(super) fn random(len: u32) {
    if len > RANDOM {
        let message = format!("the guest asked for {len} random bytes at once; at most {RANDOM} are given");
        stopped("limit-random", message);
    }
}

/// Requests in one `fetch-all`.
pub(super) fn requests(count: usize) {
    if count > FETCH_ALL_REQUESTS {
        let message = format!("`http.fetch-all` takes {FETCH_ALL_REQUESTS} requests; it was given {count}");
        stopped("bad-argument", message);
    }
}

/// What people see of the run meanwhile.
pub(super) fn status(text: &str) {
    if let Err(failed) = bounded("the status", text, PAYLOAD) {
        leave(Left::Stopped(failed));
    }
}

/// A note is cut.
pub(super) fn note(text: &str) -> &str {
    cut(text, NOTE)
}

fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

/// The host ends the run, whatever the module would make of a failure.
fn stopped(code: &str, message: String) -> ! {
    leave(Left::Stopped(Failed::host(code, message)))
}

impl Fake {
    /// Whether this run is of the deployment under test, which has the limits and grants that were said.
    pub(super) fn is_tested(&self) -> bool {
        self.deployment == self.setup.name
    }

    fn limits(&self) -> Limits {
        if self.is_tested() { self.setup.limits } else { Limits::default() }
    }

    /// Whether the stretch has room for one more thing.
    pub(super) fn has_room(&self) -> Checked {
        let things: usize = self.run.borrow().layers.iter().map(super::layer::Layer::things).sum();
        if things < STRETCH_THINGS {
            return Ok(());
        }
        let message = format!(
            "one run may read, write, post, start, send and publish {STRETCH_THINGS} things between two commits"
        );
        Err(Failed::host("limit-commit", message))
    }

    /// Whether the stretch has room for so many bytes of state more.
    pub(super) fn has_room_for(&self, bytes: usize) -> Checked {
        let written: usize = self.run.borrow().layers.iter().map(|layer| layer.written).sum();
        if written.saturating_add(bytes) <= STRETCH_WRITES {
            return Ok(());
        }
        let message = format!("one run may write {STRETCH_WRITES} bytes of state between two commits");
        Err(Failed::host("limit-commit", message))
    }

    /// One more try of a request leaves.
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

    /// Its answer came.
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
            "the bodies of the run's requests and answers hold more than {limit} bytes; raise it with `http_bytes` under `[limits]`"
        );
        Err(Failed::host("limit-http", message))
    }

    /// A log line as it is kept, cut where it is long; none where there is no room for it.
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

    /// Whether an output is what a run may answer with.
    pub(super) fn output(&self, output: &str) -> Checked {
        let limit = self.limits().output.min(VALUE as u64);
        if output.len() as u64 <= limit {
            return json("the output", output).map_err(|failed| Failed::host("output-invalid", failed.message));
        }
        let message = format!("the output holds {} bytes; a run may answer with {limit}", output.len());
        Err(Failed::host("limit-output", message))
    }
}
