//! The day rules that the `cron` crate does not support: `L`, `W` and `#`. Pure calendar
//! arithmetic.

use chrono::{Datelike, Months, NaiveDate, Weekday};

/// The last year of any schedule; the limit of the `cron` crate.
pub(super) const LAST_YEAR: i32 = 2100;

/// A rule that picks at most one day of each month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayRule {
    /// `L` and `L-n`: the number of days before the last day of the month.
    BeforeLast(u32),
    /// `LW`: the last day from Monday to Friday.
    LastWorkday,
    /// `15W`: the working day nearest to that day, within its month. Months without that day are
    /// skipped.
    NearestWorkday(u32),
    /// `FRI#2`: the n-th occurrence of that day of the week, n from 1 to 5.
    Nth(Weekday, u32),
    /// `5L`: the last occurrence of that day of the week.
    Last(Weekday),
}

impl DayRule {
    /// Whether the rule picks `date`.
    pub(super) fn picks(self, date: NaiveDate) -> bool {
        let length = days_in_month(date);
        match self {
            Self::BeforeLast(n) => date.day() + n == length,
            Self::LastWorkday => date.day() == nearest_workday(date, length, length),
            Self::NearestWorkday(day) => day <= length && date.day() == nearest_workday(date, day, length),
            Self::Nth(weekday, n) => date.weekday() == weekday && (date.day() - 1) / 7 + 1 == n,
            Self::Last(weekday) => date.weekday() == weekday && date.day() + 7 > length,
        }
    }
}

/// The first date after `date` that one of `rules` picks, or the first day of the next month if
/// this month has none left.
pub(super) fn next_picked_or_month(rules: &[DayRule], date: NaiveDate) -> Option<NaiveDate> {
    date.iter_days().skip(1).find(|day| day.day() == 1 || rules.iter().any(|rule| rule.picks(*day)))
}

fn days_in_month(date: NaiveDate) -> u32 {
    date.with_day(1)
        .and_then(|first| first.checked_add_months(Months::new(1)))
        .and_then(|next| next.pred_opt())
        .map_or(31, |last| last.day())
}

/// The working day of the month of `date` that is nearest to `day`: Friday for a Saturday, Monday
/// for a Sunday, or the other direction if that leaves the month.
fn nearest_workday(date: NaiveDate, day: u32, length: u32) -> u32 {
    match date.with_day(day).map(|there| there.weekday()) {
        Some(Weekday::Sat) if day == 1 => 3,
        Some(Weekday::Sat) => day - 1,
        Some(Weekday::Sun) if day == length => day - 2,
        Some(Weekday::Sun) => day + 1,
        _ => day,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(rule: DayRule, year: i32, month: u32) -> Vec<u32> {
        NaiveDate::from_ymd_opt(year, month, 1)
            .unwrap()
            .iter_days()
            .take_while(|day| day.month() == month)
            .filter(|day| rule.picks(*day))
            .map(|day| day.day())
            .collect()
    }

    #[test]
    fn each_rule_picks_at_most_one_day_of_any_month() {
        let mut rules = vec![DayRule::LastWorkday];
        rules.extend((0..31).map(DayRule::BeforeLast));
        rules.extend((1..32).map(DayRule::NearestWorkday));
        rules.extend((1..6).flat_map(|n| [DayRule::Nth(Weekday::Mon, n), DayRule::Last(Weekday::Sun)]));
        for rule in rules {
            for (year, month) in (2023..2031).flat_map(|year| (1..13).map(move |month| (year, month))) {
                assert!(picked(rule, year, month).len() <= 1, "{rule:?} in {year}-{month}");
            }
        }
    }

    #[test]
    fn the_nearest_working_day_stays_in_its_month() {
        // 1 August 2026 is a Saturday, 31 May 2026 a Sunday.
        assert_eq!(picked(DayRule::NearestWorkday(1), 2026, 8), [3]);
        assert_eq!(picked(DayRule::NearestWorkday(31), 2026, 5), [29]);
        assert!(picked(DayRule::NearestWorkday(31), 2026, 6).is_empty());
        assert_eq!(picked(DayRule::LastWorkday, 2026, 5), [29]);
        assert_eq!(picked(DayRule::BeforeLast(0), 2028, 2), [29]);
    }
}
