//! Random sequences of operations on the store and on a small model.
//!
//! The model knows deployments' state, the ledger's sum and the runs' states. Runs read and write a
//! few keys, so that conflicts are common. Epochs end, so that takeovers are common too.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tidemill_core::RunId;
use tidemill_core::ids::Owner;
use tidemill_core::run::{Run, RunEvent};

use crate::Factory;
use crate::fixture::{NOON, deploy, name, new_run, owner, success};
use crate::sequences::{self, failed};
use tidemill_store::records::{
    PageRequest, ReadCheck, RecoveryFilter, RunCommit, RunCommitResult, RunFilter, StateWrite,
};
use tidemill_store::{Store, StoreError};

const KEYS: u8 = 3;

/// One step of a sequence. Numbers choose among the existing runs.
#[derive(Debug, Clone)]
enum TransactionStep {
    Request,
    Claim,
    /// An executing run reads a key.
    Read {
        run: u8,
        key: u8,
    },
    /// An executing run ends; it writes a key (no value deletes it) and posts an amount.
    End {
        run: u8,
        key: u8,
        value: Option<u8>,
        post: Option<u8>,
    },
    /// An executing run is requeued.
    Requeue {
        run: u8,
    },
    /// A queued run is cancelled.
    Cancel,
    /// The host dies; a new epoch takes over its runs.
    Restart,
}

fn act() -> impl Strategy<Value = TransactionStep> {
    let key = 0..KEYS;
    prop_oneof![
        3 => Just(TransactionStep::Request),
        3 => Just(TransactionStep::Claim),
        4 => (any::<u8>(), key.clone()).prop_map(|(run, key)| TransactionStep::Read { run, key }),
        4 => (any::<u8>(), key, any::<Option<u8>>(), any::<Option<u8>>())
            .prop_map(|(run, key, value, post)| TransactionStep::End { run, key, value, post }),
        1 => any::<u8>().prop_map(|run| TransactionStep::Requeue { run }),
        1 => Just(TransactionStep::Cancel),
        1 => Just(TransactionStep::Restart),
    ]
}

/// An executing run in the model, with the keys that it read and the writes that it saw.
struct ExecutingRun {
    run: Run,
    reads: Vec<ReadCheck>,
    read: Vec<(u8, u64)>,
}

#[derive(Default)]
struct TransactionModel {
    queued: Vec<RunId>,
    executing: Vec<ExecutingRun>,
    ended: BTreeMap<RunId, &'static str>,
    state: BTreeMap<u8, u8>,
    /// A number for each existing value; a read is compared with it.
    writes: BTreeMap<u8, u64>,
    earned: i128,
}

fn key(of: u8) -> String {
    format!("k{of}")
}

pub(crate) fn compare(cases: u32, empty: Factory<'_>) {
    sequences::compare("the store and the model differ", cases, empty, &prop::collection::vec(act(), 1..60), play);
}

async fn play(store: Arc<dyn Store>, acts: Vec<TransactionStep>) -> Result<(), TestCaseError> {
    deploy(&store, "a").await;
    let mut model = TransactionModel::default();
    let mut me = owner(&store).await;
    for act in acts {
        step(&store, &mut model, &mut me, act).await?;
        check(&store, &model).await?;
    }
    Ok(())
}

async fn step(
    store: &Arc<dyn Store>,
    model: &mut TransactionModel,
    me: &mut Owner,
    act: TransactionStep,
) -> Result<(), TestCaseError> {
    match act {
        TransactionStep::Request => {
            let new = new_run("a");
            model.queued.push(new.id);
            store.request_run(new).await.map_err(failed)?;
        }
        TransactionStep::Claim => {
            let claimed = store.claim(me, &name("a"), 1, NOON).await.map_err(failed)?;
            model.queued.sort();
            let expected = if model.queued.is_empty() { None } else { Some(model.queued.remove(0)) };
            prop_assert_eq!(claimed.first().map(|claimed| claimed.run.id), expected);
            model.executing.extend(claimed.into_iter().map(|claimed| executing(claimed.run)));
        }
        TransactionStep::Read { run, key: of } => {
            let Some(at) = pick(model, run) else { return Ok(()) };
            let found = store.state(&name("a"), &key(of)).await.map_err(failed)?;
            let expected = model.state.get(&of).map(|value| Bytes::copy_from_slice(&[*value]));
            prop_assert_eq!(found.value, expected);
            let seen = model.writes.get(&of).copied().unwrap_or_default();
            let executing = &mut model.executing[at];
            executing.reads.push(ReadCheck::State { key: key(of), version: found.version });
            executing.read.push((of, seen));
        }
        TransactionStep::End { run, key: of, value, post } => {
            let Some(at) = pick(model, run) else { return Ok(()) };
            let executing = model.executing.remove(at);
            let mut commit = success(me, &executing.run);
            commit.reads.clone_from(&executing.reads);
            let value_bytes = value.map(|value| Bytes::copy_from_slice(&[value]));
            commit.writes = vec![StateWrite { key: key(of), value: value_bytes }];
            commit.postings.extend(post.map(|cents| crate::ledger::posting(&executing.run, "once", cents.into())));
            end(store, model, executing, commit, (of, value, post)).await?;
        }
        TransactionStep::Requeue { run } => {
            let Some(at) = pick(model, run) else { return Ok(()) };
            let executing = model.executing.remove(at);
            let state = executing.run.state.next(RunEvent::Requeued { not_before: NOON });
            let state = state.map_err(failed)?;
            let mut commit = success(me, &executing.run);
            commit.run = Run { state, ..executing.run.clone() };
            commit.output = None;
            let answer = store.commit_run(commit).await.map_err(failed)?;
            prop_assert!(matches!(answer, RunCommitResult::Done(_)), "{:?}", answer);
            model.queued.push(executing.run.id);
        }
        TransactionStep::Cancel => {
            let Some(id) = model.queued.pop() else { return Ok(()) };
            store.request_cancel(id, false, NOON).await.map_err(failed)?;
            model.ended.insert(id, "cancelled");
        }
        TransactionStep::Restart => {
            let dead = std::mem::replace(me, owner(store).await);
            for left in &model.executing {
                let late = store.commit_run(success(&dead, &left.run)).await;
                // Until the takeover the dead epoch still owns the run, and the store cannot tell.
                // Its commit would be valid.
                let stale = StoreError::StaleEpoch { run: left.run.id };
                prop_assert!(late.is_ok() || late == Err(stale), "a late commit of a dead life");
                if matches!(late, Ok(RunCommitResult::Done(_))) {
                    model.ended.insert(left.run.id, "succeeded");
                }
            }
            model.executing.retain(|left| !model.ended.contains_key(&left.run.id));
            let taken = store.take_over(me, RecoveryFilter::All, 1_000, NOON).await.map_err(failed)?;
            let mut expected: Vec<_> = model.executing.iter().map(|left| left.run.id).collect();
            expected.sort();
            prop_assert_eq!(taken.iter().map(|taken| taken.run.id).collect::<Vec<_>>(), expected);
            model.executing = taken.into_iter().map(|taken| executing(taken.run)).collect();
        }
    }
    Ok(())
}

async fn end(
    store: &Arc<dyn Store>,
    model: &mut TransactionModel,
    executing: ExecutingRun,
    commit: RunCommit,
    (of, value, post): (u8, Option<u8>, Option<u8>),
) -> Result<(), TestCaseError> {
    let stale = executing.read.iter().any(|(of, seen)| model.writes.get(of).copied().unwrap_or_default() != *seen);
    // The sequence posts under one external id, so only the first posting succeeds.
    let doubled = post.is_some() && model.earned_once();
    let answer = store.commit_run(commit).await.map_err(failed)?;
    prop_assert_eq!(matches!(answer, RunCommitResult::Conflict { .. }), stale || doubled, "{:?}", answer);
    if !matches!(answer, RunCommitResult::Done(_)) {
        model.executing.push(ExecutingRun { reads: vec![], read: vec![], ..executing });
        return Ok(());
    }
    // An absent key is equal to the same absent key later; each value is a new one.
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
    model.ended.insert(executing.run.id, "succeeded");
    Ok(())
}

impl TransactionModel {
    /// Whether the sequence's one entry exists. The sum has one added, so that an amount of zero
    /// counts.
    fn earned_once(&self) -> bool {
        self.earned > 0
    }
}

fn executing(run: Run) -> ExecutingRun {
    ExecutingRun { run, reads: vec![], read: vec![] }
}

fn pick(model: &TransactionModel, number: u8) -> Option<usize> {
    (!model.executing.is_empty()).then(|| usize::from(number) % model.executing.len())
}

async fn check(store: &Arc<dyn Store>, model: &TransactionModel) -> Result<(), TestCaseError> {
    let runs = store.runs(RunFilter::default(), PageRequest::first(1_000)).await.map_err(failed)?.items;
    prop_assert_eq!(runs.len(), model.queued.len() + model.executing.len() + model.ended.len());
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
    prop_assert_eq!(store.queue_length(&name("a")).await.map_err(failed)?, model.queued.len() as u64);
    prop_assert_eq!(store.queued(&name("a"), 1_000).await.map_err(failed)?, model.queued.len());
    Ok(())
}
