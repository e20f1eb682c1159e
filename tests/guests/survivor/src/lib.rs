//! Workflows for `tests/crash` whose outcome must not depend on crashes of the host: orders,
//! transfers between accounts, and runs that wait. An input is, for example, `{"do": "order", …}`.
//!
//! No compared output depends on time, chance or the order of runs.

mod accounts;
mod order;

use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tidemill_sdk::durable::{continue_as_new, send_signal, signal, step};
use tidemill_sdk::{Error, Result, clock, context, events, operator, state};

/// Input of a run.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Act {
    /// Gives each of ten accounts its first amount.
    Open,
    /// Moves an amount, and may fail on purpose.
    Transfer(accounts::Transfer),
    /// Returns all state that the test compares.
    Show,
    /// Executes an order as a saga.
    Order(order::Order),
    /// Started by an order: counts its parcel, and sends the signal `packed`.
    Parcel { order: u32 },
    /// Started by an event of an order: counts it.
    Notice { order: u32, what: String },
    /// Waits for the signal `go`, then counts itself.
    Hold,
    /// Waits for a signal that is never sent, until the timeout.
    Wait { ms: u64 },
    /// Counts itself, and continues as new `left` times.
    Again { left: u32 },
    /// Stores a long text in the state, in the result of a step, and in its output.
    Keep { text: String },
    /// Sleeps, then counts itself.
    Sleep { ms: u64 },
    /// Sleeps, and returns the delay of its wake-up in milliseconds.
    Nap { ms: u64 },
    /// Executes a step, a sleep and a step. Each step counts at a key of the run.
    Fly { ms: u64 },
    /// Returns the number of flights, and the fewest and most steps of one.
    Flown,
    /// Pauses a deployment, rolls it back, waits, and resumes it.
    Operate { deployment: String },
    /// Executes steps within steps, each counted once.
    Nest { outer: u32, inner: u32 },
}

#[tidemill_sdk::workflow]
fn survive(act: Act) -> Result<Value> {
    match act {
        Act::Open => accounts::open(),
        Act::Transfer(transfer) => transfer.make(),
        Act::Show => show(),
        Act::Order(order) => order.sell(),
        Act::Parcel { order } => {
            count("parcels")?;
            let parent =
                context::triggered_by().parent.ok_or_else(|| Error::new("no-parent", "an order starts this"))?;
            send_signal(parent, "packed", &order)?;
            Ok(json!({ "parcel": order }))
        }
        Act::Notice { order, what } => {
            let event = events::event().ok_or_else(|| Error::new("no-event", "an event starts this"))?;
            count("notices")?;
            count_at(&format!("notices/{what}/{order}"))?;
            Ok(json!({ "topic": event.topic }))
        }
        Act::Hold => {
            let said = signal::<Value>("go").wait()?;
            count("held")?;
            Ok(json!({ "said": said }))
        }
        Act::Wait { ms } => {
            let said = signal::<Value>("never").wait_for(Duration::from_millis(ms))?;
            count("waited")?;
            Ok(json!({ "said": said }))
        }
        Act::Again { left } => {
            count("again")?;
            match left.checked_sub(1) {
                Some(left) => Err(continue_as_new(&json!({ "do": "again", "left": left }))),
                None => Ok(json!({ "generation": context::generation() })),
            }
        }
        Act::Keep { text } => {
            state::set("kept", &text)?;
            let text = step("keep", || Ok::<_, Error>(text.repeat(2)))?;
            clock::sleep(Duration::from_millis(10))?;
            Ok(json!({ "kept": text }))
        }
        Act::Sleep { ms } => {
            clock::sleep(Duration::from_millis(ms))?;
            count("slept")?;
            Ok(Value::Null)
        }
        Act::Operate { deployment } => {
            operator::pause(&deployment, "it is repaired")?;
            let back = step("roll back", || operator::rollback(&deployment, "it is repaired"))?;
            clock::sleep(Duration::from_millis(20))?;
            operator::resume(&deployment, "it is repaired")?;
            let health = operator::health(&deployment)?;
            Ok(json!({ "revision": back, "paused": health.paused }))
        }
        Act::Nap { ms } => {
            let due = clock::now().as_millis() + ms;
            clock::sleep(Duration::from_millis(ms))?;
            Ok(json!(clock::now().as_millis().saturating_sub(due)))
        }
        Act::Fly { ms } => {
            let key = format!("flown/{}", context::id());
            step("out", || count_at(&key))?;
            clock::sleep(Duration::from_millis(ms))?;
            step("home", || count_at(&key))?;
            Ok(Value::Null)
        }
        Act::Flown => flown(),
        Act::Nest { outer, inner } => nest(outer, inner),
    }
}

/// Adds one to a counter in the state.
fn count(what: &str) -> Result<()> {
    count_at(&format!("count/{what}"))
}

fn count_at(key: &str) -> Result<()> {
    let counted = state::get_or_default::<u64>(key)? + 1;
    state::set(key, &counted)
}

fn flown() -> Result<Value> {
    let (mut flights, mut least, mut most) = (0, u64::MAX, 0);
    for entry in state::scan("flown/") {
        let steps: u64 = entry?.json()?;
        (flights, least, most) = (flights + 1, least.min(steps), most.max(steps));
    }
    Ok(json!({ "flights": flights, "least": least, "most": most }))
}

fn nest(outer: u32, inner: u32) -> Result<Value> {
    let sum = (0..outer).try_fold(0_u64, |sum, number| {
        let part = step("outer", || {
            count("outer")?;
            (0..inner).try_fold(0_u64, |sum, within| {
                Ok::<_, Error>(sum + step("inner", || Ok::<_, Error>(u64::from(number * inner + within)))?)
            })
        })?;
        Ok::<_, Error>(sum + part)
    })?;
    Ok(json!(sum))
}

fn show() -> Result<Value> {
    let mut shown = serde_json::Map::new();
    for entry in state::scan("") {
        let entry = entry?;
        let value: Value = entry.json()?;
        shown.insert(entry.key, value);
    }
    Ok(Value::Object(shown))
}
