//! Computes the stages of one run from its position in the store and the state in memory.

use tidemill_core::Timestamp;
use tidemill_core::breaker::{BreakerMode, BreakerPhase};
use tidemill_core::lane::Lane;
use tidemill_core::run::{RunState, TriggerKind};
use tidemill_core::wire::grouped;
use tidemill_store::records::{BudgetWait, LaneView, QueueKind, QueuePosition};

use super::words::{span, time};
use super::{COUNTED, Stage, StageName, StageVerdict};
use crate::deployment::active::ActiveDeployment;
use crate::deployment::breaker::BreakerReport;
use crate::state::HostState;

/// Returns the stages that the run has yet to pass; empty if there are none.
pub(super) fn of(host: &HostState, position: &QueuePosition) -> Vec<Stage> {
    let waits_to_go_on = match (&position.run.state, position.listed) {
        (RunState::Queued { .. }, _) | (RunState::Suspended, QueueKind::Ready(_)) => true,
        (RunState::Suspended, QueueKind::Delayed(due)) => due <= host.clock.now(),
        _ => false,
    };
    let live = host.deployments.get(&position.run.deployment);
    match live {
        Some(live) if waits_to_go_on => StageName::ALL.map(|name| stage(host, &live, position, name)).into(),
        _ => Vec::new(),
    }
}

fn stage(host: &HostState, live: &ActiveDeployment, position: &QueuePosition, name: StageName) -> Stage {
    match name {
        StageName::IdempotencyKey => match &position.run.key {
            Some(key) => Stage::new(name, StageVerdict::Passes, format!("no run before it had the key `{key}`")),
            None => Stage::new(name, StageVerdict::None, "it was requested without a key"),
        },
        StageName::Debounce => debounce(host, live, position),
        StageName::Queue => {
            let most = live.queue_max(host.config.queue_max);
            let detail = format!(
                "{}, of at most {}",
                runs(position.queued, "of its deployment is queued", "of its deployment are queued"),
                grouped(most)
            );
            Stage { used: Some(position.queued), limit: Some(most), ..Stage::new(name, StageVerdict::Passes, detail) }
        }
        StageName::Paused => paused(live),
        StageName::Time => due(host, position),
        StageName::Schedule => turn(position),
        StageName::Key => lane(position),
        StageName::Breaker => breaker(host, live, position),
        StageName::Priority => priority(position),
        StageName::Rate => rate(host, live, position),
        StageName::Budget => budget(live, position),
        StageName::Concurrency => {
            let (used, most) = (live.limiter.running(), live.limiter.most());
            slots(name, used.into(), most.into(), "of its deployment")
        }
        StageName::Node => {
            let node = &host.admission.node;
            if !node.is_open() {
                let why =
                    if host.shutdown.is_closing() { "shuts down" } else { "recovers runs of its previous epoch first" };
                return Stage::new(name, StageVerdict::Waits, format!("the host {why}"));
            }
            slots(name, node.used().into(), node.most().into(), "on this node")
        }
    }
}

impl Stage {
    fn new(name: StageName, verdict: StageVerdict, detail: impl Into<String>) -> Self {
        Self { name, verdict, detail: detail.into(), used: None, limit: None, until: None, runs: Vec::new() }
    }
}

fn runs(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 run {one}") } else { format!("{} runs {more}", grouped(number)) }
}

fn slots(name: StageName, used: u64, most: u64, whose: &str) -> Stage {
    let verdict = if used < most { StageVerdict::Passes } else { StageVerdict::Waits };
    let detail = format!("{} of {} slots {whose} are used", grouped(used), grouped(most));
    Stage { used: Some(used), limit: Some(most), ..Stage::new(name, verdict, detail) }
}

fn debounce(host: &HostState, live: &ActiveDeployment, position: &QueuePosition) -> Stage {
    let name = StageName::Debounce;
    match (position.accepts_requests, position.listed) {
        (true, QueueKind::Delayed(due)) if due > host.clock.now() => Stage {
            until: Some(due),
            ..Stage::new(
                name,
                StageVerdict::Waits,
                format!("debouncing until {}: newer requests with the same key replace its input", time(due)),
            )
        },
        (true, _) => Stage::new(name, StageVerdict::Passes, "its debounce time is over"),
        (false, _) if live.plan.flow.debounce.is_some() => {
            Stage::new(name, StageVerdict::Passes, "only requests from outside are debounced")
        }
        (false, _) => Stage::new(name, StageVerdict::None, "its deployment does not debounce"),
    }
}

fn paused(live: &ActiveDeployment) -> Stage {
    let name = StageName::Paused;
    if let Some(pause) = &live.deployment.paused {
        let note = if pause.note.is_empty() { String::new() } else { format!(": {}", pause.note) };
        return Stage::new(
            name,
            StageVerdict::Waits,
            format!("the deployment has been paused since {}{note}", time(pause.since)),
        );
    }
    if !live.plan.enabled {
        return Stage::new(name, StageVerdict::Waits, "the deployment has `enabled = false`");
    }
    Stage::new(name, StageVerdict::Passes, "the deployment admits runs")
}

fn due(host: &HostState, position: &QueuePosition) -> Stage {
    let name = StageName::Time;
    let waits = match (&position.run.state, position.listed) {
        (RunState::Queued { not_before }, QueueKind::Turn(_)) => Some(*not_before),
        // The budget's stage tells until when.
        (_, QueueKind::Delayed(_)) if position.budget.is_some() => None,
        (_, QueueKind::Delayed(due)) => Some(due),
        _ => None,
    };
    match waits.filter(|due| *due > host.clock.now()) {
        Some(due) => {
            let why = if position.run.attempt > 1 { "its next attempt starts" } else { "it may start" };
            Stage { until: Some(due), ..Stage::new(name, StageVerdict::Waits, format!("{why} at {}", time(due))) }
        }
        None => Stage::new(name, StageVerdict::Passes, "it is due"),
    }
}

fn budget(live: &ActiveDeployment, position: &QueuePosition) -> Stage {
    let name = StageName::Budget;
    if !live.plan.has_fuel_budget() {
        return Stage::new(name, StageVerdict::None, "its deployment has no budget of fuel");
    }
    let (Some(wait), QueueKind::Delayed(until)) = (&position.budget, position.listed) else {
        return Stage::new(name, StageVerdict::Passes, "it waits for no budget of fuel");
    };
    let BudgetWait { budget, customer, limit, counted } = wait;
    let whose = if customer.is_empty() { String::new() } else { format!(" of customer `{customer}`") };
    let [used, held, most] =
        [counted.used, counted.held, (*limit).into()].map(|number| u64::try_from(number).unwrap_or(0));
    let detail = format!(
        "of the {} units of fuel of budget `{budget}`{whose}, {} are used and {} held in the period that ends at {}",
        grouped(most),
        grouped(used),
        grouped(held),
        time(until)
    );
    let waits = Stage::new(name, StageVerdict::Waits, detail);
    Stage { used: Some(used.saturating_add(held)), limit: Some(most), until: Some(until), ..waits }
}

fn turn(position: &QueuePosition) -> Stage {
    let name = StageName::Schedule;
    if position.run.trigger.kind != TriggerKind::Schedule {
        return Stage::new(name, StageVerdict::None, "it was not started by a schedule");
    }
    let QueueKind::Turn(before) = position.listed else {
        return Stage::new(name, StageVerdict::Passes, "it waits for no other run of its schedule");
    };
    let others: Vec<_> = position.turn_after.iter().take(3).map(ToString::to_string).collect();
    let more = if position.turn_after.len() > 3 { ", and others" } else { "" };
    let detail = format!(
        "runs of its schedule have not ended: {}{more}; it is number {} of the waiting ones",
        others.join(", "),
        ordinal(before)
    );
    Stage { runs: position.turn_after.clone(), ..Stage::new(name, StageVerdict::Waits, detail) }
}

fn lane(position: &QueuePosition) -> Stage {
    let name = StageName::Key;
    let found = position.lanes.iter().enumerate().find(|(_, (lane, _, _))| lane.name.starts_with("key/"));
    let Some((place, (lane, is_in, view))) = found else {
        return Stage::new(name, StageVerdict::None, "it has no key");
    };
    let Lane { name: called, .. } = lane;
    let LaneView { capacity, held, waiting, in_it, .. } = view;
    let counted = Stage {
        used: Some((*held).into()),
        limit: Some((*capacity).max(lane.capacity).into()),
        runs: in_it.clone(),
        ..Stage::new(name, StageVerdict::Passes, format!("it is in the lane {called}"))
    };
    match position.listed {
        _ if *is_in => counted,
        QueueKind::Lane(at, before) if at == place => {
            let holders: Vec<_> = in_it.iter().take(3).map(ToString::to_string).collect();
            let more = if in_it.len() > 3 { ", and others" } else { "" };
            let detail = format!(
                "the lane {called} holds {held} of {capacity}: {}{more}; it is number {} of {} waiting runs",
                holders.join(", "),
                ordinal(before),
                grouped((*waiting).into()),
            );
            Stage { verdict: StageVerdict::Waits, detail, ..counted }
        }
        _ => Stage { detail: format!("it will need the lane {called} at this stage"), ..counted },
    }
}

fn breaker(host: &HostState, live: &ActiveDeployment, position: &QueuePosition) -> Stage {
    let name = StageName::Breaker;
    let now = host.clock.now();
    let may_start = live.limiter.breaker.check(now).is_ok();
    let BreakerReport { mode, phase, since, until, reason, counts, .. } = live.limiter.breaker.report(now);
    let since = time(since);
    match (mode, phase) {
        (BreakerMode::Disabled, _) => {
            Stage::new(name, StageVerdict::None, format!("the circuit breaker of its deployment is disabled: {reason}"))
        }
        (BreakerMode::ForcedClosed, _) => {
            let detail = format!("an operator has kept the circuit breaker closed since {since}: {reason}");
            Stage::new(name, StageVerdict::Passes, detail)
        }
        (BreakerMode::ForcedOpen, _) => {
            let detail = format!("an operator has kept the circuit breaker open since {since}: {reason}");
            Stage::new(name, StageVerdict::Waits, detail)
        }
        (BreakerMode::Automatic, BreakerPhase::Closed) => {
            Stage::new(name, StageVerdict::Passes, format!("the circuit breaker is closed; {reason}"))
        }
        (BreakerMode::Automatic, BreakerPhase::Open) => {
            let half_open =
                until.map_or_else(String::new, |until| format!("; a few runs may start at {}", time(until)));
            let detail = format!("the circuit breaker has been open since {since}: {reason}{half_open}");
            Stage { until, ..Stage::new(name, StageVerdict::Waits, detail) }
        }
        (BreakerMode::Automatic, BreakerPhase::HalfOpen) => {
            let most = live.plan.breaker.policy.half_open_calls;
            let half_open = format!("the circuit breaker has been half-open since {since}");
            let (verdict, detail) = if may_start {
                (StageVerdict::Passes, format!("{half_open}, and the run may start as one of {most} trial runs"))
            } else if position.run.is_privileged() {
                (StageVerdict::Passes, format!("{half_open}, and resumed and cancelled runs may start"))
            } else {
                (StageVerdict::Waits, format!("{half_open}: {reason}; {most} decide whether it closes"))
            };
            let (used, limit) = (Some(counts.calls.into()), Some(most.into()));
            Stage { used, limit, until, ..Stage::new(name, verdict, detail) }
        }
    }
}

/// Formats the position of a run after `before` others, as far as those were counted.
fn ordinal(before: usize) -> String {
    let more = if before >= COUNTED { "or more" } else { "" };
    format!("{} {more}", grouped(before as u64 + 1)).trim_end().to_owned()
}

fn priority(position: &QueuePosition) -> Stage {
    let name = StageName::Priority;
    let QueueKind::Ready(before) = position.listed else {
        return Stage::new(
            name,
            StageVerdict::Passes,
            format!("priority {}, once it reaches this stage", position.run.priority),
        );
    };
    let begun = if position.run.started_at.is_some() { "; resumed runs come first" } else { "" };
    let detail =
        format!("number {} by priority and age, with priority {}{begun}", ordinal(before), position.run.priority);
    let verdict = if before == 0 { StageVerdict::Passes } else { StageVerdict::Waits };
    Stage { used: Some(before as u64), ..Stage::new(name, verdict, detail) }
}

fn rate(host: &HostState, live: &ActiveDeployment, position: &QueuePosition) -> Stage {
    let name = StageName::Rate;
    let Some(rate) = live.plan.flow.rate else {
        return Stage::new(name, StageVerdict::None, "its deployment has no rate");
    };
    if position.run.started_at.is_some() {
        return Stage::new(name, StageVerdict::Passes, "it has started before and does not count towards the rate");
    }
    let (counted, oldest) = position.starts;
    let per = span(rate.per_millis);
    // Expired starts are removed from the store only when the next run starts.
    let free: Option<Timestamp> = oldest.map(|oldest| oldest.plus_millis(rate.per_millis));
    let full = free.filter(|free| *free > host.clock.now() && counted >= rate.runs);
    let stage = match full {
        Some(free) => {
            let detail = format!(
                "{} of {} runs have started within {per}; the next one may start at {}",
                counted,
                rate.runs,
                time(free)
            );
            Stage { until: Some(free), ..Stage::new(name, StageVerdict::Waits, detail) }
        }
        None => {
            Stage::new(name, StageVerdict::Passes, format!("fewer than {} runs have started within {per}", rate.runs))
        }
    };
    Stage { used: Some(counted.into()), limit: Some(rate.runs.into()), ..stage }
}
