//! Reads the schedules of a manifest.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use super::SCHEDULES;
use crate::codes::Code;
use crate::ids::Timestamp;
use crate::run::Export;
use crate::schedule::{
    CATCH_UP_WINDOW_MAX_MILLIS, CRON_BYTES, CRONS, CatchUp, EVERY_MAX_MILLIS, EVERY_MIN_MILLIS, EXCLUSIONS, Exclusion,
    GapPolicy, JITTER_MAX_MILLIS, LIMIT_MAX, Overlap, PAUSE_AFTER_MAX, RepeatPolicy, Schedule, ScheduleSpec,
    SpecProblem, SpecProblemKind, TIMES,
};
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, duration_text};
use crate::zones::{ZONE_NAME_BYTES, Zone};

/// The exports that a schedule may run.
const EXPORTS: [(&str, Export); 2] =
    [(Export::Workflow.as_str(), Export::Workflow), (Export::RevenueStream.as_str(), Export::RevenueStream)];

/// Reads the schedules of a manifest, which are under one of two names.
pub(super) fn schedules(
    one: Option<ObjectField>,
    many: Option<ObjectField>,
    problems: &mut Vec<InputProblem>,
) -> Vec<Schedule> {
    if let (Some(_), Some(field)) = (&one, &many) {
        problems.push(InputProblem::field(
            &field.pointer,
            "both `schedule` and `schedules` are given",
            "Join the two lists.",
        ));
    }
    let fields = many.or(one).and_then(|field| field.one_or_many(SCHEDULES, problems)).unwrap_or_default();
    let (mut schedules, mut names) = (Vec::new(), BTreeSet::new());
    for field in fields {
        let pointer = format!("{}/name", field.pointer);
        if let Some(schedule) = schedule(field, problems) {
            if !names.insert(schedule.name().clone()) {
                let message = format!("there are two schedules `{}`", schedule.name());
                problems.push(InputProblem::field(pointer, message, "Give each schedule a name of its own."));
            }
            schedules.push(schedule);
        }
    }
    schedules
}

pub(super) fn schedule(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Schedule> {
    let before = problems.len();
    let pointer = field.pointer.clone();
    let mut object = field.object(problems)?;
    let name_fix = "Name the schedule: 1 to 63 lower-case letters, digits and hyphens.";
    let name = object.require("name", name_fix, problems).and_then(|field| field.parse(problems));
    // Continue with a placeholder if the name is missing, so that the other fields are checked
    // too.
    let mut spec = ScheduleSpec::new(name.or_else(|| "unnamed".parse().ok())?);

    let cron = object.take("cron");
    let lone_cron = cron.as_ref().is_some_and(|field| !field.value.is_array());
    let texts = cron.and_then(|field| field.one_or_many(CRONS, problems)).unwrap_or_default();
    spec.cron = texts.into_iter().filter_map(|field| field.text(4 * CRON_BYTES, problems)).collect();
    let every = object.take("every").and_then(|field| field.duration(EVERY_MIN_MILLIS..=EVERY_MAX_MILLIS, problems));
    spec.every_millis = every;
    let phase = object.take("phase").and_then(|field| field.duration(0..=EVERY_MAX_MILLIS, problems));
    spec.phase_millis = phase.unwrap_or(0);
    let times = object.take("at").and_then(|field| field.one_or_many(TIMES, problems)).unwrap_or_default();
    spec.at = times.into_iter().filter_map(|field| field.time(problems)).collect();
    if let Some(field) = object.take("time_zone") {
        spec.time_zone = time_zone(field, problems).unwrap_or_else(Zone::utc);
    }
    let gap = [("next", GapPolicy::Next), ("skip", GapPolicy::Skip)];
    spec.gap = object.take("gap").and_then(|field| field.choice(&gap, problems)).unwrap_or_default();
    let repeated = [("first", RepeatPolicy::First), ("both", RepeatPolicy::Both)];
    spec.repeated = object.take("repeated").and_then(|field| field.choice(&repeated, problems)).unwrap_or_default();
    spec.start = object.take("start").and_then(|field| field.time(problems));
    spec.end = object.take("end").and_then(|field| field.time(problems));
    let excluded = object.take("exclude").and_then(|field| field.one_or_many(EXCLUSIONS, problems)).unwrap_or_default();
    spec.exclude = excluded.into_iter().filter_map(|field| exclusion(field, problems)).collect();
    let jitter = object.take("jitter").and_then(|field| field.duration(0..=JITTER_MAX_MILLIS, problems));
    spec.jitter_millis = jitter.unwrap_or(0);
    spec.long_jitter = object.take("long_jitter").and_then(|field| field.boolean(problems)).unwrap_or(false);
    let overlap = Overlap::ALL.map(|policy| (policy.as_str(), policy));
    spec.overlap = object.take("overlap").and_then(|field| field.choice(&overlap, problems)).unwrap_or_default();
    let catch_up = CatchUp::ALL.map(|policy| (policy.as_str(), policy));
    spec.catch_up = object.take("catch_up").and_then(|field| field.choice(&catch_up, problems)).unwrap_or_default();
    let window =
        object.take("catch_up_window").and_then(|field| field.duration(0..=CATCH_UP_WINDOW_MAX_MILLIS, problems));
    spec.catch_up_window_millis = window.unwrap_or(spec.catch_up_window_millis);
    spec.limit = object.take("limit").and_then(|field| field.number(1..=LIMIT_MAX, problems));
    let failures = object.take("pause_after_failures");
    let failures = failures.and_then(|field| field.number(1..=PAUSE_AFTER_MAX.into(), problems));
    spec.pause_after_failures = failures.and_then(|failures| u32::try_from(failures).ok());
    if let Some(field) = object.take("input") {
        // The bound is that of the whole manifest, which is lower than that of a run's input.
        spec.input = field.value.to_string();
    }
    spec.export = object.take("export").and_then(|field| field.choice(&EXPORTS, problems));
    object.finish(problems);
    // Problems of single fields are reported already. Check the fields together only if each is
    // valid.
    if problems.len() > before {
        let crons = spec.cron.clone();
        let cron_problems = Schedule::new(spec).err().into_iter().flatten();
        let cron_problems =
            cron_problems.filter(|problem| !crons.is_empty() && matches!(problem.kind, SpecProblemKind::Cron(_)));
        problems.extend(cron_problems.map(|problem| described(&pointer, lone_cron, problem)));
        return None;
    }
    match Schedule::new(spec) {
        Ok(schedule) => Some(schedule),
        Err(found) => {
            problems.extend(found.into_iter().map(|problem| described(&pointer, lone_cron, problem)));
            None
        }
    }
}

/// Returns the jitter problems of schedules that are deployed at `now`. Reading a manifest does
/// not refuse them, because a stored manifest may have such a jitter.
pub(super) fn long_jitters(schedules: &[Schedule], now: Timestamp) -> Vec<InputProblem> {
    let problem = |(index, schedule): (usize, &Schedule)| {
        let half = duration_text(schedule.jitter_above(now)?);
        let message = format!("the jitter is longer than half the shortest distance of two firings, which is {half}");
        let fix = format!(
            "Write at most \"{half}\", or add `long_jitter = true`, which moves all firings by the same amount."
        );
        Some(InputProblem::field(format!("/schedules/{index}/jitter"), message, fix).with_code(Code::BadSchedule))
    };
    schedules.iter().enumerate().filter_map(problem).collect()
}

fn described(pointer: &str, lone_cron: bool, SpecProblem { field, index, kind }: SpecProblem) -> InputProblem {
    let place = match index {
        Some(index) if !(field == "cron" && lone_cron) => format!("{pointer}/{field}/{index}"),
        _ if matches!(kind, SpecProblemKind::NoTime) => pointer.to_owned(),
        _ => format!("{pointer}/{field}"),
    };
    let (code, fix) = match &kind {
        SpecProblemKind::Cron(_) => {
            (Code::BadCron, "Write an expression such as \"*/5 * * * *\" or \"0 9 * * MON-FRI\".")
        }
        SpecProblemKind::NoTime => (Code::BadSchedule, "Add one, such as cron = \"*/5 * * * *\" or every = \"10s\"."),
        SpecProblemKind::Bounds(_) => (Code::BadSchedule, "Correct the value."),
    };
    let message = kind.to_string();
    InputProblem::field(place, shown_long(&message), fix).with_code(code)
}

/// Shortens a message, which may contain a field of a cron expression from outside.
fn shown_long(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Returns the schedules in zones whose rules this process does not have. Reading a manifest does
/// not refuse them: a stored manifest may name such a zone if zone data was removed or the
/// manifest comes from another machine.
pub(super) fn unknown_zones(schedules: &[Schedule]) -> Vec<InputProblem> {
    let unknown = schedules.iter().enumerate().filter(|(_, schedule)| !schedule.spec().time_zone.is_known());
    unknown
        .map(|(index, schedule)| no_zone(format!("/schedules/{index}/time_zone"), schedule.spec().time_zone.name()))
        .collect()
}

pub(super) fn no_zone(pointer: String, name: &str) -> InputProblem {
    InputProblem::field(
        pointer,
        format!("`{}` is not a time zone of the IANA list", shown(name)),
        "Write one such as \"Europe/Berlin\" or \"UTC\"; a new zone needs newer zone data.",
    )
}

pub(super) fn time_zone(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Zone> {
    let pointer = field.pointer.clone();
    let text = field.text(ZONE_NAME_BYTES, problems)?;
    let zone = text.parse().ok().or_else(|| Zone::unknown(&text));
    if zone.is_none() {
        problems.push(no_zone(pointer, &text));
    }
    zone
}

fn exclusion(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<Exclusion> {
    const FIX: &str =
        "Write a day such as \"2026-12-25\", or { start = \"2026-12-24T12:00:00Z\", end = \"2026-12-27T00:00:00Z\" }.";
    if let Some(text) = field.value.as_str() {
        let day: Option<NaiveDate> = text.parse().ok();
        // From 1970 to 9998, so that the next day can be written too.
        let day = day.filter(|day| (1970..9999).contains(&chrono::Datelike::year(day)) && text.len() == 10);
        if day.is_none() {
            problems.push(InputProblem::field(field.pointer, format!("`{}` is not a valid day", shown(text)), FIX));
        }
        return day.map(Exclusion::Day);
    }
    let mut object = field.object(problems)?;
    let start = object.require("start", FIX, problems).and_then(|field| field.time(problems));
    let end = object.require("end", FIX, problems).and_then(|field| field.time(problems));
    object.finish(problems);
    Some(Exclusion::Span { start: start?, end: end? })
}
