//! The stages of one run, worked out from where the store has it and from what is in memory.

use tidemill_core::Timestamp;
use tidemill_core::lane::Lane;
use tidemill_core::run::{RunState, TriggerKind};
use tidemill_store::records::{LaneView, QueueKind, QueuePosition};

use super::words::{count, span, time};
use super::{COUNTED, Stage, StageName, StageVerdict};
use crate::control_plane::HostState;
use crate::deployment::active::ActiveDeployment;

/// The stages that a run has before it; none where it has none.
pub(super) fn of(host: &HostState, standing: &QueuePosition) -> Vec<Stage> {
    let waits_to_go_on = match (&standing.run.state, standing.listed) {
        (RunState::Queued { .. }, _) | (RunState::Suspended, QueueKind::Ready(_)) => true,
        (RunState::Suspended, QueueKind::Delayed(due)) => due <= host.clock.now(),
        _ => false,
    };
    let live = host.lives.get(&standing.run.deployment);
    match live {
        Some(live) if waits_to_go_on => StageName::ALL.map(|name| stage(host, &live, standing, name)).into(),
        _ => Vec::new(),
    }
}

fn stage(host: &HostState, live: &ActiveDeployment, standing: &QueuePosition, name: StageName) -> Stage {
    match name {
        StageName::IdempotencyKey => match &standing.run.key {
            Some(key) => Stage::new(name, StageVerdict::Passes, format!("no run before it had the key `{key}`")),
            None => Stage::new(name, StageVerdict::None, "it was asked for without one"),
        },
        StageName::Debounce => debounce(host, live, standing),
        StageName::Queue => {
            let most = live.queue_max(host.config.queue_max);
            let detail = format!(
                "{} of its deployment, of at most {}",
                runs(standing.queued, "is queued", "are queued"),
                count(most)
            );
            Stage { used: Some(standing.queued), limit: Some(most), ..Stage::new(name, StageVerdict::Passes, detail) }
        }
        StageName::Paused => paused(live),
        StageName::Time => due(host, standing),
        StageName::Schedule => turn(standing),
        StageName::Key => lane(standing),
        StageName::Priority => priority(standing),
        StageName::Rate => rate(host, live, standing),
        StageName::Concurrency => {
            let (used, most) = (live.gate.running(), live.gate.most());
            places(name, used.into(), most.into(), "of its deployment")
        }
        StageName::Node => {
            let node = &host.node;
            if !node.is_open() {
                let why = if host.is_closed() { "shuts down" } else { "takes up runs of its last life first" };
                return Stage::new(name, StageVerdict::Waits, format!("the host {why}"));
            }
            places(name, node.used().into(), node.most().into(), "on this node")
        }
    }
}

impl Stage {
    fn new(name: StageName, verdict: StageVerdict, detail: impl Into<String>) -> Self {
        Self { name, verdict, detail: detail.into(), used: None, limit: None, until: None, runs: Vec::new() }
    }
}

fn runs(number: u64, one: &str, more: &str) -> String {
    if number == 1 { format!("1 run {one}") } else { format!("{} runs {more}", count(number)) }
}

fn places(name: StageName, used: u64, most: u64, whose: &str) -> Stage {
    let verdict = if used < most { StageVerdict::Passes } else { StageVerdict::Waits };
    let detail = format!("{} of {} places {whose} are taken", count(used), count(most));
    Stage { used: Some(used), limit: Some(most), ..Stage::new(name, verdict, detail) }
}

fn debounce(host: &HostState, live: &ActiveDeployment, standing: &QueuePosition) -> Stage {
    let name = StageName::Debounce;
    match (standing.gathers, standing.listed) {
        (true, QueueKind::Delayed(due)) if due > host.clock.now() => Stage {
            until: Some(due),
            ..Stage::new(
                name,
                StageVerdict::Waits,
                format!("it takes newer requests of its key in until {}", time(due)),
            )
        },
        (true, _) => Stage::new(name, StageVerdict::Passes, "the time for newer requests is over"),
        (false, _) if live.plan.flow.debounce.is_some() => {
            Stage::new(name, StageVerdict::Passes, "only requests from outside become one with others")
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
            format!("the deployment is paused since {}{note}", time(pause.since)),
        );
    }
    if !live.plan.enabled {
        return Stage::new(name, StageVerdict::Waits, "the deployment has `enabled = false`");
    }
    Stage::new(name, StageVerdict::Passes, "the deployment admits runs")
}

fn due(host: &HostState, standing: &QueuePosition) -> Stage {
    let name = StageName::Time;
    let waits = match (&standing.run.state, standing.listed) {
        (RunState::Queued { not_before }, QueueKind::Turn(_)) => Some(*not_before),
        (_, QueueKind::Delayed(due)) => Some(due),
        _ => None,
    };
    match waits.filter(|due| *due > host.clock.now()) {
        Some(due) => {
            let why = if standing.run.attempt > 1 { "it is tried again" } else { "it may begin" };
            Stage { until: Some(due), ..Stage::new(name, StageVerdict::Waits, format!("{why} at {}", time(due))) }
        }
        None => Stage::new(name, StageVerdict::Passes, "its time has come"),
    }
}

fn turn(standing: &QueuePosition) -> Stage {
    let name = StageName::Schedule;
    if standing.run.trigger.kind != TriggerKind::Schedule {
        return Stage::new(name, StageVerdict::None, "no schedule asked for it");
    }
    let QueueKind::Turn(before) = standing.listed else {
        return Stage::new(name, StageVerdict::Passes, "it waits for no other run of its schedule");
    };
    let others: Vec<_> = standing.turn_after.iter().take(3).map(ToString::to_string).collect();
    let more = if standing.turn_after.len() > 3 { ", and others" } else { "" };
    let detail = format!(
        "runs of its schedule have not ended: {}{more}; it is number {} of those that wait their turn",
        others.join(", "),
        ordinal(before)
    );
    Stage { runs: standing.turn_after.clone(), ..Stage::new(name, StageVerdict::Waits, detail) }
}

fn lane(standing: &QueuePosition) -> Stage {
    let name = StageName::Key;
    let found = standing.lanes.iter().enumerate().find(|(_, (lane, _, _))| lane.name.starts_with("key/"));
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
    match standing.listed {
        _ if *is_in => counted,
        QueueKind::Lane(at, before) if at == place => {
            let holders: Vec<_> = in_it.iter().take(3).map(ToString::to_string).collect();
            let more = if in_it.len() > 3 { ", and others" } else { "" };
            let detail = format!(
                "the lane {called} holds {held} of {capacity}: {}{more}; it is number {} of {} that wait for it",
                holders.join(", "),
                ordinal(before),
                count((*waiting).into()),
            );
            Stage { verdict: StageVerdict::Waits, detail, ..counted }
        }
        _ => Stage { detail: format!("it asks for the lane {called} when it comes here"), ..counted },
    }
}

/// The place of who has so many before him, as far as they were counted.
fn ordinal(before: usize) -> String {
    let more = if before >= COUNTED { "or more" } else { "" };
    format!("{} {more}", count(before as u64 + 1)).trim_end().to_owned()
}

fn priority(standing: &QueuePosition) -> Stage {
    let name = StageName::Priority;
    let QueueKind::Ready(before) = standing.listed else {
        return Stage::new(
            name,
            StageVerdict::Passes,
            format!("priority {}, once it comes here", standing.run.priority),
        );
    };
    let begun = if standing.run.started_at.is_some() { "; who has begun before goes first" } else { "" };
    let detail =
        format!("number {} by priority and age, with priority {}{begun}", ordinal(before), standing.run.priority);
    let verdict = if before == 0 { StageVerdict::Passes } else { StageVerdict::Waits };
    Stage { used: Some(before as u64), ..Stage::new(name, verdict, detail) }
}

fn rate(host: &HostState, live: &ActiveDeployment, standing: &QueuePosition) -> Stage {
    let name = StageName::Rate;
    let Some(rate) = live.plan.flow.rate else {
        return Stage::new(name, StageVerdict::None, "its deployment has none");
    };
    if standing.run.started_at.is_some() {
        return Stage::new(name, StageVerdict::Passes, "it has begun before, and takes nothing of the rate");
    }
    let (counted, oldest) = standing.starts;
    let per = span(rate.per_millis);
    // Those whose time is over are forgotten when the next begin.
    let free: Option<Timestamp> = oldest.map(|oldest| oldest.plus_millis(rate.per_millis));
    let full = free.filter(|free| *free > host.clock.now() && counted >= rate.runs);
    let stage = match full {
        Some(free) => {
            let detail =
                format!("{} of {} have begun within {per}; the next may at {}", counted, rate.runs, time(free));
            Stage { until: Some(free), ..Stage::new(name, StageVerdict::Waits, detail) }
        }
        None => Stage::new(name, StageVerdict::Passes, format!("fewer than {} have begun within {per}", rate.runs)),
    };
    Stage { used: Some(counted.into()), limit: Some(rate.runs.into()), ..stage }
}
