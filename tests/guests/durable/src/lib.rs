//! Executes acts and returns their results. A failed act ends the run, after `undo` if cancelled.
//! Uses the bindings instead of the SDK, so that it can make calls that the SDK prevents.

#![cfg(target_arch = "wasm32")]

use std::cell::{Cell, RefCell};

use serde::Deserialize;
use serde_json::{Value, json};
use tidemill_sdk::bindings::imports::tidemill::guest as host;
use tidemill_sdk::bindings::workflow::exports::tidemill::guest::workflow::Guest;
use tidemill_sdk::export::Failure;

/// Input of the run.
#[derive(Deserialize)]
struct Program {
    acts: Vec<Act>,
    /// Acts to execute if an act fails with `host/cancelled`.
    #[serde(default)]
    undo: Vec<Act>,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Act {
    Get {
        key: String,
    },
    Set {
        key: String,
        value: String,
    },
    Delete {
        key: String,
    },
    /// Reads a number and writes it back plus one.
    Add {
        key: String,
    },
    Cas {
        key: String,
        expected: Option<String>,
        value: String,
    },
    Scan {
        prefix: String,
    },
    Now,
    Random,
    Attempt,
    Fetch {
        method: String,
        url: String,
        #[serde(default)]
        body: String,
    },
    /// Posts another body each time.
    FetchChanging {
        url: String,
    },
    FetchAll {
        requests: Vec<(String, String)>,
    },
    Sign {
        secret: String,
    },
    Post {
        external_id: String,
        #[serde(default)]
        reserve: bool,
    },
    /// Settles the last reservation.
    Settle {
        #[serde(default)]
        amount: Option<i64>,
    },
    Revenue,
    /// Executes the acts in a step, which fails until its attempt reaches `fail_until`.
    Step {
        name: String,
        acts: Vec<Act>,
        #[serde(default)]
        fail_until: u32,
        #[serde(default)]
        attempts: Option<u32>,
        #[serde(default)]
        delay_ms: u64,
        /// Continues if the step fails.
        #[serde(default)]
        caught: bool,
    },
    /// Ends a step that is not open.
    EndOther,
    Sleep {
        ms: u64,
    },
    SleepStd {
        ms: u64,
    },
    Start {
        deployment: String,
        input: Value,
        #[serde(default)]
        detached: bool,
        #[serde(default)]
        key: Option<String>,
    },
    /// Waits for signals (`"name"`) and started runs (by their ordinal).
    AwaitFirst {
        any_of: Vec<Value>,
        timeout: Option<u64>,
    },
    AwaitAll {
        runs: Vec<usize>,
        timeout: Option<u64>,
    },
    /// Sends a signal to `"self"`, a started run (ordinal), an id, or `[deployment, key]`.
    Signal {
        to: Value,
        name: String,
        payload: Value,
    },
    Cancel {
        run: Value,
    },
    Publish {
        topic: String,
        payload: Value,
    },
    /// Acts on another deployment.
    Operate {
        action: String,
        deployment: String,
        #[serde(default)]
        revision: Option<u64>,
        #[serde(default)]
        limit: u32,
        #[serde(default)]
        note: String,
    },
    ContinueAsNew {
        input: Value,
    },
    /// Adds one to a metric.
    Count {
        name: String,
    },
    Log {
        message: String,
    },
    Print {
        message: String,
    },
    Progress {
        done: u64,
    },
    Spin {
        turns: u64,
    },
    Fail {
        code: String,
        #[serde(default)]
        retryable: bool,
    },
    /// Fails retryably until the run reaches this attempt.
    FailUntil {
        attempt: u32,
    },
    Trap,
    /// Continues if the act fails, and returns its code.
    Try {
        act: Box<Act>,
    },
}

thread_local! {
    static FETCHED: Cell<u32> = const { Cell::new(0) };
    static RESERVED: RefCell<String> = const { RefCell::new(String::new()) };
    static STARTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Durable;

impl Guest for Durable {
    fn run(input: String) -> Result<String, Failure> {
        let program: Program =
            serde_json::from_str(&input).map_err(|error| own("bad-input", false, &error.to_string()))?;
        match all(&program.acts) {
            Ok(answers) => Ok(Value::Array(answers).to_string()),
            Err(failure) if failure.code == "host/cancelled" && !program.undo.is_empty() => {
                all(&program.undo)?;
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }
}

tidemill_sdk::bindings::workflow::export_workflow!(Durable with_types_in tidemill_sdk::bindings::workflow);

fn all(acts: &[Act]) -> Result<Vec<Value>, Failure> {
    acts.iter().map(perform).collect()
}

fn own(code: &str, retryable: bool, message: &str) -> Failure {
    Failure { code: code.to_owned(), message: message.to_owned(), retryable, details: None }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn request(method: &str, url: &str, body: &str) -> host::http::Request {
    host::http::Request {
        method: method.to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        secrets: Vec::new(),
        timeout: None,
        retry: None,
        redirects: None,
    }
}

fn came(response: Result<host::http::Response, Failure>) -> Value {
    match response {
        Ok(response) => json!({ "status": response.status, "body": text(response.body) }),
        Err(failure) => json!({ "code": failure.code }),
    }
}

fn started(ordinal: usize) -> String {
    STARTED.with_borrow(|started| started.get(ordinal).cloned().unwrap_or_default())
}

fn target(of: &Value) -> host::durable::Target {
    match of {
        Value::Number(ordinal) => host::durable::Target::Run(started(ordinal.as_u64().unwrap_or_default() as usize)),
        Value::Array(pair) => {
            let text = |at: usize| pair.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            host::durable::Target::Key((text(0), text(1)))
        }
        Value::String(id) if id == "self" => host::durable::Target::Run(host::context::id()),
        other => host::durable::Target::Run(other.as_str().unwrap_or_default().to_owned()),
    }
}

fn outcome(outcome: host::durable::Outcome) -> Value {
    match outcome {
        host::durable::Outcome::Succeeded(output) => json!({ "succeeded": output }),
        host::durable::Outcome::Failed(failure) => json!({ "failed": failure.code, "retryable": failure.retryable }),
        host::durable::Outcome::Cancelled => json!("cancelled"),
    }
}

fn perform(act: &Act) -> Result<Value, Failure> {
    Ok(match act {
        Act::Get { key } => json!(host::state::get(key)?.map(text)),
        Act::Set { key, value } => json!(host::state::set(key, value.as_bytes())?),
        Act::Delete { key } => json!(host::state::delete(key)?),
        Act::Add { key } => {
            let n: u64 = host::state::get(key)?.map(text).and_then(|n| n.parse().ok()).unwrap_or_default();
            host::state::set(key, (n + 1).to_string().as_bytes())?;
            json!(n + 1)
        }
        Act::Cas { key, expected, value } => {
            json!(host::state::compare_and_set(key, expected.as_ref().map(|it| it.as_bytes()), value.as_bytes())?)
        }
        Act::Scan { prefix } => {
            let page = host::state::scan(prefix, None, 100)?;
            json!(page.entries.into_iter().map(|entry| (entry.key, text(entry.value))).collect::<Vec<_>>())
        }
        Act::Now => json!(host::clock::now()),
        Act::Random => json!(host::random::bytes(8)),
        Act::Attempt => json!(host::context::attempt()),
        Act::Fetch { method, url, body } => came(Ok(host::http::fetch(&request(method, url, body))?)),
        Act::FetchChanging { url } => {
            let nth = FETCHED.with(|fetched| fetched.replace(fetched.get() + 1));
            came(Ok(host::http::fetch(&request("POST", url, &nth.to_string()))?))
        }
        Act::FetchAll { requests } => {
            let requests: Vec<_> = requests.iter().map(|(method, url)| request(method, url, "")).collect();
            json!(host::http::fetch_all(&requests).into_iter().map(came).collect::<Vec<_>>())
        }
        Act::Sign { secret } => json!(host::secrets::sign(secret, "hmac-sha256", b"message")?),
        Act::Post { external_id, reserve } => {
            let call = if *reserve { host::ledger::reserve } else { host::ledger::post };
            let posting = call(&host::ledger::Entry {
                external_id: external_id.clone(),
                kind: "sale".to_owned(),
                amount: host::types::Money { minor_units: 100, currency: "EUR".to_owned() },
                occurred_at: 1_000,
                customer: None,
                description: String::new(),
                metadata: "null".to_owned(),
            })?;
            RESERVED.set(posting.id.clone());
            json!({ "id": posting.id, "duplicate": posting.duplicate })
        }
        Act::Settle { amount } => {
            let amount = amount.map(|minor_units| host::types::Money { minor_units, currency: "EUR".to_owned() });
            let posting = host::ledger::settle(&RESERVED.with_borrow(String::clone), amount.as_ref())?;
            json!({ "id": posting.id, "duplicate": posting.duplicate })
        }
        Act::Revenue => {
            let earned = host::ledger::revenue(0, u64::MAX)?;
            json!(earned.into_iter().map(|it| (it.minor_units, it.currency)).collect::<Vec<_>>())
        }
        Act::Step { name, acts, fail_until, attempts, delay_ms, caught } => {
            match step(name, acts, *fail_until, *attempts, *delay_ms) {
                Err(failure) if *caught => json!({ "gave-up": failure.code, "retryable": failure.retryable }),
                ended => ended?,
            }
        }
        Act::EndOther => {
            host::durable::end_step(12_345, Ok("null"))?;
            Value::Null
        }
        Act::Sleep { ms } => json!(host::clock::sleep(*ms)?),
        Act::SleepStd { ms } => {
            std::thread::sleep(std::time::Duration::from_millis(*ms));
            Value::Null
        }
        Act::Start { deployment, input, detached, key } => {
            let options = host::durable::StartOptions {
                idempotency_key: key.clone(),
                delay: None,
                priority: None,
                export: None,
                labels: Vec::new(),
                detached: *detached,
            };
            let id = host::durable::start(deployment, &input.to_string(), &options)?;
            // The id differs in every run, so it is not part of the result.
            STARTED.with_borrow_mut(|started| {
                started.push(id);
                json!(started.len())
            })
        }
        Act::AwaitFirst { any_of, timeout } => {
            let any_of: Vec<_> = any_of
                .iter()
                .map(|wanted| match wanted {
                    Value::Number(ordinal) => {
                        host::durable::WaitFor::Run(started(ordinal.as_u64().unwrap_or_default() as usize))
                    }
                    name => host::durable::WaitFor::Signal(name.as_str().unwrap_or_default().to_owned()),
                })
                .collect();
            match host::durable::await_first(&any_of, *timeout)? {
                None => json!("timeout"),
                Some(first) => match first.event {
                    host::durable::Event::Signal(payload) => json!({ "index": first.index, "signal": payload }),
                    host::durable::Event::Ended(ended) => json!({ "index": first.index, "ended": outcome(ended) }),
                },
            }
        }
        Act::AwaitAll { runs, timeout } => {
            let runs: Vec<_> = runs.iter().map(|ordinal| started(*ordinal)).collect();
            match host::durable::await_all(&runs, *timeout)? {
                None => json!("timeout"),
                Some(outcomes) => json!(outcomes.into_iter().map(outcome).collect::<Vec<_>>()),
            }
        }
        Act::Signal { to, name, payload } => {
            json!(host::durable::signal(&target(to), name, &payload.to_string())?)
        }
        Act::Publish { topic, payload } => json!(host::events::publish(topic, &payload.to_string())?),
        Act::Operate { action, deployment, revision, limit, note } => match action.as_str() {
            "health" => {
                let health = host::operator::health(deployment)?;
                json!([health.status, health.since, health.reason, health.paused])
            }
            "pause" => json!(host::operator::pause(deployment, note)?),
            "resume" => json!(host::operator::resume(deployment, note)?),
            "rollback" => json!(host::operator::rollback(deployment, *revision, note)?),
            "retry" => json!(host::operator::retry_parked(deployment, *limit, note)?),
            _ => json!(host::operator::recycle(deployment, note)?),
        },
        Act::Cancel { run } => json!(host::durable::cancel(&target(run))?),
        Act::ContinueAsNew { input } => return Err(host::durable::continue_as_new(&input.to_string())),
        Act::Count { name } => {
            host::metrics::count(name, 1.0, &[]);
            Value::Null
        }
        Act::Log { message } => {
            host::log::write(host::log::Level::Info, message, &[]);
            Value::Null
        }
        Act::Print { message } => {
            println!("{message}");
            Value::Null
        }
        Act::Progress { done } => {
            host::durable::set_progress(*done, None, "");
            Value::Null
        }
        Act::Spin { turns } => json!((0..*turns).fold(0u64, |sum, turn| std::hint::black_box(sum.wrapping_add(turn)))),
        Act::Fail { code, retryable } => return Err(own(code, *retryable, "on request")),
        Act::FailUntil { attempt } => match host::context::attempt() {
            now if now < *attempt => return Err(own("not-yet", true, "a later attempt succeeds")),
            now => json!(now),
        },
        Act::Trap => core::arch::wasm32::unreachable(),
        Act::Try { act } => match perform(act) {
            Ok(answer) => json!({ "ok": answer }),
            Err(failure) => json!({ "code": failure.code }),
        },
    })
}

fn step(name: &str, acts: &[Act], fail_until: u32, attempts: Option<u32>, delay_ms: u64) -> Result<Value, Failure> {
    let retry = attempts.map(|max_attempts| host::types::RetryPolicy {
        max_attempts,
        initial_delay: delay_ms,
        factor_permille: 1_000,
        max_delay: delay_ms,
        jitter_permille: 0,
    });
    let begun = host::durable::begin_step(name, retry)?;
    let mut attempt = match begun.step {
        host::durable::Step::Completed(result) => {
            return serde_json::from_str(&result).map_err(|_| own("bad", false, ""));
        }
        host::durable::Step::Execute(attempt) => attempt,
    };
    loop {
        let outcome = all(acts).map(Value::Array).and_then(|answers| {
            if attempt < fail_until { Err(own("not-yet", true, "a later attempt succeeds")) } else { Ok(answers) }
        });
        let text = outcome.as_ref().map(Value::to_string);
        let verdict = host::durable::end_step(begun.id, text.as_deref().map_err(|failure| *failure))?;
        match (verdict, outcome) {
            (host::durable::Verdict::Done, outcome) => return outcome,
            (host::durable::Verdict::Again(next), _) => attempt = next,
            (host::durable::Verdict::GiveUp(failure), _) => return Err(failure),
        }
    }
}
