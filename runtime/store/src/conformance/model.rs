//! Random sequences of operations, on the store and on a model that fits on a page.
//!
//! The model knows deployments' state, the ledger's sum and the runs' states. Runs read and write a few keys, so that
//! conflicts are common; lives end, so that takeovers are too.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent};

use super::Factory;
use super::sequences::{self, failed};
use super::world::{NOON, deploy, name, new_run, owner, success};
use crate::records::{PageRequest, ReadCheck, RecoveryFilter, RunCommit, RunCommitResult, RunFilter, StateWrite};
use crate::{Store, StoreError};

const KEYS: u8 = 3;

/// What a sequence is made of. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Act {
    Request,
    Claim,
    /// An executing run reads a key.
    Read {
        run: u8,
        key: u8,
    },
    /// It ends, having written a key (nothing deletes it) and posted an amount.
    End {
        run: u8,
        key: u8,
        value: Option<u8>,
        post: Option<u8>,
    },
    /// It is queued again.
    Requeue {
        run: u8,
    },
    /// A queued run is cancelled.
    Cancel,
    /// The host dies; a new life takes over what it left.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let key = 0..KEYS;
    prop_oneof![
        3 => Just(Act::Request),
        3 => Just(Act::Claim),
        4 => (any::<u8>(), key.clone()).prop_map(|(run, key)| Act::Read { run, key }),
        4 => (any::<u8>(), key, any::<Option<u8>>(), any::<Option<u8>>())
            .prop_map(|(run, key, value, post)| Act::End { run, key, value, post }),
        1 => any::<u8>().prop_map(|run| Act::Requeue { run }),
        1 => Just(Act::Cancel),
        1 => Just(Act::Restart),
    ]
}

/// A run as the model has it: executing, with what it read and which of it is stale.
struct Going {
    run: Run,
    reads: Vec<ReadCheck>,
    read: Vec<(u8, u64)>,
}

#[derive(Default)]
struct Model {
    queued: Vec<RunId>,
    going: Vec<Going>,
    ended: BTreeMap<RunId, &'static str>,
    state: BTreeMap<u8, u8>,
    /// A number for each value that is there; what a read is held against.
    writes: BTreeMap<u8, u64>,
    earned: i128,
}

fn key(of: u8) -> String {
    format!("k{of}")
}

pub(super) fn compare(cases: u32, empty: Factory<'_>) {
    sequences::compare("the store and the model differ", cases, empty, &prop::collection::vec(act(), 1..60), play);
}

async fn play(store: Arc<dyn Store>, acts: Vec<Act>) -> Result<(), TestCaseError> {
    deploy(&store, "a").await;
    let mut model = Model::default();
    let mut me = owner(&store).await;
    for act in acts {
        step(&store, &mut model, &mut me, act).await?;
        check(&store, &model).await?;
    }
    Ok(())
}

async fn step(store: &Arc<dyn Store>, model: &mut Model, me: &mut Owner, act: Act) -> Result<(), TestCaseError> {
    match act {
        Act::Request => {
            let new = new_run("a");
            model.queued.push(new.id);
            store.request_run(new).await.map_err(failed)?;
        }
        Act::Claim => {
            let claimed = store.claim(me, &name("a"), 1, NOON).await.map_err(failed)?;
            model.queued.sort();
            let expected = if model.queued.is_empty() { None } else { Some(model.queued.remove(0)) };
            prop_assert_eq!(claimed.first().map(|claimed| claimed.run.id), expected);
            model.going.extend(claimed.into_iter().map(|claimed| going(claimed.run)));
        }
        Act::Read { run, key: of } => {
            let Some(at) = pick(model, run) else { return Ok(()) };
            let found = store.state(&name("a"), &key(of)).await.map_err(failed)?;
            let expected = model.state.get(&of).map(|value| Bytes::copy_from_slice(&[*value]));
            prop_assert_eq!(found.value, expected);
            let seen = model.writes.get(&of).copied().unwrap_or_default();
            let going = &mut model.going[at];
            going.reads.push(ReadCheck::State { key: key(of), version: found.version });
            going.read.push((of, seen));
        }
        Act::End { run, key: of, value, post } => {
            let Some(at) = pick(model, run) else { return Ok(()) };
            let going = model.going.remove(at);
            let mut commit = success(me, &going.run);
            commit.reads.clone_from(&going.reads);
            let value_bytes = value.map(|value| Bytes::copy_from_slice(&[value]));
            commit.writes = vec![StateWrite { key: key(of), value: value_bytes }];
            commit.postings.extend(post.map(|cents| super::ledger::posting(&going.run, "once", cents.into())));
            end(store, model, going, commit, (of, value, post)).await?;
        }
        Act::Requeue { run } => {
            let Some(at) = pick(model, run) else { return Ok(()) };
            let going = model.going.remove(at);
            let state = going.run.state.next(RunEvent::Requeued { not_before: NOON });
            let state = state.map_err(failed)?;
            let mut commit = success(me, &going.run);
            commit.run = Run { state, ..going.run.clone() };
            commit.output = None;
            let answer = store.commit_stretch(commit).await.map_err(failed)?;
            prop_assert!(matches!(answer, RunCommitResult::Done(_)), "{:?}", answer);
            model.queued.push(going.run.id);
        }
        Act::Cancel => {
            let Some(id) = model.queued.pop() else { return Ok(()) };
            store.request_cancel(id, false, NOON).await.map_err(failed)?;
            model.ended.insert(id, "cancelled");
        }
        Act::Restart => {
            let dead = std::mem::replace(me, owner(store).await);
            for left in &model.going {
                let late = store.commit_stretch(success(&dead, &left.run)).await;
                // Until it is taken over, the dead life still owns it; the store cannot tell. Its commit would be true.
                let stale = StoreError::StaleEpoch { run: left.run.id };
                prop_assert!(late.is_ok() || late == Err(stale), "a late commit of a dead life");
                if matches!(late, Ok(RunCommitResult::Done(_))) {
                    model.ended.insert(left.run.id, "succeeded");
                }
            }
            model.going.retain(|left| !model.ended.contains_key(&left.run.id));
            let taken = store.take_over(me, RecoveryFilter::All, 1_000, NOON).await.map_err(failed)?;
            let mut expected: Vec<_> = model.going.iter().map(|left| left.run.id).collect();
            expected.sort();
            prop_assert_eq!(taken.iter().map(|taken| taken.run.id).collect::<Vec<_>>(), expected);
            model.going = taken.into_iter().map(|taken| going(taken.run)).collect();
        }
    }
    Ok(())
}

async fn end(
    store: &Arc<dyn Store>,
    model: &mut Model,
    going: Going,
    commit: RunCommit,
    (of, value, post): (u8, Option<u8>, Option<u8>),
) -> Result<(), TestCaseError> {
    let stale = going.read.iter().any(|(of, seen)| model.writes.get(of).copied().unwrap_or_default() != *seen);
    // The sequence posts under one external id: only the first takes hold.
    let doubled = post.is_some() && model.earned_once();
    let answer = store.commit_stretch(commit).await.map_err(failed)?;
    prop_assert_eq!(matches!(answer, RunCommitResult::Conflict { .. }), stale || doubled, "{:?}", answer);
    if !matches!(answer, RunCommitResult::Done(_)) {
        model.going.push(Going { reads: vec![], read: vec![], ..going });
        return Ok(());
    }
    // What is absent is the same absence again; every value is a new one.
    match value {
        Some(value) => {
            model.state.insert(of, value);
            model.writes.insert(of, model.ended.len() as u64 + 1);
        }
        None => {
            model.state.remove(&of);
            model.writes.remove(&of);
        }
    }
    if let Some(cents) = post {
        model.earned = i128::from(cents) + 1;
    }
    model.ended.insert(going.run.id, "succeeded");
    Ok(())
}

impl Model {
    /// Whether the one entry of this sequence is there; one is added to its amount, so that an amount of nothing shows.
    fn earned_once(&self) -> bool {
        self.earned > 0
    }
}

fn going(run: Run) -> Going {
    Going { run, reads: vec![], read: vec![] }
}

fn pick(model: &Model, number: u8) -> Option<usize> {
    (!model.going.is_empty()).then(|| usize::from(number) % model.going.len())
}

async fn check(store: &Arc<dyn Store>, model: &Model) -> Result<(), TestCaseError> {
    let runs = store.runs(RunFilter::default(), PageRequest::first(1_000)).await.map_err(failed)?.items;
    prop_assert_eq!(runs.len(), model.queued.len() + model.going.len() + model.ended.len());
    for run in runs {
        let expected = match model.ended.get(&run.id) {
            Some(ended) => ended,
            None if model.queued.contains(&run.id) => "queued",
            None => "running",
        };
        prop_assert_eq!(run.state.name(), expected);
    }
    let earned: i128 = store.stream_totals().await.map_err(failed)?.iter().map(|total| total.net_revenue).sum();
    prop_assert_eq!(earned, (model.earned - 1).max(0));
    prop_assert_eq!(store.check_ledger().await.map_err(failed)?.problems, Vec::<String>::new());
    prop_assert_eq!(store.waiting(&name("a")).await.map_err(failed)?, model.queued.len() as u64);
    prop_assert_eq!(store.queued(&name("a"), 1_000).await.map_err(failed)?, model.queued.len());
    Ok(())
}
