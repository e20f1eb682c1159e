//! Converts the wall clock to instants: the effect of a daylight saving change on a cron
//! expression.
//!
//! A once-a-day time follows the wall clock, according to the policies. All other times follow
//! real time: they fire at each instant at which the wall clock shows a matching time. They fire
//! twice in a repeated hour and not at all in a skipped hour.

use chrono::{
    DateTime, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc,
};
use serde::{Deserialize, Serialize};

use super::cron::CronExpr;
use crate::ids::Timestamp;
use crate::zones::Zone;

/// Policy for a once-a-day time that the clock skips.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapPolicy {
    /// It fires at the first instant after the gap.
    #[default]
    Next,
    /// It does not fire that day.
    Skip,
}

/// Policy for a once-a-day time that the clock shows twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatPolicy {
    /// It fires the first time.
    #[default]
    First,
    /// It fires both times.
    Both,
}

/// Maximum number of gaps that a search crosses without finding an instant. Each costs a jump over
/// the gap.
const GAPS: usize = 1_000;

/// The first instant strictly after `after` at which `expr` fires in `zone`; `None` after the year
/// 2100.
pub(super) fn next_instant(
    expr: &CronExpr,
    zone: &Zone,
    gap: GapPolicy,
    repeat: RepeatPolicy,
    after: Timestamp,
) -> Option<Timestamp> {
    if after > Timestamp::MAX {
        return None;
    }
    let after = DateTime::from_timestamp_millis(i64::try_from(after.as_millis()).ok()?)?;
    // A once-a-day time that fires in the first half of a repeated hour does not fire in the
    // second half.
    let first_only = expr.is_once_a_day() && repeat == RepeatPolicy::First;
    let gap = if expr.is_once_a_day() { gap } else { GapPolicy::Skip };
    let search = Search { expr, zone, gap, first_only, after };
    let straight = search.from(search.wall(after));
    let again = if first_only { None } else { search.second_half() };
    let found = straight.into_iter().chain(again).min()?;
    u64::try_from(found.timestamp_millis()).ok().map(Timestamp::from_millis)
}

struct Search<'a> {
    expr: &'a CronExpr,
    zone: &'a Zone,
    gap: GapPolicy,
    first_only: bool,
    after: DateTime<Utc>,
}

impl Search<'_> {
    fn wall(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(self.zone).naive_local()
    }

    /// Searches along the wall clock from `wall` (exclusive).
    fn from(&self, mut wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        for _ in 0..GAPS {
            wall = self.expr.next_wall(wall)?;
            match self.zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(instant) if instant > self.after => return Some(instant.to_utc()),
                MappedLocalTime::Ambiguous(first, second) => {
                    if first > self.after {
                        return Some(first.to_utc());
                    }
                    if second > self.after && !self.first_only {
                        return Some(second.to_utc());
                    }
                }
                MappedLocalTime::Single(_) => {}
                MappedLocalTime::None => {
                    let (end, instant) = end_of_gap(self.zone, wall)?;
                    if self.gap == GapPolicy::Next && instant > self.after {
                        return Some(instant);
                    }
                    wall = end - TimeDelta::seconds(1);
                }
            }
        }
        None
    }

    /// If `after` is in the first half of a repeated period, returns the first firing in the
    /// second half. The straight search begins too late on the wall clock to see all of it.
    fn second_half(&self) -> Option<DateTime<Utc>> {
        let MappedLocalTime::Ambiguous(first, second) = self.zone.from_local_datetime(&self.wall(self.after)) else {
            return None;
        };
        if first.to_utc() != self.after {
            return None;
        }
        // The clock goes back between the two: find the second at which it does.
        let before = first.offset().fix();
        let (mut low, mut high) = (first.timestamp(), second.timestamp());
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let there = DateTime::from_timestamp(middle, 0)?.with_timezone(self.zone);
            if there.offset().fix() == before { low = middle } else { high = middle }
        }
        let begin = DateTime::from_timestamp(high, 0)?;
        let wall = self.expr.next_wall(self.wall(begin) - TimeDelta::seconds(1))?;
        match self.zone.from_local_datetime(&wall) {
            MappedLocalTime::Ambiguous(_, second) if second >= begin => Some(second.to_utc()),
            // The straight search covers all times after the repeated period.
            _ => None,
        }
    }
}

/// The first wall clock time after the gap that contains `wall`, and its instant.
pub(super) fn end_of_gap(zone: &Zone, wall: NaiveDateTime) -> Option<(NaiveDateTime, DateTime<Utc>)> {
    const STEP: i64 = 900;
    let resolve = |seconds: i64| {
        let resolved = zone.from_local_datetime(&(wall + TimeDelta::seconds(seconds))).earliest();
        resolved.map(|instant| instant.to_utc())
    };
    // The longest gap in history was a day (Samoa, 2011).
    let beyond = (1..=28 * 3600 / STEP).map(|n| n * STEP).find(|seconds| resolve(*seconds).is_some())?;
    let (mut low, mut high) = (beyond - STEP, beyond);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if resolve(middle).is_some() { high = middle } else { low = middle }
    }
    Some((wall + TimeDelta::seconds(high), resolve(high)?))
}

/// The periods in which the wall clock in `zone` shows `day`, from start (inclusive) to end
/// (exclusive): usually one, two if a change sets the clock back over midnight, none if the zone
/// skipped the day.
pub(super) fn periods_of(zone: &Zone, day: NaiveDate) -> Vec<(Timestamp, Timestamp)> {
    let Some(next) = day.succ_opt() else { return Vec::new() };
    let [begin, end] = [day, next].map(|day| midnight(zone, day));
    let (Some((begin, begins_again)), Some((end, ends_again))) = (begin, end) else { return Vec::new() };
    if !begins_again && !ends_again {
        return period(begin, end).into_iter().collect();
    }
    // The clock goes back at or over midnight: check each second whether it shows the day.
    let last = if ends_again { end + 86_400 } else { end };
    let shows =
        |at: &i64| DateTime::from_timestamp(*at, 0).is_some_and(|at| at.with_timezone(zone).date_naive() == day);
    let mut found = Vec::new();
    let mut at = begin;
    while let Some(from) = (at..last).find(shows) {
        at = (from..last).find(|at| !shows(at)).unwrap_or(last);
        found.extend(period(from, at));
    }
    found
}

/// The first instant at which the clock shows or has passed the midnight at the start of `day`;
/// 1970 if it is before.
pub(crate) fn start_of_day(zone: &Zone, day: NaiveDate) -> Option<Timestamp> {
    let (seconds, _) = midnight(zone, day)?;
    u64::try_from(seconds.max(0).saturating_mul(1_000)).ok().map(Timestamp::from_millis)
}

/// The first instant at which the clock shows or has passed the midnight at the start of `day`, in
/// seconds, and whether the clock shows it twice.
fn midnight(zone: &Zone, day: NaiveDate) -> Option<(i64, bool)> {
    let wall = day.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&wall) {
        MappedLocalTime::Single(instant) => Some((instant.timestamp(), false)),
        MappedLocalTime::Ambiguous(first, _) => Some((first.timestamp(), true)),
        MappedLocalTime::None => end_of_gap(zone, wall).map(|(_, instant)| (instant.timestamp(), false)),
    }
}

/// Converts a period in seconds to timestamps; `None` if it is empty. A start before 1970 becomes
/// 1970.
fn period(from: i64, to: i64) -> Option<(Timestamp, Timestamp)> {
    let millis = |seconds: i64| Timestamp::from_millis(u64::try_from(seconds.saturating_mul(1_000)).unwrap_or(0));
    (from < to).then(|| (millis(from), millis(to)))
}
