//! A scripted guest that waits: it sends a request, executes a step, starts child runs, waits for a
//! signal, and returns its payload.

use bytes::Bytes;
use serde_json::json;
use tidemill_control::Activation;
use tidemill_core::journal::{Journal, Kind, NewEntry, StepReplay};
use tidemill_core::run::{Export, Seed, Wait, WaitCondition};
use tidemill_core::{Code, Fuel, RunId};
use tidemill_engine::{
    ActivationResult, Cause, CommitOutcome, CommitReason, Effects, Outcome, PendingCommit, StartRun, Urgency,
};

/// Waits for the signal `name`, with this number of child runs that also wait for it.
pub async fn run(mut job: Activation, name: &str, children: u64) -> ActivationResult {
    let mut journal = std::mem::replace(&mut job.journal, Journal::empty());
    if journal.entries() == 0 {
        record(&job, &mut journal);
        let mut effects = Effects::default();
        for ordinal in 0..children {
            effects.starts.push(child(&job, name, ordinal).await);
        }
        let wait = Wait { any_of: vec![WaitCondition::Signal(name.to_owned())], all: false, until: None };
        let stretch = PendingCommit {
            effects,
            journal: journal.change(),
            snapshot: None,
            fuel: Fuel::new(500),
            peak_memory: 65_536,
            journal_entries: journal.entries(),
            notified: false,
            point: CommitReason::Wait(wait),
        };
        if job.channel.commit(stretch).await.unwrap() == CommitOutcome::Suspend {
            return ended(Outcome::Suspended, journal);
        }
    }
    if job.cancel.urgency() == Urgency::None {
        ended(Outcome::Output(Bytes::from_static(b"\"it came\"")), journal)
    } else {
        let failure = Code::Cancelled.failure("cancelled by request");
        ended(Outcome::Failed { failure, cause: Cause::Cancelled }, journal)
    }
}

/// Ends this way after it has recorded something.
pub fn recorded(mut job: Activation, outcome: Outcome) -> ActivationResult {
    let mut journal = std::mem::replace(&mut job.journal, Journal::empty());
    if journal.entries() == 0 {
        record(&job, &mut journal);
    }
    ended(outcome, journal)
}

fn record(job: &Activation, journal: &mut Journal) {
    let (at, fuel) = (job.run.created_at, Fuel::new(500));
    let shown = Some(&b"GET https://example.org/"[..]);
    journal.record(NewEntry { kind: Kind::Fetch, request: [1; 16], result: b"\0\xc8\x01", at, fuel, shown });
    let Ok(StepReplay::New { id }) = journal.begin_step("charge") else {
        panic!("a step is met that is there already")
    };
    journal.open_step(id, 1, at, fuel);
    journal.step_done(id, Ok(br#"{"charge": "ch_1"}"#), at, fuel).unwrap();
    let input: serde_json::Value = serde_json::from_slice(&job.input).unwrap();
    let Some(calls) = input["calls"].as_u64() else { return };
    let Ok(StepReplay::New { id }) = journal.begin_step("many") else { panic!("a step is met that is there already") };
    journal.open_step(id, 1, at, fuel);
    for _ in 0..calls {
        journal.record(NewEntry { kind: Kind::Fetch, request: [1; 16], result: b"\0\xc8\x01", at, fuel, shown });
    }
}

async fn child(job: &Activation, name: &str, ordinal: u64) -> StartRun {
    let target = job.channel.target(job.run.id, &job.run.deployment, Some(Export::Workflow), b"{}").await.unwrap();
    let random = u128::from_le_bytes(*job.run.seed.0.first_chunk().unwrap()) ^ u128::from(ordinal + 1);
    StartRun {
        id: RunId::new(job.run.created_at, random),
        deployment: job.run.deployment.clone(),
        revision: target.revision,
        component: target.component,
        export: target.export,
        input: json!({ "wait": name }).to_string().into(),
        key: format!("{}-{ordinal}", job.run.id),
        labels: Vec::new(),
        priority: target.priority,
        at: job.run.created_at,
        not_before: job.run.created_at,
        detached: false,
        seed: Seed([7; 32]),
    }
}

fn ended(outcome: Outcome, journal: Journal) -> ActivationResult {
    let mut ended = ActivationResult::plain(outcome, Effects::default(), Fuel::new(1_000), 65_536);
    ended.all.journal_to = journal.position();
    ended.kept.journal_to = journal.position();
    ended.journal = Some(journal);
    ended
}
