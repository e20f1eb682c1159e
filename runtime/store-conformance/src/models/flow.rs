//! Random sequences of requests with rates and debouncing, across restarts, compared with what
//! rates and debouncing guarantee.
//!
//! Rate: within any period no more runs start than the rate allows, and every run that may start
//! does. Debounce: a request joins a run if one is waiting in the model, the run has the
//! newest input, and no run waits longer than the maximum wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::flow::Rate;
use tidemill_core::{RunId, Timestamp};

use crate::Factory;
use crate::fixture::{NOON, deploy, name, new_run, owner};
use crate::sequences::{self, failed};
use tidemill_store::Store;
use tidemill_store::records::{AdmissionTerms, DebounceTerms, NewRun, RecoveryFilter, RunRequestResult};

const WAIT: u64 = 300;
const MAX_WAIT: u64 = 700;

#[derive(Debug, Clone)]
enum FlowStep {
    /// A request, debounced under one of two keys or not debounced.
    Request(Option<bool>),
    Admit(usize),
    Time(u64),
    Restart,
}

fn act() -> impl Strategy<Value = FlowStep> {
    prop_oneof![
        5 => prop::option::of(any::<bool>()).prop_map(FlowStep::Request),
        4 => (1_usize..6).prop_map(FlowStep::Admit),
        4 => (1_u64..400).prop_map(FlowStep::Time),
        1 => Just(FlowStep::Restart),
    ]
}

/// A debounced run that has not started.
struct DebouncedRun {
    id: RunId,
    due: Timestamp,
    latest: Timestamp,
    input: Bytes,
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    let rate = (1_u32..6, 200_u64..1_500).prop_map(|(runs, per_millis)| Rate { runs, per_millis });
    let sequences = (rate, prop::collection::vec(act(), 1..80));
    sequences::compare("the store's admissions are not as promised", cases, empty, &sequences, play);
}

async fn play(store: Arc<dyn Store>, (rate, acts): (Rate, Vec<FlowStep>)) -> Result<(), TestCaseError> {
    deploy(&store, "a").await;
    let mut me = owner(&store).await;
    let mut now = NOON;
    let mut begun: Vec<Timestamp> = Vec::new();
    let mut waiting: BTreeMap<RunId, Timestamp> = BTreeMap::new();
    let mut open_runs: BTreeMap<bool, DebouncedRun> = BTreeMap::new();
    for (number, act) in acts.into_iter().enumerate() {
        match act {
            FlowStep::Request(None) => {
                let new = NewRun { now, not_before: now, ..new_run("a") };
                waiting.insert(new.id, now);
                store.request_run(new).await.map_err(failed)?;
            }
            FlowStep::Request(Some(of)) => {
                let debounce = DebounceTerms { key: of.to_string(), wait_millis: WAIT, max_wait_millis: MAX_WAIT };
                let terms = AdmissionTerms { debounce: Some(debounce), ..AdmissionTerms::default() };
                let input = Bytes::from(number.to_string());
                let new = NewRun { now, not_before: now, input: input.clone(), terms, ..new_run("a") };
                let id = new.id;
                let asked = store.request_run(new).await.map_err(failed)?;
                let due = now.plus_millis(WAIT);
                match (open_runs.get_mut(&of).filter(|open| open.due > now), asked) {
                    (Some(open), RunRequestResult::Joined(run)) => {
                        prop_assert_eq!(run.id, open.id);
                        (open.due, open.input) = (due.min(open.latest), input);
                        waiting.insert(open.id, open.due);
                    }
                    (None, RunRequestResult::Created(_)) => {
                        waiting.insert(id, due);
                        open_runs.insert(of, DebouncedRun { id, due, latest: now.plus_millis(MAX_WAIT), input });
                    }
                    (open, asked) => {
                        return Err(TestCaseError::fail(format!("{:?}: {asked:?}", open.map(|open| open.id))));
                    }
                }
            }
            FlowStep::Admit(limit) => {
                let admitted = store.admit(&me, &name("a"), limit, Some(rate).into(), now).await.map_err(failed)?;
                let in_span = begun.iter().filter(|at| now.millis_since(**at) < rate.per_millis).count();
                let room = (rate.runs as usize).saturating_sub(in_span);
                let mut due: Vec<_> = waiting.iter().filter(|(_, due)| **due <= now).map(|(id, _)| *id).collect();
                due.sort_unstable();
                let expected: Vec<_> = due.iter().copied().take(limit.min(room)).collect();
                let taken: Vec<_> = admitted.claimed.iter().map(|claimed| claimed.run.id).collect();
                prop_assert_eq!(&taken, &expected, "{} in the span", in_span);
                prop_assert_eq!(admitted.next.is_some(), room < limit && due.len() > expected.len());
                prop_assert!(admitted.next.is_none_or(|next| next > now && next <= now.plus_millis(rate.per_millis)));
                for claimed in &admitted.claimed {
                    begun.push(now);
                    waiting.remove(&claimed.run.id);
                    if let Some(open) = open_runs.values().find(|open| open.id == claimed.run.id) {
                        prop_assert_eq!(&claimed.input, &open.input);
                        prop_assert!(open.due <= open.latest);
                    }
                }
            }
            FlowStep::Time(millis) => now = now.plus_millis(millis),
            FlowStep::Restart => {
                me = owner(&store).await;
                store.take_over(&me, RecoveryFilter::All, 1_000, now).await.map_err(failed)?;
            }
        }
        prop_assert_eq!(store.queue_length(&name("a")).await.map_err(failed)?, waiting.len() as u64);
    }
    Ok(())
}
