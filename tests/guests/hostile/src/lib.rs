//! Behaves on request like a broken or malicious module: `{"do": "loop"}`, for example.
//! All acts are in one component, so that tests compile only one. The host ends endless acts.

mod acts;

use std::cell::RefCell;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tidemill_sdk::{Error, Money, Status, clock, context, durable, events, http, info, ledger, operator, state};

thread_local! {
    /// The id of the run's last reservation.
    static RESERVED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Input of a run: the act and its parameters.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Act {
    // Ended by the host.
    /// Spins without end and without a host call.
    Loop,
    /// Spins without end on cheap host calls.
    LoopCalls,
    /// Allocates and touches memory without end.
    Allocate,
    /// Calls itself without end.
    Recurse,
    /// Logs lines of `bytes` until `total_bytes` are written.
    Log {
        #[serde(default = "kib")]
        bytes: usize,
        #[serde(default = "gigabytes")]
        total_bytes: u64,
    },
    /// Prints lines to standard output until `total_bytes` are written.
    Print {
        #[serde(default = "gigabytes")]
        total_bytes: u64,
    },
    /// Passes 2 MiB to `state.set`.
    BigState,
    /// Passes `bytes` (100 MB by default) to `state.set`.
    HugeState {
        #[serde(default = "hundred_megabytes")]
        bytes: usize,
    },
    /// Passes a key of 600 bytes to `state.set`.
    LongKey,
    /// Returns an output of `bytes` (8 MiB by default).
    BigOutput {
        #[serde(default = "eight_mebibytes")]
        bytes: usize,
    },
    /// Executes `unreachable`.
    Trap,
    /// Panics with a message.
    Panic,
    /// Reads far outside its memory.
    OutOfBounds,
    /// Calls `std::process::exit` with `code` (0 by default).
    Exit {
        #[serde(default)]
        code: i32,
    },
    /// Calls `std::thread::sleep` for `ms` (an hour by default).
    SleepStd {
        #[serde(default = "hour")]
        ms: u64,
    },
    /// Calls `clock.sleep` for `ms` (an hour by default).
    Sleep {
        #[serde(default = "hour")]
        ms: u64,
    },
    /// Requests 1 MiB of random bytes at once.
    BigRandom,
    /// Passes the JSON text unchanged to the host, by default as its output.
    Raw {
        text: String,
        #[serde(default)]
        to: RawTarget,
    },
    /// Logs `lines` lines of `fields` empty fields each.
    LogFields { lines: u64, fields: usize },

    // Well-behaved.
    /// Reads a clock of WASI and standard input, `calls` times each.
    CallWasi { calls: u64 },
    /// Returns null.
    Noop,
    /// Returns `value`.
    Echo {
        #[serde(default)]
        value: Value,
    },
    /// Spins until `ms` have passed on the clock of the run, and returns the number of readings.
    SpinMs { ms: u64 },
    /// Spins for `count` turns, without a host call.
    Spin { count: u64 },
    /// Touches `bytes` of memory and returns.
    Use { bytes: usize },
    /// Returns the times of `std` and of the host's clock.
    Now,
    /// Returns random values of `std` and of the host.
    Random,
    /// Returns the arguments, environment and files that `std` shows.
    Environment,
    /// Reads the counter at `key` and writes it back plus one; with `spin` turns between.
    Counter {
        #[serde(default = "counter")]
        key: String,
        #[serde(default)]
        spin: u64,
    },
    /// Reads `key`.
    Get { key: String },
    /// Writes `value` to `key`.
    Set { key: String, value: Value },
    /// Removes `key`.
    Delete { key: String },
    /// Writes `value` to `key` if its present value is `expected`.
    CompareAndSet { key: String, expected: Option<Value>, value: Value },
    /// Lists the keys that begin with `prefix`.
    Scan {
        #[serde(default)]
        prefix: String,
    },
    /// Posts to the ledger, or reserves.
    Post {
        external_id: String,
        #[serde(default = "one")]
        amount: i64,
        #[serde(default = "eur")]
        currency: String,
        #[serde(default = "sale")]
        kind: String,
        #[serde(default)]
        occurred_at: u64,
        #[serde(default)]
        customer: Option<String>,
        #[serde(default)]
        description: String,
        #[serde(default)]
        metadata: Value,
        #[serde(default)]
        reserve: bool,
    },
    /// Posts `count` sales of one cent under ids that begin with `prefix`. Every third is reserved
    /// first, and then settled.
    PostMany { prefix: String, count: u64 },
    /// Settles a reservation; without `posting` the run's last one.
    Settle {
        #[serde(default)]
        posting: Option<String>,
        #[serde(default)]
        amount: Option<i64>,
        #[serde(default = "eur")]
        currency: String,
    },
    /// Voids a reservation; without `posting` the run's last one.
    Void {
        #[serde(default)]
        posting: Option<String>,
    },
    /// Draws from a customer's credit; less is enough if `up_to`.
    Draw {
        external_id: String,
        customer: String,
        #[serde(default = "one")]
        amount: i64,
        #[serde(default = "eur")]
        currency: String,
        #[serde(default)]
        occurred_at: u64,
        #[serde(default)]
        up_to: bool,
    },
    /// Returns what a customer's account has.
    Balance {
        customer: String,
        #[serde(default = "eur")]
        currency: String,
    },
    /// Returns the net revenue of all time.
    Revenue,
    /// Sends a request and returns the response.
    Fetch {
        url: String,
        #[serde(default = "get")]
        method: String,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        body: String,
        #[serde(default)]
        secrets: Vec<String>,
        #[serde(default)]
        timeout_ms: Option<u64>,
        #[serde(default)]
        redirects: Option<u32>,
    },
    /// Sends several `GET`s at once.
    FetchAll { urls: Vec<String> },
    /// Returns a failure.
    Fail {
        #[serde(default = "failed")]
        code: String,
        #[serde(default)]
        retryable: bool,
        #[serde(default)]
        message: String,
        #[serde(default)]
        details: Option<Value>,
    },
    /// Fails retryably until its attempt reaches `attempt`, then returns it.
    FailUntil { attempt: u32 },
    /// Writes `key` and then fails or traps: the write must not be visible.
    SetThenFail {
        key: String,
        #[serde(default)]
        trap: bool,
    },
    /// Executes a durable step.
    Step,
    /// Returns the context of the run.
    Context,
    /// Returns the configuration of the deployment.
    Config,
    /// Logs one line with fields.
    LogLine { message: String },
    /// Executes several acts and returns the last result.
    All { acts: Vec<Act> },
    /// Executes `first`, and then `then` even if `first` failed.
    Regardless { first: Box<Act>, then: Box<Act> },
}

/// Destination of a JSON text.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawTarget {
    #[default]
    Output,
    Status,
    Event,
    Step,
    Start,
    Signal,
}

fn kib() -> usize {
    1_024
}
fn gigabytes() -> u64 {
    4_000_000_000
}
fn hundred_megabytes() -> usize {
    100_000_000
}
fn eight_mebibytes() -> usize {
    8 << 20
}
fn hour() -> u64 {
    3_600_000
}
fn counter() -> String {
    "counter".to_owned()
}
fn one() -> i64 {
    1
}
fn eur() -> String {
    "EUR".to_owned()
}
fn sale() -> String {
    "sale".to_owned()
}
fn get() -> String {
    "GET".to_owned()
}
fn failed() -> String {
    "failed-on-request".to_owned()
}

#[tidemill_sdk::workflow]
fn act(act: Act) -> Result<Box<RawValue>, Error> {
    match act {
        Act::Raw { text, to: RawTarget::Output } => raw(text),
        act => raw(perform(act)?.to_string()),
    }
}

fn raw(text: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(text).map_err(|error| Error::new("not-raw-json", error.to_string()))
}

fn hand_over(text: Box<RawValue>, to: RawTarget) -> Result<(), Error> {
    match to {
        RawTarget::Output => Ok(()),
        RawTarget::Status => durable::set_status(&text),
        RawTarget::Event => events::publish("tests.raw", &text),
        RawTarget::Step => durable::step("raw", || Ok::<_, Error>(text.clone())).map(|_| ()),
        RawTarget::Start => durable::start("tests", &text).send().map(|_| ()),
        RawTarget::Signal => durable::send_signal(context::id(), "raw", &text),
    }
}

fn perform(act: Act) -> Result<Value, Error> {
    match act {
        Act::Loop => acts::spin_for_ever(),
        Act::LoopCalls => loop {
            std::hint::black_box(clock::now());
        },
        Act::Allocate => acts::allocate_for_ever(),
        Act::Recurse => Ok(json!(acts::recurse(1))),
        Act::Log { bytes, total_bytes } => Ok(json!(acts::log(bytes, total_bytes))),
        Act::Print { total_bytes } => Ok(json!(acts::print(total_bytes))),
        Act::BigState => acts::set_zeros("big", 2 << 20),
        Act::HugeState { bytes } => acts::set_zeros("huge", bytes),
        Act::LongKey => state::set(&"k".repeat(600), &1).map(|()| Value::Null),
        Act::BigOutput { bytes } => Ok(Value::String("x".repeat(bytes))),
        Act::Trap => acts::trap(),
        Act::Panic => panic!("panicked on request"),
        Act::OutOfBounds => Ok(json!(acts::out_of_bounds())),
        Act::Exit { code } => std::process::exit(code),
        Act::SleepStd { ms } => {
            std::thread::sleep(std::time::Duration::from_millis(ms));
            Ok(Value::Null)
        }
        Act::Sleep { ms } => clock::sleep(std::time::Duration::from_millis(ms)).map(|()| Value::Null),
        Act::BigRandom => Ok(json!(acts::big_random())),
        Act::Raw { text, to } => hand_over(raw(text)?, to).map(|()| Value::Null),
        Act::LogFields { lines, fields } => Ok(json!(acts::log_fields(lines, fields))),
        Act::CallWasi { calls } => Ok(json!(acts::call_wasi(calls)?)),
        Act::Noop => Ok(Value::Null),
        Act::Echo { value } => Ok(value),
        Act::SpinMs { ms } => Ok(json!(acts::spin_ms(ms))),
        Act::Spin { count } => Ok(json!(acts::spin(count))),
        Act::Use { bytes } => Ok(json!(acts::touch(bytes))),
        Act::Now => acts::now(),
        Act::Random => Ok(acts::randomness()),
        Act::Environment => Ok(acts::environment()),
        Act::Counter { key, spin } => {
            let count: u64 = state::get_or_default(&key)?;
            acts::spin(spin);
            state::set(&key, &(count + 1))?;
            Ok(json!(count + 1))
        }
        Act::Get { key } => Ok(state::get::<Value>(&key)?.unwrap_or_default()),
        Act::Set { key, value } => state::set(&key, &value).map(|()| Value::Null),
        Act::Delete { key } => state::delete(&key).map(|()| Value::Null),
        Act::CompareAndSet { key, expected, value } => {
            Ok(json!(state::compare_and_set(&key, expected.as_ref(), &value)?))
        }
        Act::Scan { prefix } => {
            let keys: Vec<String> =
                state::scan(&prefix).map(|entry| entry.map(|entry| entry.key)).collect::<Result<_, _>>()?;
            Ok(json!(keys))
        }
        Act::Post { external_id, amount, currency, kind, occurred_at, customer, description, metadata, reserve } => {
            let at = tidemill_sdk::Timestamp::from_millis(occurred_at);
            let amount = Money::minor(amount, currency);
            let mut entry = ledger::entry(external_id, ledger::Kind::Other(kind), amount, at).description(description);
            if let Some(customer) = customer {
                entry = entry.customer(customer);
            }
            if !metadata.is_null() {
                entry = entry.metadata(&metadata);
            }
            let posting = if reserve { entry.reserve()? } else { entry.post()? };
            if reserve {
                RESERVED.set(posting.id.clone());
            }
            Ok(json!({ "id": posting.id, "duplicate": posting.duplicate }))
        }
        Act::PostMany { prefix, count } => {
            for number in 0..count {
                let id = format!("{prefix}-{number}");
                let entry = ledger::entry(id, ledger::Kind::Sale, Money::minor(1, eur()), Default::default());
                if number % 3 == 0 {
                    ledger::settle(&entry.reserve()?.id, None)?;
                } else {
                    entry.post()?;
                }
            }
            Ok(json!(count))
        }
        Act::Settle { posting, amount, currency } => {
            let amount = amount.map(|amount| Money::minor(amount, currency));
            let posting =
                ledger::settle(&posting.unwrap_or_else(|| RESERVED.with_borrow(String::clone)), amount.as_ref())?;
            Ok(json!({ "id": posting.id, "duplicate": posting.duplicate }))
        }
        Act::Void { posting } => {
            let posting = ledger::void(&posting.unwrap_or_else(|| RESERVED.with_borrow(String::clone)))?;
            Ok(json!({ "id": posting.id, "duplicate": posting.duplicate }))
        }
        Act::Draw { external_id, customer, amount, currency, occurred_at, up_to } => {
            let at = tidemill_sdk::Timestamp::from_millis(occurred_at);
            let draw = ledger::draw(external_id, customer, Money::minor(amount, currency), at);
            let draw = if up_to { draw.up_to() } else { draw }.take()?;
            let posting = draw.posting.map(|posting| json!({ "id": posting.id, "duplicate": posting.duplicate }));
            Ok(json!({ "posting": posting, "amount": draw.amount.minor_units }))
        }
        Act::Balance { customer, currency } => {
            let balance = ledger::balance(&customer, &currency)?;
            let floor = balance.floor.map(|floor| floor.minor_units);
            let next = balance.next_expiry.map(tidemill_sdk::Timestamp::as_millis);
            Ok(json!([balance.available.minor_units, balance.held.minor_units, floor, next]))
        }
        Act::Revenue => {
            let (start, end) = (tidemill_sdk::Timestamp::default(), tidemill_sdk::Timestamp::from_millis(u64::MAX));
            Ok(json!(ledger::revenue(tidemill_sdk::Period { start, end })?))
        }
        Act::Fetch { url, method, headers, body, secrets, timeout_ms, redirects } => {
            let mut request = http::request(method, url).body(body);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            for secret in secrets {
                request = request.secret(secret);
            }
            if let Some(ms) = timeout_ms {
                request = request.timeout(std::time::Duration::from_millis(ms));
            }
            if let Some(redirects) = redirects {
                request = request.redirects(redirects);
            }
            Ok(answer(&request.send()?))
        }
        Act::FetchAll { urls } => Ok(http::send_all(urls.into_iter().map(http::get))
            .iter()
            .map(|result| match result {
                Ok(response) => answer(response),
                Err(error) => json!({ "code": error.code(), "message": error.message() }),
            })
            .collect()),
        Act::Fail { code, retryable, message, details } => {
            let error = if retryable { Error::retryable(code, message) } else { Error::new(code, message) };
            Err(match details {
                Some(details) => error.with_details(details),
                None => error,
            })
        }
        Act::FailUntil { attempt } => match context::attempt() {
            now if now < attempt => Err(Error::retryable("not-yet", format!("attempt {now} of {attempt}"))),
            now => Ok(json!(now)),
        },
        Act::SetThenFail { key, trap } => {
            state::set(&key, &true)?;
            if trap { acts::trap() } else { Err(Error::new("failed-on-request", "after a write")) }
        }
        Act::Step => durable::step("once", || Ok::<_, Error>(1)).map(|one: u8| json!(one)),
        Act::Context => Ok(acts::context()),
        Act::Config => context::config(),
        Act::LogLine { message } => {
            info!("{message}"; attempt = context::attempt());
            Ok(Value::Null)
        }
        Act::Regardless { first, then } => {
            let _ = perform(*first);
            perform(*then)
        }
        Act::All { acts } => {
            let mut last = Value::Null;
            for act in acts {
                last = perform(act)?;
            }
            Ok(last)
        }
    }
}

fn answer(response: &http::Response) -> Value {
    json!({
        "status": response.status,
        "headers": response.headers,
        "body": String::from_utf8_lossy(&response.body),
        "url": response.url,
    })
}

/// Acts as `[config] health` selects. A value that is not listed is healthy.
#[tidemill_sdk::health]
fn health() -> Result<Status, Error> {
    let config: Value = context::config()?;
    match config["health"].as_str().unwrap_or_default() {
        "loop" => acts::spin_for_ever(),
        "trap" => acts::trap(),
        "unhealthy" => Ok(Status::unhealthy("as asked")),
        "operate" => {
            let failures = [operator::health("operated").err(), operator::pause("operated", "note").err()];
            let codes: Vec<_> = failures.iter().flatten().map(Error::code).collect();
            Ok(Status::unhealthy(codes.join(" ")))
        }
        "degraded" => Ok(Status::degraded("as asked")),
        "write" => {
            state::set("health", &true)?;
            Ok(Status::Healthy)
        }
        "publish" => {
            tidemill_sdk::events::publish("granted", &true)?;
            Ok(Status::Healthy)
        }
        "post-http" => {
            http::post("https://example.org/").send()?;
            Ok(Status::Healthy)
        }
        _ => Ok(Status::Healthy),
    }
}
