//! One program for each behaviour of a host that a module can observe, with its result in
//! `programs.json`. The tests of this crate run them in the SDK's test harness, and
//! `runtime/control/tests/real/parity.rs` runs them on a host: both give these results.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidemill_sdk::durable::{Run, RunId, continue_as_new, start};
use tidemill_sdk::secrets::Algorithm;
use tidemill_sdk::{
    Error, Money, Period, Result, Retry, clock, context, events, http, ledger, metrics, operator, secrets, state,
};
use tidemill_sdk::{saga, select, signal, sleep, spawn, step, step_with};

/// Name of the deployment, which also starts its own children.
const OWN: &str = "parity";

/// Input of a run.
#[derive(Clone, Serialize, Deserialize)]
struct Input {
    program: String,
    /// Address of the server.
    #[serde(default)]
    server: String,
}

#[tidemill_sdk::workflow]
fn parity(input: Input) -> Result<Value> {
    match input.program.as_str() {
        "read-state" => read_state(&input.server),
        "echo" => Ok(json!(context::triggered_by().kind)),
        "fail" | "fail-finally" => Err(Error::new("no", "it never succeeds")),
        "fail-at-once" => Err(Error::retryable("busy", "it never succeeds")),
        "forge-code" => Err(Error::new("host/limit-fuel", "no call returned this")),
        "return-code" => http::get("https://other.example.com/").send().map(|_| Value::Null),
        "long-output" => Ok(json!("x".repeat(2_048))),
        "invalid-metric" => {
            metrics::count("Not a name", 1.0, &[]);
            Ok(Value::Null)
        }
        "state" => use_state(),
        "state-bounds" => bound_state(),
        "steps" => use_steps(),
        "step-bounds" => bound_steps(),
        "retry" => retry(),
        "saga" => use_saga(),
        "timers" => use_timers(),
        "signals" => {
            Ok(json!([signal::<u32>("go").wait()?, signal::<u32>("never").wait_for(Duration::from_millis(10))?]))
        }
        "bad-signal" => signal::<u32>("text").wait().map(Value::from),
        "children" => use_children(),
        "child-bounds" => bound_children(),
        "continue" => match context::generation() {
            generation @ 1..3 => {
                state::set(&format!("continue/{generation}"), &true)?;
                Err(continue_as_new(&input))
            }
            generation => Ok(json!(generation)),
        },
        "events" => publish(),
        "http" => send(&input.server),
        "http-retry" => send_again(&input.server),
        "http-claim" => claim_and_send(&input.server),
        "http-limit" => Ok((1..=10).map(|_| code(http::get(format!("{}/ok", input.server)).send())).collect()),
        "ledger" => post(),
        "ledger-reserve" => reserve(),
        "ledger-draw" => draw(),
        "ledger-claim" => reserve_and_send(&input.server),
        "operator" => operate(),
        "secrets" => Ok(code(secrets::sign("key", Algorithm::HmacSha256, b"message"))),
        "cancel" => cancelled(),
        "cancel-ignored" => {
            let _ = sleep(Duration::from_secs(86_400));
            Ok(json!("it ends as if nothing had happened"))
        }
        other => Err(Error::new("no-program", other)),
    }
}

/// Returns `ok` or the code of the failure.
fn code<T>(result: Result<T>) -> Value {
    result.map_or_else(|error| json!(error.code()), |_| json!("ok"))
}

fn read_state(prefix: &str) -> Result<Value> {
    let entries = state::scan(prefix).map(|entry| entry.and_then(|entry| Ok((entry.key.clone(), entry.json()?))));
    Ok(Value::Object(entries.collect::<Result<_>>()?))
}

fn use_state() -> Result<Value> {
    state::set("state/a", &1)?;
    state::set("state/b", &2)?;
    state::delete("state/b")?;
    let swaps = [state::compare_and_set("state/a", Some(&1), &3)?, state::compare_and_set("state/a", Some(&1), &4)?];
    Ok(json!([swaps, state::get::<u32>("state/a")?, state::get::<u32>("state/b")?, read_state("state/")?]))
}

fn bound_state() -> Result<Value> {
    Ok(json!([
        code(state::set("", &1)),
        code(state::set(&"k".repeat(512), &1)),
        code(state::set(&"k".repeat(513), &1)),
        code(state::get::<u32>(&"k".repeat(513))),
        code(state::set_bytes("state-bounds/full", &vec![b'1'; 1 << 20])),
        code(state::set_bytes("state-bounds/over", &vec![b'1'; (1 << 20) + 1])),
        code(state::delete("state-bounds/full")),
        code(state::delete(&"k".repeat(512))),
        code(state::scan(&"k".repeat(513)).collect::<Result<Vec<_>>>()),
    ]))
}

fn use_steps() -> Result<Value> {
    let retry = Retry::times(2).every(Duration::from_millis(10));
    let note = |name: &str, attempt: u32| state::set(&format!("steps/{name}-{attempt}"), &attempt);
    let third = step_with("succeeds at last", retry, |attempt| {
        note("last", attempt)?;
        if attempt < 3 { Err(Error::retryable("busy", "not yet")) } else { Ok(attempt) }
    })?;
    let given_up = step_with("never succeeds", retry, |attempt| {
        note("never", attempt)?;
        Err::<(), _>(Error::retryable("busy", "never"))
    });
    let retryable = given_up.as_ref().is_err_and(Error::is_retryable);
    let final_failure = step_with("fails finally", retry, |attempt| {
        note("finally", attempt)?;
        Err::<(), _>(Error::new("no", "never"))
    });
    let nested = step("outer", || {
        state::set("steps/outer", &1)?;
        let inner = step("inner", || {
            state::set("steps/inner", &1)?;
            Err::<(), _>(Error::new("no", "never"))
        });
        Ok::<_, Error>(code(inner))
    })?;
    Ok(json!([third, code(given_up), retryable, code(final_failure), nested]))
}

fn bound_steps() -> Result<Value> {
    let nothing = |name: &str| code(step(name, || Ok::<_, Error>(())));
    let policy = Retry::times(1).factor_permille(1);
    Ok(json!([
        nothing(""),
        nothing(&"n".repeat(255)),
        nothing(&"n".repeat(256)),
        code(step_with("policy", policy, |_| Ok::<_, Error>(()))),
        code(step("sleeps", || sleep(Duration::from_millis(1)))),
        code(step("starts", || start(OWN, &json!({})).send().map(drop))),
        code(step("waits", || signal::<u32>("go").wait_for(Duration::from_millis(1)).map(drop))),
    ]))
}

/// Fails twice. Completed steps and their effects are kept, and everything else is repeated.
fn retry() -> Result<Value> {
    let attempt = context::attempt();
    state::set(&format!("retry/dropped-{attempt}"), &attempt)?;
    step("once", || state::set(&format!("retry/step-{}", context::attempt()), &1))?;
    state::set(&format!("retry/after-{attempt}"), &attempt)?;
    if attempt < 3 { Err(Error::retryable("busy", "not yet")) } else { Ok(json!(attempt)) }
}

fn use_saga() -> Result<Value> {
    let note = |what: &str| {
        let count = state::get_or_default::<u32>("saga/count")? + 1;
        state::set("saga/count", &count)?;
        state::set(&format!("saga/{count}"), what)
    };
    saga(|saga| {
        saga.step("room", || note("room"), |()| note("no room"))?;
        saga.step("flight", || note("flight"), |()| note("no flight"))?;
        saga.step("car", || Err::<(), _>(Error::new("no-car", "there is none")), |()| note("no car"))
    })
    .map(|()| Value::Null)
}

fn use_timers() -> Result<Value> {
    let before = clock::now();
    sleep(Duration::from_millis(50))?;
    let slept = clock::now().since(before) >= Duration::from_millis(50);
    let first =
        select().signal(signal::<u32>("never"), |_| Ok("signal")).after(Duration::from_millis(10), || Ok("time"));
    clock::sleep_until(before)?;
    Ok(json!([slept, first.wait()?]))
}

fn use_children() -> Result<Value> {
    let child = |program: &str| spawn::<Value>(OWN, &json!({ "program": program }));
    let (good, bad, late) = (child("echo")?, child("fail")?, child("signals")?);
    let results = json!([good.join()?, code(bad.join()), late.join_for(Duration::from_millis(10))?]);
    late.cancel()?;
    let same = start(OWN, &json!({ "program": "echo" })).idempotency_key("children-key");
    let other = start(OWN, &json!({ "program": "fail" })).idempotency_key("children-key");
    Ok(json!([results, code(late.join()), code(same.send()), code(other.send())]))
}

fn bound_children() -> Result<Value> {
    let child = || start(OWN, &json!({ "program": "echo" })).detached();
    let labels = (0..17).fold(child(), |child, n| child.label(format!("n{n}"), "x"));
    Ok(json!([
        code(child().priority(10).send()),
        code(child().idempotency_key("").send()),
        code(child().label("name", "v".repeat(300)).send()),
        code(labels.send()),
        code(child().export("nothing").send()),
        code(start("Not A Name", &json!({})).send()),
        code(start("other", &json!({})).send()),
        code(Run::<Value>::of(RunId::new("01kakq3vj6x0cm4kd9be2f7h1n")).join()),
    ]))
}

fn publish() -> Result<Value> {
    Ok(json!([
        code(events::publish("parity.done", &1)),
        code(events::publish("other.done", &1)),
        code(events::publish("Not a topic", &1)),
        code(events::publish("parity.large", &"x".repeat(64 << 10))),
    ]))
}

fn send(server: &str) -> Result<Value> {
    let get = |path: &str| http::get(format!("{server}{path}"));
    let text = get("/ok").send()?.ok()?.text()?.to_owned();
    let status = get("/missing").send()?.status;
    Ok(json!([
        text,
        status,
        code(get("/missing").send()?.ok()),
        code(http::get("https://api.example.com/").send()),
        code(http::get("http://127.0.0.1:1/").send()),
        code(get("/ok").secret("key").send()),
        code(get("/ok").header("Host", "other").send()),
        code(get("/ok").timeout(Duration::from_secs(3_600)).send()),
        code(http::request("CONNECT", server).send()),
        code(http::get("/relative").send()),
        code(http::get("ftp://example.com/").send()),
        code(http::get("http://user@example.com/").send()),
        code(http::get("http://a..b/").send()),
        code(http::get("http://127.0.0.1:0/").send()),
    ]))
}

fn send_again(server: &str) -> Result<Value> {
    let before = clock::now();
    let retry = Retry::times(3).every(Duration::from_millis(10));
    let busy = http::get(format!("{server}/busy")).retry(retry).send()?.status;
    let soon = clock::now().since(before) < Duration::from_secs(1);
    let later = http::get(format!("{server}/later")).retry(retry).send()?.status;
    let waited = clock::now().since(before) >= Duration::from_secs(1);
    let once = http::get(format!("{server}/busy-again")).send()?.status;
    Ok(json!([busy, soon, later, waited, once]))
}

fn claim_and_send(server: &str) -> Result<Value> {
    let effect = step("claims", || {
        state::compare_and_set("http-claim/claimed", None, &true)?;
        http::post(format!("{server}/ok")).send().map(|response| response.status)
    });
    Ok(code(effect))
}

fn post() -> Result<Value> {
    let at = clock::now();
    let sale = |id: &str, amount: Money| ledger::entry(id, ledger::Kind::Sale, amount, at);
    let euro = |amount| Money::minor(amount, "EUR");
    let codes = json!([
        sale("one", euro(1_000)).post()?.duplicate,
        sale("one", euro(1_000)).post()?.duplicate,
        code(sale("one", euro(999)).post()),
        code(sale("", euro(1)).post()),
        code(sale("zero", euro(0)).post()),
        code(sale("minus", euro(-1)).post()),
        code(sale("unit", Money::minor(1, "NONE")).post()),
        code(sale("long", euro(1)).description("x".repeat(1_025)).post()),
        sale("one", euro(1_000)).customer("cus_1").description("a remark").post()?.duplicate,
        code(sale("one", euro(1_000)).of("order").post()),
        code(sale("one", euro(1_000)).reserve()),
        code(sale("one/settled", euro(1)).post()),
        code(sale("one", euro(1)).metadata(&json!({ "of": 1 })).post()),
        code(ledger::entry("back", ledger::Kind::Refund.reversal(), euro(1), at).post()),
        code(ledger::entry("swap", ledger::Kind::Trade.reversal(), euro(1), at).post()),
    ]);
    ledger::entry("fee", ledger::Kind::Fee, euro(30), at).post()?;
    ledger::entry("tax", ledger::Kind::Tax, euro(100), at).post()?;
    sleep(Duration::from_millis(1))?;
    let earned = ledger::revenue(Period { start: at, end: at + Duration::from_millis(1) })?;
    Ok(json!([codes, earned]))
}

fn reserve() -> Result<Value> {
    let at = clock::now();
    let euro = |amount| Money::minor(amount, "EUR");
    let usage = |id: &str, amount: i64| ledger::entry(id, ledger::Kind::Usage, euro(amount), at);
    let posted = usage("posted", 1).post()?.id;
    let [part, whole, gone] = ["part", "whole", "gone"].map(|id| usage(id, 500).reserve().map(|posting| posting.id));
    let (part, whole, gone) = (part?, whole?, gone?);
    let mut codes = vec![
        code(usage("zero", 0).reserve()),
        json!(usage("part", 500).reserve()?.duplicate),
        code(usage("part", 400).reserve()),
        code(usage("part", 500).post()),
        code(ledger::settle("none", None)),
        code(ledger::settle(&posted, None)),
        code(ledger::settle(&part, Some(&euro(0)))),
        code(ledger::settle(&part, Some(&euro(501)))),
        code(ledger::settle(&part, Some(&Money::minor(1, "USD")))),
        json!(ledger::settle(&part, Some(&euro(420)))?.duplicate),
        json!(ledger::settle(&part, Some(&euro(420)))?.duplicate),
        code(ledger::settle(&part, None)),
        code(ledger::void(&part)),
        json!(ledger::void(&gone)?.duplicate),
        json!(ledger::void(&gone)?.duplicate),
        code(ledger::settle(&gone, None)),
    ];
    sleep(Duration::from_millis(1))?;
    codes.push(json!(ledger::settle(&whole, None)?.duplicate));
    codes.push(json!(ledger::settle(&whole, Some(&euro(500)))?.duplicate));
    let hold = ledger::hold("hold", ledger::Kind::Usage, euro(10), at).expires_in(Duration::from_millis(1)).place()?;
    sleep(Duration::from_millis(5))?;
    let settled = hold.settle(&euro(7))?;
    codes.push(json!([settled.end.is_some(), settled.excess.is_some()]));
    codes.push(code(ledger::void(hold.posting_id())));
    sleep(Duration::from_millis(1))?;
    let earned = ledger::revenue(Period { start: at, end: clock::now() })?;
    Ok(json!([codes, earned]))
}

/// Credit is used in its order, and neither a draw nor a reservation goes below the floor.
fn draw() -> Result<Value> {
    let at = clock::now();
    let euro = |amount| Money::minor(amount, "EUR");
    let entry = |id: &str, kind: ledger::Kind, amount: i64| ledger::entry(id, kind, euro(amount), at).customer("c");
    let balance = || -> Result<Value> {
        let balance = ledger::balance("c", "EUR")?;
        let floor = balance.floor.map(|floor| floor.minor_units);
        Ok(json!([balance.available.minor_units, balance.held.minor_units, floor, balance.next_expiry.is_some()]))
    };
    let draw = |id: &str, amount: i64| ledger::draw(id, "c", euro(amount), at);
    let expires_at = (at + Duration::from_secs(3_600)).as_millis();
    let mut seen = vec![
        code(entry("bad", ledger::Kind::Promotion, 1).metadata(&json!({ "grant": { "priority": 256 } })).post()),
        code(draw("none", 1).take()),
        balance()?,
    ];
    entry("gift", ledger::Kind::Promotion, 500).metadata(&json!({ "grant": { "expires_at": expires_at } })).post()?;
    let paid = entry("paid", ledger::Kind::Prepayment, 300).post()?;
    entry("first", ledger::Kind::Prepayment, 100).metadata(&json!({ "grant": { "priority": 5 } })).post()?;
    seen.push(balance()?);
    seen.push(json!(draw("d1", 200).take()?.amount.minor_units));
    seen.push(json!(draw("d1", 200).take()?.posting.is_some_and(|posting| posting.duplicate)));
    seen.push(code(draw("d1", 201).take()));
    sleep(Duration::from_millis(2))?;
    seen.push(balance()?);
    let later = clock::now();
    let draw = |id: &str, amount: i64| ledger::draw(id, "c", euro(amount), later);
    let held = ledger::entry("held", ledger::Kind::Drawdown, euro(120), later).customer("c").reserve()?.id;
    seen.push(code(draw("d2", 581).take()));
    seen.push(json!(draw("d2", 581).up_to().take()?.amount.minor_units));
    seen.push(json!(draw("d3", 1).up_to().take()?.posting.is_none()));
    seen.push(code(ledger::entry("held2", ledger::Kind::Drawdown, euro(1), later).customer("c").reserve()));
    ledger::settle(&held, Some(&euro(20)))?;
    seen.push(balance()?);
    ledger::entry("post", ledger::Kind::Drawdown, euro(150), later).customer("c").post()?;
    seen.push(balance()?);
    seen.push(json!(!paid.duplicate));
    Ok(json!(seen))
}

fn reserve_and_send(server: &str) -> Result<Value> {
    let at = clock::now();
    let effect = step("reserve and charge", || -> Result<()> {
        ledger::entry("claimed", ledger::Kind::Usage, Money::minor(1, "EUR"), at).reserve()?;
        http::post(format!("{server}/effect")).send()?.ok().map(drop)
    });
    Ok(code(effect))
}

/// Acts on `operated`, which is in its second revision.
fn operate() -> Result<Value> {
    let (of, note) = ("operated", "a test");
    let is_paused = || operator::health(of).map(|health| json!([health.status.as_str(), health.paused]));
    let refused = [
        code(operator::pause("other", note)),
        code(operator::pause(OWN, note)),
        code(operator::health("other")),
        code(operator::recycle(of, note)),
        code(operator::pause("gone", note)),
        code(operator::health("gone")),
        code(operator::pause("No Name", note)),
        code(operator::pause(of, " ")),
        code(operator::pause(of, &"n".repeat(1_025))),
        code(operator::retry_parked(of, 0, note)),
        code(operator::retry_parked(of, 101, note)),
        code(operator::rollback_to(of, 0, note)),
        code(operator::rollback_to(of, u64::MAX, note)),
    ];
    operator::pause(of, "a note\u{1b} with \"text\"\n")?;
    let paused = is_paused()?;
    operator::resume(of, note)?;
    operator::resume(of, note)?;
    let resumed = is_paused()?;
    let back = operator::rollback(of, note)?;
    let retry = Retry::times(2).every(Duration::from_millis(10));
    let once = step_with("roll back once", retry, |attempt| {
        let revision = operator::rollback(of, note)?;
        if attempt < 2 { Err(Error::retryable("busy", "not yet")) } else { Ok(revision) }
    })?;
    let claimed = step("claim and pause", || -> Result<()> {
        state::compare_and_set("operator/claim", None, &1)?;
        operator::pause(of, note)
    });
    let same = operator::rollback_to(of, once, note)?;
    let by_person = code(operator::pause("paused-by-hand", note));
    let retried = operator::retry_parked(of, 100, note)?;
    Ok(json!([refused, paused, resumed, back, once, code(claimed), same, by_person, retried]))
}

/// Notes what a cancelled run may still do.
fn cancelled() -> Result<Value> {
    let slept = sleep(Duration::from_secs(86_400));
    let notes =
        [code(slept), code(start(OWN, &json!({ "program": "echo" })).send()), code(sleep(Duration::from_millis(1)))];
    state::set("cancel/notes", &notes)?;
    Err(Error::new("undone", "the work is undone"))
}

#[cfg(test)]
mod tests;
