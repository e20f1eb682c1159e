//! Describes a run in each of its states, and what to do next.

use tidemill_core::run::{Run, RunState, Wait, WaitCondition};
use tidemill_core::wire::grouped;
use tidemill_core::{Code, Failure, RunId, Timestamp};
use tidemill_store::Store;

use super::{Stage, StageName, StageVerdict};
use crate::error::ControlError;

type StageText = (String, Option<String>);

/// Formats a time.
pub(super) fn time(at: Timestamp) -> String {
    at.to_rfc3339()
}

/// Formats a duration.
pub(super) fn span(millis: u64) -> String {
    tidemill_core::wire::duration_text(millis)
}

/// Describes a queued run and the first stage at which it waits.
pub(super) fn queued(run: &Run, waits: Option<&Stage>) -> StageText {
    if run.cancel.is_some() {
        let summary = waits.map_or_else(String::new, |stage| format!("; {}", stage.detail));
        return (
            format!("its cancellation was requested, and it is notified when it is claimed{summary}"),
            Some(format!("`tidemill runs cancel {} --terminate` ends it at once.", run.id)),
        );
    }
    waits.map_or_else(
        || ("nothing blocks it; it is about to be claimed".to_owned(), None),
        |stage| (stage.detail.clone(), next_step(stage, run)),
    )
}

/// Describes a suspended run whose wait is over.
pub(super) fn woken(waits: Option<&Stage>) -> StageText {
    let what = "its wait is over";
    match waits.filter(|stage| stage.verdict == StageVerdict::Waits) {
        Some(stage) => (format!("{what}; {}", stage.detail), None),
        None => (format!("{what}; it is about to resume"), None),
    }
}

fn next_step(stage: &Stage, run: &Run) -> Option<String> {
    let deployment = &run.deployment;
    Some(match stage.name {
        StageName::Paused if stage.detail.contains("enabled") => {
            format!("Deploy `{deployment}` with `enabled = true`.")
        }
        StageName::Paused => format!("`tidemill deployments resume {deployment}` lets its runs start again."),
        StageName::Key => match stage.runs.first() {
            Some(holder) => {
                format!("It enters the lane once a run in it ends; see `tidemill runs explain {holder}`.")
            }
            None => return None,
        },
        StageName::Breaker if stage.until.is_none() && stage.limit.is_none() => {
            format!("`tidemill deployments breaker {deployment} --auto --note TEXT` lets its attempts decide again.")
        }
        StageName::Breaker => format!(
            "Wait, or deploy a corrected revision. `tidemill deployments breaker {deployment} --force-closed --note TEXT` \
             lets its runs start at once."
        ),
        StageName::Schedule => match stage.runs.first() {
            Some(holder) => {
                format!("It starts once those runs end or are parked; see `tidemill runs explain {holder}`.")
            }
            None => return None,
        },
        StageName::Rate => "Raise the deployment's `rate`, or wait.".to_owned(),
        StageName::Budget => {
            format!("Raise the limit of the budget, or wait for the next period or for a run of `{deployment}` to end.")
        }
        StageName::Priority => {
            "Raise its deployment's `concurrency` if the host has room, or request it with a higher priority."
                .to_owned()
        }
        StageName::Concurrency => format!("Raise the `concurrency` of `{deployment}`, or wait for one of its runs."),
        StageName::Node => "Raise the host's `--concurrency`, or wait for one of its runs.".to_owned(),
        _ => return None,
    })
}

/// Maximum number of awaited things that an explanation names.
const NAMED: usize = 20;

/// Describes a suspended run that is not due.
///
/// # Errors
/// If the store fails.
pub(super) async fn suspended(store: &dyn Store, run: &Run) -> Result<StageText, ControlError> {
    let Some(Wait { any_of, all, until }) = &run.waiting_for else {
        return Ok(("nothing blocks it; it is about to resume".to_owned(), None));
    };
    let (mut things, mut next) = (Vec::new(), None);
    for thing in any_of.iter().take(NAMED) {
        match thing {
            WaitCondition::Signal(name) => {
                things.push(format!("the signal `{name}`"));
                next = next.or_else(|| Some(format!("`tidemill runs signal {} {name}` sends it.", run.id)));
            }
            WaitCondition::Run(id) => {
                let state = store.run(*id).await?.map_or("gone", |child| child.state.name());
                things.push(format!("run {id}, which is {state}"));
                next = next.or_else(|| Some(format!("`tidemill runs explain {id}` shows what that run does.")));
            }
        }
    }
    if any_of.len() > NAMED {
        things.push(format!("{} more", any_of.len() - NAMED));
    }
    let things = things.join(if *all { ", and " } else { ", or " });
    let summary = match (things.as_str(), until) {
        ("", Some(until)) => format!("it sleeps until {}", time(*until)),
        ("", None) => "nothing blocks it; it is about to resume".to_owned(),
        (things, Some(until)) => format!("it waits for {things}, until {} at the latest", time(*until)),
        (things, None) => format!("it waits for {things}"),
    };
    Ok((summary, next))
}

/// Describes a run that executes, is parked or has ended.
pub(super) fn plain(run: &Run) -> StageText {
    let ended = || run.ended_at.map_or_else(String::new, |at| format!(" at {}", time(at)));
    match &run.state {
        RunState::Running { node, .. } => running(run, node.as_str()),
        RunState::Succeeded => (format!("it succeeded{}", ended()), None),
        RunState::Cancelled => cancelled(run, None),
        RunState::Failed(failure) => {
            let next = format!("{} `tidemill runs retry {}` tries it again.", fix(failure), run.id);
            (format!("it failed{} with {}: {}", ended(), failure.code, failure.message), Some(next))
        }
        RunState::Parked(failure) => {
            let next = format!(
                "{} Then `tidemill runs retry {id}` resumes it; `tidemill runs cancel {id}` gives it up.",
                fix(failure),
                id = run.id
            );
            (format!("it is parked with {}: {}", failure.code, failure.message), Some(next))
        }
        RunState::Queued { .. } | RunState::Suspended => (format!("it is {}", run.state.name()), None),
    }
}

/// Describes a cancelled run, with the failure of its cancellation.
pub(super) fn cancelled(run: &Run, failure: Option<&Failure>) -> StageText {
    let ended = run.ended_at.map_or_else(String::new, |at| format!(" at {}", time(at)));
    let summary = format!("it was cancelled{ended}, as requested{}", request_time(run));
    match failure {
        None => (summary, Some("Start a new run with the same input if it should be done after all.".to_owned())),
        Some(failure) => (
            format!(
                "{summary}; it could not undo all its effects, and failed with {}: {}",
                failure.code, failure.message
            ),
            Some(format!(
                "{} Undo the rest by hand: `tidemill runs show {id}` shows its failures in order. Then `tidemill runs cancel {id}` \
                 removes it from the list of `tidemill runs parked`.",
                fix(failure),
                id = run.id
            )),
        ),
    }
}

/// Describes children that were cancelled and could not undo all their effects.
pub(super) fn uncompensated_children(first: RunId, count: usize) -> String {
    let explain = format!("see `tidemill runs explain {first}`");
    match count {
        1 => format!("its child run {first} was cancelled and could not undo all its effects; {explain}"),
        _ => {
            let count = grouped(count as u64);
            format!(
                "{count} of its child runs were cancelled and could not undo all their effects; for the first, {explain}"
            )
        }
    }
}

fn running(run: &Run, node: &str) -> StageText {
    let since = run.started_at.map_or_else(String::new, |at| format!(", first claimed at {}", time(at)));
    let summary = format!("it runs on node `{node}` in attempt {}{since}{}", run.attempt, cancellation(run));
    let next = if run.cancel.is_some() {
        format!("`tidemill runs cancel {} --terminate` ends it at once.", run.id)
    } else {
        format!("`tidemill logs -f {}` follows its log.", run.id)
    };
    (summary, Some(next))
}

fn cancellation(run: &Run) -> String {
    run.cancel.map_or_else(String::new, |cancel| {
        let notified = if cancel.notified { "is notified" } else { "is notified once its child runs have ended" };
        format!("; its cancellation was requested at {}, and it {notified}", time(cancel.at))
    })
}

fn request_time(run: &Run) -> String {
    run.cancel.map_or_else(String::new, |cancel| format!(" at {}", time(cancel.at)))
}

/// Returns the fix of the failure's code. A module's own codes have no page.
fn fix(failure: &Failure) -> String {
    Code::parse(&failure.code).map_or_else(
        || "The code is the module's own; fix the cause that it names.".to_owned(),
        |code| code.fix().to_owned(),
    )
}
