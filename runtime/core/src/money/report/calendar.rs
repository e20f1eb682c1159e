//! Hours, days, weeks, months and years as the clock of a zone shows them, as half-open ranges of
//! time.
//!
//! An hour ends if the clock shows the next one or is set, so a repeated hour is two periods. A
//! longer period lasts from the first midnight of its first day to that of the next one, or from
//! the first instant after midnight if the clock skips it.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, Days, IsoWeek, Months, NaiveDate, Offset as _, Timelike as _, Weekday};

use crate::ids::Timestamp;
use crate::schedule::start_of_day;
use crate::zones::Zone;

/// Maximum number of periods in one report.
pub const PERIODS_MAX: usize = 1_000;

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CalendarUnit {
    /// An hour, as the clock shows it.
    Hour,
    /// A day.
    Day,
    /// A week of ISO 8601, from Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl CalendarUnit {
    /// Every unit, the shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The unit with that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.as_str() == text)
    }
}

/// A period of the calendar in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarPeriod {
    /// Its name: `2026-10-05T14:00:00+02:00`, `2026-10-05`, `2026-W41`, `2026-10` or `2026`.
    pub name: String,
    /// Its start, inclusive.
    pub start: Timestamp,
    /// Its end, exclusive; later than the start.
    pub end: Timestamp,
}

/// The name of a period: a day, a week, a month or a year. Its range depends on a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeriodName {
    unit: CalendarUnit,
    first: NaiveDate,
}

/// A text that does not name a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a period: a day `2026-10-05`, a week `2026-W41`, a month `2026-10` or a year `2026`, from 1970 to 9998")]
pub struct InvalidPeriod;

impl FromStr for PeriodName {
    type Err = InvalidPeriod;

    fn from_str(text: &str) -> Result<Self, InvalidPeriod> {
        let number = |text: &str, digits: usize| {
            let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse::<u32>().ok()).flatten().ok_or(InvalidPeriod)
        };
        let mut parts = text.split('-');
        let year = number(parts.next().unwrap_or_default(), 4)?;
        let year = i32::try_from(year).ok().filter(|year| (1970..=9998).contains(year)).ok_or(InvalidPeriod)?;
        let (unit, first) = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => (CalendarUnit::Year, NaiveDate::from_ymd_opt(year, 1, 1)),
            (Some(part), None, _) => match part.strip_prefix('W') {
                Some(week) => (CalendarUnit::Week, NaiveDate::from_isoywd_opt(year, number(week, 2)?, Weekday::Mon)),
                None => (CalendarUnit::Month, NaiveDate::from_ymd_opt(year, number(part, 2)?, 1)),
            },
            (Some(month), Some(day), None) => {
                (CalendarUnit::Day, NaiveDate::from_ymd_opt(year, number(month, 2)?, number(day, 2)?))
            }
            _ => return Err(InvalidPeriod),
        };
        // The first week of 1970 begins in 1969.
        first.filter(|first| first.year() >= 1970).map(|first| Self { unit, first }).ok_or(InvalidPeriod)
    }
}

impl fmt::Display for PeriodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            CalendarUnit::Hour | CalendarUnit::Day => write!(f, "{}", self.first.format("%Y-%m-%d")),
            CalendarUnit::Week => {
                let week: IsoWeek = self.first.iso_week();
                write!(f, "{:04}-W{:02}", week.year(), week.week())
            }
            CalendarUnit::Month => write!(f, "{}", self.first.format("%Y-%m")),
            CalendarUnit::Year => write!(f, "{}", self.first.format("%Y")),
        }
    }
}

impl PeriodName {
    /// The unit of the period.
    #[must_use]
    pub const fn unit(self) -> CalendarUnit {
        self.unit
    }

    /// Its range in a zone; `None` if the zone skips it entirely, as Samoa did with a day of 2011.
    #[must_use]
    pub fn in_zone(self, zone: &Zone) -> Option<CalendarPeriod> {
        let [start, end] = [self.first, self.next()?.first].map(|day| start_of_day(zone, day));
        let (start, end) = (start?, end?);
        (start < end).then(|| CalendarPeriod { name: self.to_string(), start, end })
    }

    /// The period after it; `None` at the end of the calendar.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        let first = match self.unit {
            CalendarUnit::Hour | CalendarUnit::Day => self.first.checked_add_days(Days::new(1)),
            CalendarUnit::Week => self.first.checked_add_days(Days::new(7)),
            CalendarUnit::Month => self.first.checked_add_months(Months::new(1)),
            CalendarUnit::Year => self.first.checked_add_months(Months::new(12)),
        };
        first.filter(|first| first.year() <= 9999).map(|first| Self { first, ..self })
    }

    /// The period before it; `None` at the beginning of the calendar.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        let first = match self.unit {
            CalendarUnit::Hour | CalendarUnit::Day => self.first.checked_sub_days(Days::new(1)),
            CalendarUnit::Week => self.first.checked_sub_days(Days::new(7)),
            CalendarUnit::Month => self.first.checked_sub_months(Months::new(1)),
            CalendarUnit::Year => self.first.checked_sub_months(Months::new(12)),
        };
        first.filter(|first| first.year() >= 1970).map(|first| Self { first, ..self })
    }

    /// The period of a unit that contains a day. An hour gives its day.
    fn containing(unit: CalendarUnit, day: NaiveDate) -> Option<Self> {
        let first = match unit {
            CalendarUnit::Hour | CalendarUnit::Day => Some(day),
            CalendarUnit::Week => day.checked_sub_days(Days::new(day.weekday().num_days_from_monday().into())),
            CalendarUnit::Month => day.with_day(1),
            CalendarUnit::Year => day.with_ordinal(1),
        };
        first.map(|first| Self { unit, first })
    }
}

/// More periods than a report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {PERIODS_MAX} periods; take a shorter range or a longer unit")]
pub struct TooManyPeriods;

/// The periods that overlap the half-open range `start..end`, in order, whole and without gaps
/// between them.
///
/// # Errors
/// If there are more than [`PERIODS_MAX`].
pub fn periods(
    unit: CalendarUnit,
    zone: &Zone,
    start: Timestamp,
    end: Timestamp,
) -> Result<Vec<CalendarPeriod>, TooManyPeriods> {
    let mut found = Vec::new();
    let mut next = start;
    while next < end {
        if found.len() == PERIODS_MAX {
            return Err(TooManyPeriods);
        }
        let Some(period) = period_at(unit, zone, next) else { break };
        next = period.end;
        found.push(period);
    }
    Ok(found)
}

/// The period that contains `at`; `None` at the end of the calendar.
#[must_use]
pub fn period_at(unit: CalendarUnit, zone: &Zone, at: Timestamp) -> Option<CalendarPeriod> {
    let period = match unit {
        CalendarUnit::Hour => hour(zone, at),
        _ => day_or_longer(unit, zone, at),
    };
    period.filter(|period| period.end > at)
}

/// The day, week, month or year that contains `at`.
fn day_or_longer(unit: CalendarUnit, zone: &Zone, at: Timestamp) -> Option<CalendarPeriod> {
    let mut name = PeriodName::containing(unit, local(zone, seconds(at)?)?.date_naive())?;
    // If the clock goes back over midnight, it shows the day before again after the first midnight.
    // If a zone skips a day, no period of the day exists.
    for _ in 0..3 {
        match name.in_zone(zone) {
            Some(period) if period.end > at => return Some(period),
            _ => name = name.next()?,
        }
    }
    None
}

/// The hour that contains `at`.
fn hour(zone: &Zone, at: Timestamp) -> Option<CalendarPeriod> {
    let at = seconds(at)?;
    let here = local(zone, at)?;
    let offset = |at: i64| local(zone, at).map(|local| local.offset().fix());
    let into = i64::from(here.minute() * 60 + here.second());
    let (mut start, mut end) = ((at - into).max(0), at - into + 3_600);
    // The clock may be set within the hour: search for the second. No zone does so twice.
    if offset(start) != offset(at) {
        start = change(start, at, &|second| offset(second) == offset(at));
    }
    if offset(end - 1) != offset(at) {
        end = change(at, end - 1, &|second| offset(second) != offset(at));
    }
    Some(CalendarPeriod { name: local(zone, start)?.to_rfc3339(), start: timestamp(start)?, end: timestamp(end)? })
}

/// The first second in `low..=high` at which `is_after` holds, if it does not at `low` and does at
/// `high`.
fn change(mut low: i64, mut high: i64, is_after: &dyn Fn(i64) -> bool) -> i64 {
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if is_after(middle) { high = middle } else { low = middle }
    }
    high
}

fn seconds(at: Timestamp) -> Option<i64> {
    i64::try_from(at.min(Timestamp::MAX).as_millis() / 1_000).ok()
}

fn timestamp(seconds: i64) -> Option<Timestamp> {
    u64::try_from(seconds).ok()?.checked_mul(1_000).map(Timestamp::from_millis)
}

fn local(zone: &Zone, seconds: i64) -> Option<DateTime<Zone>> {
    DateTime::from_timestamp(seconds, 0).map(|at| at.with_timezone(zone))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn zone(name: &str) -> Zone {
        Zone::bundled(name).unwrap()
    }

    fn range(period: &str, name: &str) -> (Timestamp, Timestamp) {
        let period = period.parse::<PeriodName>().unwrap().in_zone(&zone(name)).unwrap();
        (period.start, period.end)
    }

    #[test]
    fn a_period_begins_at_the_midnight_of_its_zone() {
        for (period, name, start, end) in [
            ("2026-10", "Europe/Berlin", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
            ("2026-10", "Asia/Kolkata", "2026-09-30T18:30:00Z", "2026-10-31T18:30:00Z"),
            ("2026-10", "Asia/Kathmandu", "2026-09-30T18:15:00Z", "2026-10-31T18:15:00Z"),
            ("2026", "UTC", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-W41", "UTC", "2026-10-05T00:00:00Z", "2026-10-12T00:00:00Z"),
            ("2026-03-29", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            // The clock skips midnight.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"),
        ] {
            assert_eq!(range(period, name), (at(start), at(end)), "{period} in {name}");
        }
        let skipped = "2011-12-30".parse::<PeriodName>().unwrap();
        assert_eq!(skipped.in_zone(&zone("Pacific/Apia")), None);
    }

    #[test]
    fn a_text_that_names_no_period_is_refused() {
        for text in [
            "",
            "26",
            "1969",
            "9999",
            "2026-13",
            "2026-1",
            "2026-W54",
            "2026-W1",
            "2026-02-30",
            "2026-10-05-1",
            "+026",
            "2026-10 ",
        ] {
            assert_eq!(text.parse::<PeriodName>(), Err(InvalidPeriod), "{text}");
        }
    }

    #[test]
    fn a_repeated_hour_is_two_periods() {
        let names = |name, start, end| -> Vec<String> {
            let found = periods(CalendarUnit::Hour, &zone(name), at(start), at(end)).unwrap();
            found.into_iter().map(|period| period.name).collect()
        };
        assert_eq!(
            names("Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"),
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
        );
        // Lord Howe goes back by half an hour.
        assert_eq!(
            names("Australia/Lord_Howe", "2026-04-04T14:30:00Z", "2026-04-04T16:00:00Z"),
            ["2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"]
        );
        assert_eq!(
            names("Asia/Kathmandu", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
            ["2026-10-25T05:00:00+05:45", "2026-10-25T06:00:00+05:45"]
        );
    }

    #[test]
    fn too_many_periods_are_refused() {
        let (start, end) = (at("2020-01-01T00:00:00Z"), at("2023-01-01T00:00:00Z"));
        assert_eq!(periods(CalendarUnit::Day, &Zone::utc(), start, end), Err(TooManyPeriods));
        assert_eq!(periods(CalendarUnit::Month, &Zone::utc(), start, end).unwrap().len(), 36);
        assert_eq!(periods(CalendarUnit::Day, &Zone::utc(), end, start), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn periods_cover_their_range_without_gap_or_overlap(
            name in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
                "Pacific/Apia", "Africa/Cairo", "America/Havana", "Pacific/Chatham", "America/Sao_Paulo",
            ]),
            unit in prop::sample::select(CalendarUnit::ALL.to_vec()),
            start in 0u64..4_000_000_000_000, length in 1u64..86_400_000 * 20,
        ) {
            let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(start + length));
            let found = periods(unit, &zone(name), start, end).unwrap();
            prop_assert!(found[0].start <= start && end <= found[found.len() - 1].end);
            for pair in found.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                prop_assert!(pair[0].name != pair[1].name);
            }
            for period in &found {
                prop_assert!(period.start < period.end);
                if unit != CalendarUnit::Hour {
                    let again = period.name.parse::<PeriodName>().unwrap();
                    prop_assert_eq!(again.unit(), unit);
                    prop_assert_eq!(again.in_zone(&zone(name)), Some(period.clone()));
                }
            }
        }

        #[test]
        fn any_text_is_a_period_or_refused(text in "\\PC{0,12}|[0-9]{4}(-W?[0-9]{2}){0,3}") {
            if let Ok(period) = text.parse::<PeriodName>() {
                prop_assert_eq!(period.to_string(), text);
                if let Some(next) = period.next() {
                    prop_assert_eq!(next.previous(), Some(period));
                }
                let _ = period.in_zone(&Zone::utc());
            }
        }
    }
}
