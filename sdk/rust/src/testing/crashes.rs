//! Repeated executions of the same run, each with a crash at another position. Each must end like
//! the undisturbed run.

use super::Harness;
use super::harness::fails_with;
use super::run::Crash;
use super::run_result::{End, RunResult, describe};
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

impl Harness {
    /// Runs a function without a crash, then for each entry of its journal with a crash after it:
    /// once with everything up to there saved, and once with everything since the last commit lost.
    /// Each run must end with the same output, state, ledger, events, signals, runs, actions and
    /// outside effects. Requests with the same `Idempotency-Key` count as one. Returns the
    /// undisturbed run.
    ///
    /// # Panics
    /// If a run ends differently. The message names the entry and the difference.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn crash_everywhere<I, O, E>(&self, function: impl Fn(I) -> Result<O, E>, input: impl Serialize) -> RunResult<O>
    where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        let input = serde_json::to_value(&input).unwrap_or_else(|why| panic!("the input: {why}"));
        let calm = fails_with(self.attempt(&function, &input, None, None));
        let expected = traces(&calm);
        for after in 1..=calm.entries() {
            for lost in [false, true] {
                let where_ = if lost { "losing uncommitted work" } else { "keeping all entries" };
                let hurt = self.attempt(&function, &input, Some(Crash { after, lost }), None);
                let hurt = match hurt {
                    Ok(hurt) => hurt,
                    Err(mismatch) => panic!(
                        "after a crash after entry {after} of {}, {where_}, replay diverged from the journal: {mismatch}",
                        calm.entries()
                    ),
                };
                for ((what, expected), (_, found)) in expected.iter().zip(traces(&hurt)) {
                    assert!(
                        *expected == found,
                        "after a crash after entry {after} of {}, {where_}, its {what} differs:\n  undisturbed  {expected}\n  crashed      {found}",
                        calm.entries()
                    );
                }
            }
        }
        calm
    }

    /// Runs a function once per entry of its journal, and once before the first, with a
    /// cancellation at that position. Passes each run to `check`, which can verify that the work
    /// was undone. Runs that ended before they received the cancellation are not passed.
    ///
    /// # Panics
    /// If `check` panics.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn cancel_everywhere<I, O, E>(
        &self,
        function: impl Fn(I) -> Result<O, E>,
        input: impl Serialize,
        check: impl Fn(&RunResult<O>),
    ) where
        I: DeserializeOwned,
        O: Serialize,
        E: Into<Error>,
    {
        let input = serde_json::to_value(&input).unwrap_or_else(|why| panic!("the input: {why}"));
        let calm = fails_with(self.attempt(&function, &input, None, None));
        for after in 0..calm.entries() {
            let ran = fails_with(self.clone().cancel_after_entries(after).attempt(&function, &input, None, None));
            if ran.was_cancelled() {
                check(&ran);
            }
        }
    }
}

/// Lists what others can see of a run, in a stable order.
fn traces<O: Serialize>(ran: &RunResult<O>) -> Vec<(&'static str, Value)> {
    let end = match &ran.end {
        End::Succeeded(output) => json!({ "succeeded": serde_json::to_value(output).unwrap_or_default() }),
        End::Failed(error) => json!({ "failed": error.to_string() }),
        other => json!(describe(other)),
    };
    let world = &ran.world;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let state: Value = world
        .state
        .iter()
        .map(|(name, state)| {
            let state: Value = state.iter().map(|(key, value)| (key.clone(), json!(text(value)))).collect();
            (name.clone(), state)
        })
        .collect();
    let effects: Vec<Value> =
        ran.effects().iter().map(|sent| json!([sent.method, sent.url, sent.key(), text(&sent.body)])).collect();
    let ledger: Vec<Value> = world.ledger.values().map(|posted| json!(format!("{posted:?}"))).collect();
    let events: Vec<Value> = world.events.iter().map(|event| json!([event.topic, event.payload])).collect();
    let signals: Vec<Value> = world.signals.iter().map(|it| json!([it.to, it.name, it.payload])).collect();
    let actions: Vec<Value> =
        world.operator_calls.iter().map(|call| json!([call.action, call.deployment, call.note])).collect();
    let runs: Vec<Value> = world
        .children
        .iter()
        .map(|child| json!([child.started.id, child.started.deployment, child.started.input]))
        .collect();
    vec![
        ("end", end),
        ("state", state),
        ("ledger", json!(ledger)),
        ("outside effects", json!(effects)),
        ("events", json!(events)),
        ("signals", json!(signals)),
        ("started runs", json!(runs)),
        ("cancelled runs", json!(world.cancels)),
        ("actions on deployments", json!(actions)),
        ("duration", json!(ran.ended.saturating_sub(ran.began))),
    ]
}
