//! The meaning of a schedule by brute force: for each period with one offset, each day of its wall
//! clock and each time of that day. It has no search and no arithmetic for a next time.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate};
use tidemill_core::Timestamp;
use tidemill_core::schedule::{Exclusion, GapPolicy, RepeatPolicy, Schedule, ScheduleSpec};

use crate::expressions::Expression;
use crate::zones::Zone;

const DAY: i64 = 86_400;

/// Every pair of policies.
pub const POLICIES: [(GapPolicy, RepeatPolicy); 4] = [
    (GapPolicy::Next, RepeatPolicy::First),
    (GapPolicy::Next, RepeatPolicy::Both),
    (GapPolicy::Skip, RepeatPolicy::First),
    (GapPolicy::Skip, RepeatPolicy::Both),
];

/// The date that a wall clock shows, from its own days since 1970.
pub fn date(day: i64) -> NaiveDate {
    DateTime::from_timestamp(day * DAY, 0).unwrap().date_naive()
}

/// The firings of `expression` from `from` (inclusive) to `to` (exclusive), in seconds.
pub fn firings(
    zone: &Zone,
    expression: &Expression,
    (gap, repeated): (GapPolicy, RepeatPolicy),
    from: i64,
    to: i64,
) -> BTreeSet<i64> {
    let mut found = BTreeSet::new();
    if expression.is_once_a_day() {
        // By the calendar: each date, whether the clock shows it or not.
        for day in from / DAY - 3..=to / DAY + 3 {
            if !expression.has_day(date(day)) {
                continue;
            }
            for wall in expression.times().map(|time| day * DAY + time) {
                let shown = zone.instants(wall);
                match repeated {
                    _ if shown.is_empty() && gap == GapPolicy::Next => found.extend([zone.after_gap(wall)]),
                    RepeatPolicy::First => found.extend(shown.first()),
                    RepeatPolicy::Both => found.extend(shown),
                }
            }
        }
    } else {
        // By the clock: each instant at which it shows such a time.
        for period in &zone.periods {
            let (first, last) = (from.max(period.from), to.min(period.to));
            if first >= last {
                continue;
            }
            for day in (first + period.offset).div_euclid(DAY)..=(last + period.offset).div_euclid(DAY) {
                if expression.has_day(date(day)) {
                    let instants = expression.times().map(|time| day * DAY + time - period.offset);
                    found.extend(instants.filter(|at| (first..last).contains(at)));
                }
            }
        }
    }
    found.retain(|at| (from..to).contains(at));
    found
}

/// The content of a schedule. Instants are in milliseconds; an interval is a length and a phase.
#[derive(Debug, Clone)]
pub struct Plan {
    pub expressions: Vec<Expression>,
    pub policies: (GapPolicy, RepeatPolicy),
    pub every: Option<(u64, u64)>,
    pub at: Vec<u64>,
    pub start: Option<u64>,
    pub end: Option<u64>,
    pub days: Vec<NaiveDate>,
    pub spans: Vec<(u64, u64)>,
}

impl Plan {
    /// The firings from `from` (inclusive) to `to` (exclusive), which are in seconds. The result
    /// is in milliseconds.
    pub fn firings(&self, zone: &Zone, from: i64, to: i64) -> BTreeSet<u64> {
        let window = millis(from)..millis(to);
        let mut found: BTreeSet<u64> = BTreeSet::new();
        for expression in &self.expressions {
            found.extend(firings(zone, expression, self.policies, from, to).into_iter().map(millis));
        }
        if let Some((every, phase)) = self.every {
            let spans = (window.start / every).saturating_sub(1)..=window.end / every;
            found.extend(spans.map(|n| n * every + phase).filter(|at| window.contains(at)));
        }
        found.extend(self.at.iter().filter(|at| window.contains(at)));
        found.retain(|at| {
            let shown = date(zone.wall((at / 1_000).cast_signed()).div_euclid(DAY));
            self.start.is_none_or(|start| *at >= start)
                && self.end.is_none_or(|end| *at < end)
                && !self.days.contains(&shown)
                && !self.spans.iter().any(|(start, end)| (start..end).contains(&at))
        });
        found
    }

    /// Returns the same plan as a schedule.
    pub fn schedule(&self, zone: &Zone) -> Schedule {
        let at = |millis: &u64| Timestamp::from_millis(*millis);
        let days = self.days.iter().map(|day| Exclusion::Day(*day));
        let spans = self.spans.iter().map(|(start, end)| Exclusion::Span { start: at(start), end: at(end) });
        Schedule::new(ScheduleSpec {
            cron: self.expressions.iter().map(|expression| expression.text.clone()).collect(),
            every_millis: self.every.map(|(every, _)| every),
            phase_millis: self.every.map_or(0, |(_, phase)| phase),
            at: self.at.iter().map(at).collect(),
            time_zone: zone.tz.clone(),
            gap: self.policies.0,
            repeated: self.policies.1,
            start: self.start.as_ref().map(at),
            end: self.end.as_ref().map(at),
            exclude: days.chain(spans).collect(),
            ..ScheduleSpec::new("s".parse().unwrap())
        })
        .unwrap()
    }
}

/// A schedule of one expression.
pub fn schedule(zone: &Zone, expression: &Expression, (gap, repeated): (GapPolicy, RepeatPolicy)) -> Schedule {
    let cron = vec![expression.text.clone()];
    let spec = ScheduleSpec::new("s".parse().unwrap());
    Schedule::new(ScheduleSpec { cron, time_zone: zone.tz.clone(), gap, repeated, ..spec }).unwrap()
}

/// The times of the schedule itself from `from` (inclusive) to `to` (exclusive), which are in
/// seconds. The result is in milliseconds.
pub fn said(schedule: &Schedule, from: i64, to: i64) -> Vec<u64> {
    let end = Timestamp::from_millis(millis(to));
    let before = Timestamp::from_millis(millis(from) - 1);
    let times = std::iter::successors(schedule.next_after(before), |at| schedule.next_after(*at));
    times.take_while(|at| *at < end).map(Timestamp::as_millis).collect()
}

/// Converts seconds to milliseconds.
pub fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds * 1_000).unwrap()
}
