//! Future firings of a schedule for people: also in its own time zone, and with a note if a change
//! of daylight saving moves or drops a firing. The firings are those of [`Schedule::next_after`],
//! up to the schedule's limit.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone as _};

use super::cron::CronExpr;
use super::zone::end_of_gap;
use super::{GapPolicy, RepeatPolicy, Schedule};
use crate::ids::Timestamp;

/// One firing of a preview, or a firing that a policy drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFiring {
    /// Its nominal time. For a dropped firing, the time at which it would fire.
    pub at: Timestamp,
    /// The same time in the schedule's time zone: RFC 3339 with the offset at that time.
    pub local: String,
    /// The effect of daylight saving on it.
    pub note: Option<String>,
    /// Whether it does not fire and is shown only for its note.
    pub dropped: bool,
}

/// Future firings, and the reason why there are no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulePreview {
    /// Earliest first, including firings that a daylight saving policy drops.
    pub firings: Vec<PlannedFiring>,
    /// Why no firing follows; `None` if more follow.
    pub ends: Option<ScheduleEnd>,
}

/// Why a schedule does not fire again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleEnd {
    /// It has reached its limit.
    Limit,
    /// It has no more times.
    Times,
    /// The policy or an unknown time zone blocks it.
    Blocked,
}

impl ScheduleEnd {
    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Times => "times",
            Self::Blocked => "blocked",
        }
    }
}

/// Maximum number of times of one expression that a preview compares with the clock: eleven years
/// of days.
const LOOKS: usize = 4_000;

impl Schedule {
    /// The next `n` firings after `from`, and among them at most `n` firings that a daylight
    /// saving policy drops. There are fewer firings if the schedule ends or if its limit has only
    /// `left` firings left.
    ///
    /// A firing that starts no run does not count against the limit, so a schedule may fire beyond
    /// the end that is shown here.
    #[must_use]
    pub fn ahead(&self, from: Timestamp, n: usize, left: Option<u64>) -> SchedulePreview {
        let most = left.map_or(n, |left| usize::try_from(left).map_or(n, |left| n.min(left)));
        let times = self.preview(from, most);
        let last = times.last().copied().unwrap_or(from);
        let ends = if self.next_after(last).is_none() {
            Some(ScheduleEnd::Times)
        } else {
            left.filter(|left| *left <= times.len() as u64).map(|_| ScheduleEnd::Limit)
        };
        let until = match ends {
            // Firings that are dropped up to the end explain the end.
            Some(ScheduleEnd::Times) => self.spec.end.unwrap_or(Timestamp::MAX),
            _ => last,
        };
        SchedulePreview { firings: self.shown_with_changes(&times, from, until, n), ends }
    }

    /// Merges the firings with the effects of daylight saving after `from` and not after `until`.
    fn shown_with_changes(
        &self,
        times: &[Timestamp],
        from: Timestamp,
        until: Timestamp,
        n: usize,
    ) -> Vec<PlannedFiring> {
        let mut planned: Vec<PlannedFiring> = times.iter().map(|at| self.shown(*at, None, false)).collect();
        let once_a_day = self.crons.iter().filter(|cron| cron.is_once_a_day());
        let changed: Vec<FiringShift> = once_a_day.flat_map(|cron| self.changes(cron, from, until, n)).collect();
        for FiringShift { at, note, dropped } in changed {
            match planned.iter_mut().find(|planned| planned.at == at) {
                Some(planned) if !dropped => planned.note = planned.note.take().or(Some(note)),
                // Another part of the schedule fires at that instant regardless.
                Some(_) => {}
                None if dropped && self.takes(at) => planned.push(self.shown(at, Some(note), true)),
                None => {}
            }
        }
        planned.sort_by_key(|planned| planned.at);
        planned
    }

    fn shown(&self, at: Timestamp, note: Option<String>, dropped: bool) -> PlannedFiring {
        let local = i64::try_from(at.as_millis()).ok().and_then(DateTime::from_timestamp_millis);
        let local =
            local.map(|at| at.with_timezone(&self.spec.time_zone).to_rfc3339_opts(SecondsFormat::AutoSi, false));
        PlannedFiring { at, local: local.unwrap_or_default(), note, dropped }
    }

    /// Whether start, end and exclusions allow a firing at that time.
    fn takes(&self, at: Timestamp) -> bool {
        let after_start = self.spec.start.is_none_or(|start| at >= start);
        after_start && self.spec.end.is_none_or(|end| at < end) && self.exclusion_of(at).is_none()
    }

    /// The effects of daylight saving on `cron` after `from` and not after `until`.
    fn changes(&self, cron: &CronExpr, from: Timestamp, until: Timestamp, n: usize) -> Vec<FiringShift> {
        let zone = &self.spec.time_zone;
        let wall = |at: Timestamp| {
            let at = i64::try_from(at.as_millis()).ok().and_then(DateTime::from_timestamp_millis)?;
            Some(at.with_timezone(zone).naive_local())
        };
        let (Some(first), Some(last)) = (wall(from), wall(until.min(Timestamp::MAX))) else { return Vec::new() };
        // No clock change is longer than a day.
        let day = TimeDelta::days(1);
        let (Some(first), Some(last)) = (first.checked_sub_signed(day), last.checked_add_signed(day)) else {
            return Vec::new();
        };
        let times = std::iter::successors(cron.next_wall(first), |wall| cron.next_wall(*wall));
        let found = times.take_while(|wall| *wall <= last).take(LOOKS).flat_map(|wall| self.change_at(wall));
        found.filter(|changed| changed.at > from && changed.at <= until).take(n).collect()
    }

    /// The effects on a once-a-day time that the clock skips or shows twice.
    fn change_at(&self, wall: NaiveDateTime) -> Vec<FiringShift> {
        let time = wall.time();
        match self.spec.time_zone.from_local_datetime(&wall) {
            MappedLocalTime::Single(_) => Vec::new(),
            MappedLocalTime::None => {
                let Some((_, end)) = end_of_gap(&self.spec.time_zone, wall) else { return Vec::new() };
                let (dropped, what) = match self.spec.gap {
                    GapPolicy::Next => (false, "fires right after it (gap = \"next\")"),
                    GapPolicy::Skip => (true, "does not fire (gap = \"skip\")"),
                };
                changed(end.timestamp_millis(), format!("the clock leaves out {wall}: {what}"), dropped)
            }
            MappedLocalTime::Ambiguous(first, second) => {
                let (dropped, what) = match self.spec.repeated {
                    RepeatPolicy::First => (true, "fires the first time only (repeated = \"first\")"),
                    RepeatPolicy::Both => (false, "fires both times (repeated = \"both\")"),
                };
                let note = format!("the clock shows {time} twice: {what}");
                let mut both = changed(second.timestamp_millis(), note.clone(), dropped);
                if !dropped {
                    both.extend(changed(first.timestamp_millis(), note, false));
                }
                both
            }
        }
    }
}

/// A firing that differs from what the expression alone describes.
struct FiringShift {
    at: Timestamp,
    note: String,
    dropped: bool,
}

fn changed(millis: i64, note: String, dropped: bool) -> Vec<FiringShift> {
    let at = u64::try_from(millis).ok().map(Timestamp::from_millis);
    at.map(|at| FiringShift { at, note, dropped }).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::ScheduleSpec;
    use super::*;

    fn shown(spec: ScheduleSpec, from: &str, n: usize) -> Vec<String> {
        let schedule = Schedule::new(ScheduleSpec {
            cron: vec!["30 2 * * *".to_owned()],
            time_zone: "Europe/Berlin".parse().unwrap(),
            ..spec
        });
        let planned = schedule.unwrap().ahead(Timestamp::parse_rfc3339(from).unwrap(), n, None).firings;
        let line = |planned: PlannedFiring| {
            let dropped = if planned.dropped { "not " } else { "" };
            format!("{dropped}{} {}", planned.local, planned.note.unwrap_or_default()).trim().to_owned()
        };
        planned.into_iter().map(line).collect()
    }

    fn spec() -> ScheduleSpec {
        super::super::tests::spec()
    }

    #[test]
    fn a_moved_firing_is_shown_with_the_reason() {
        let moved =
            "2026-03-29T03:00:00+02:00 the clock leaves out 2026-03-29 02:30:00: fires right after it (gap = \"next\")";
        let found = shown(spec(), "2026-03-27T12:00:00Z", 3);
        assert_eq!(found, ["2026-03-28T02:30:00+01:00", moved, "2026-03-30T02:30:00+02:00"]);
    }

    #[test]
    fn a_dropped_firing_is_shown_in_order_and_not_counted() {
        let skip = ScheduleSpec { gap: GapPolicy::Skip, ..spec() };
        let dropped =
            "not 2026-03-29T03:00:00+02:00 the clock leaves out 2026-03-29 02:30:00: does not fire (gap = \"skip\")";
        let expected = ["2026-03-28T02:30:00+01:00", dropped, "2026-03-30T02:30:00+02:00"];
        assert_eq!(shown(skip.clone(), "2026-03-27T12:00:00Z", 2), expected);
        // Not if it could not have fired anyway.
        let excluded =
            ScheduleSpec { exclude: vec![super::super::Exclusion::Day("2026-03-29".parse().unwrap())], ..skip };
        assert_eq!(shown(excluded, "2026-03-27T12:00:00Z", 2), [expected[0], expected[2]]);
    }

    #[test]
    fn the_note_of_a_repeated_firing_names_the_one_that_fires() {
        let note = "the clock shows 02:30:00 twice: fires";
        let once = [
            "2026-10-25T02:30:00+02:00".to_owned(),
            format!("not 2026-10-25T02:30:00+01:00 {note} the first time only (repeated = \"first\")"),
            "2026-10-26T02:30:00+01:00".to_owned(),
        ];
        assert_eq!(shown(spec(), "2026-10-24T12:00:00Z", 2), once);
        let both = ScheduleSpec { repeated: RepeatPolicy::Both, ..spec() };
        let twice = [
            format!("2026-10-25T02:30:00+02:00 {note} both times (repeated = \"both\")"),
            format!("2026-10-25T02:30:00+01:00 {note} both times (repeated = \"both\")"),
        ];
        assert_eq!(shown(both, "2026-10-24T12:00:00Z", 2), twice);
    }

    #[test]
    fn a_schedule_that_never_fires_has_a_reason() {
        let spec =
            ScheduleSpec { gap: GapPolicy::Skip, end: Timestamp::parse_rfc3339("2026-03-29T12:00:00Z"), ..spec() };
        let found = shown(spec, "2026-03-28T12:00:00Z", 20);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("not 2026-03-29T03:00:00+02:00"), "{found:?}");
    }

    #[test]
    fn a_preview_ends_with_the_limit_and_names_it() {
        let schedule = Schedule::new(ScheduleSpec {
            at: Timestamp::parse_rfc3339("2026-01-04T00:00:00Z").into_iter().collect(),
            every_millis: Some(24 * 3_600_000),
            end: Timestamp::parse_rfc3339("2026-01-06T00:00:00Z"),
            ..spec()
        });
        let (schedule, from) = (schedule.unwrap(), Timestamp::parse_rfc3339("2026-01-01T12:00:00Z").unwrap());
        let shown = |n, left| {
            let ahead = schedule.ahead(from, n, left);
            (ahead.firings.len(), ahead.ends)
        };
        assert_eq!(shown(20, Some(2)), (2, Some(ScheduleEnd::Limit)));
        assert_eq!(shown(2, Some(2)), (2, Some(ScheduleEnd::Limit)));
        assert_eq!(shown(2, Some(3)), (2, None));
        assert_eq!(shown(2, None), (2, None));
        assert_eq!(shown(20, Some(0)), (0, Some(ScheduleEnd::Limit)));
        // The times end before the limit, or with it.
        assert_eq!(shown(20, Some(5)), (4, Some(ScheduleEnd::Times)));
        assert_eq!(shown(20, Some(4)), (4, Some(ScheduleEnd::Times)));
        assert_eq!(shown(4, None), (4, Some(ScheduleEnd::Times)));
        // Firings that daylight saving drops after a limit's last firing are not shown.
        let nightly = Schedule::new(ScheduleSpec {
            cron: vec!["30 2 * * *".to_owned()],
            time_zone: "Europe/Berlin".parse().unwrap(),
            gap: GapPolicy::Skip,
            ..spec()
        });
        let before = Timestamp::parse_rfc3339("2026-03-27T12:00:00Z").unwrap();
        assert_eq!(nightly.unwrap().ahead(before, 20, Some(1)).firings.len(), 1);
    }
}
