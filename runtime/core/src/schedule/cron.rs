//! Cron expressions with the meaning of crontab, on a wall clock without a time zone.
//!
//! The `cron` crate computes the times. Its input is translated, because the crate counts Sunday
//! as 1, does not accept five fields, and joins the two day fields with *and*. An expression
//! becomes a union of parts: one for the days of the month, one for the days of the week, and one
//! for the rules `L`, `W` and `#`. `zone.rs` handles time zones.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use chrono::{DateTime, Datelike, Days, NaiveDateTime, NaiveTime, TimeDelta, Weekday};
use cron::TimeUnitSpec as _;

use super::days::{DayRule, LAST_YEAR, next_picked_or_month};

/// Maximum length of a cron expression, in bytes.
pub const CRON_BYTES: usize = 256;

/// A cron expression that has at least one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronExpr {
    text: String,
    parts: Vec<CronField>,
    once_a_day: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct CronField {
    times: cron::Schedule,
    /// If not empty, only days that one of these rules picks.
    rules: Vec<DayRule>,
}

/// Why a text is not a cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    /// It is longer than [`CRON_BYTES`].
    #[error("a cron expression has at most {CRON_BYTES} bytes")]
    TooLong,
    /// It does not have 5, 6 or 7 fields.
    #[error("{0} fields; a cron expression has 5, 6 (seconds first) or 7 (year last)")]
    Fields(usize),
    /// The macro does not exist.
    #[error("`{0}` is not one of @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly")]
    Macro(String),
    /// One field is not valid.
    #[error("`{text}` is not a valid {field}: {allowed}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// Its content.
        text: String,
        /// The allowed content.
        allowed: &'static str,
    },
    /// The fields are valid, but no date matches.
    #[error("it matches no time until the year {LAST_YEAR}")]
    Never,
}

/// The fields in the order of the `cron` crate, each with its allowed content.
const FIELDS: [(&str, &str); 7] = [
    ("second", "0 to 59, `*`, lists `1,2`, ranges `1-5` and steps `*/10`"),
    ("minute", "0 to 59, `*`, lists `1,2`, ranges `1-5` and steps `*/10`"),
    ("hour", "0 to 23, `*`, lists `1,2`, ranges `1-5` and steps `*/2`"),
    ("day of month", "1 to 31, `*`, lists, ranges and steps, `L`, `L-3`, `15W` and `LW`"),
    ("month", "1 to 12 or JAN to DEC, `*`, lists, ranges and steps"),
    (
        "day of week",
        "0 to 7 (0 and 7 are Sunday) or SUN to SAT, `*`, lists, ranges and steps, `FRI#2` and `5L`; a range ends no earlier than it begins",
    ),
    ("year", "1970 to 2100, `*`, lists, ranges and steps"),
];
const DAY_OF_MONTH: usize = 3;
const DAY_OF_WEEK: usize = 5;

impl FromStr for CronExpr {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        if text.len() > CRON_BYTES {
            return Err(InvalidCron::TooLong);
        }
        let fields = split(text.trim())?;
        for (index, field) in fields.iter().enumerate() {
            let known = |b: u8| b.is_ascii_alphanumeric() || b"*?/,-#".contains(&b);
            if !field.bytes().all(known) {
                return Err(bad(index, field));
            }
        }
        let parts = parts(&fields)?;
        let once_a_day = parts.first().is_some_and(|CronField { times, .. }| {
            times.hours().count() == 1 && times.minutes().count() == 1 && times.seconds().count() == 1
        });
        let expr = Self { text: text.trim().to_owned(), parts, once_a_day };
        match expr.next_wall(DateTime::UNIX_EPOCH.naive_utc()) {
            Some(_) => Ok(expr),
            None => Err(InvalidCron::Never),
        }
    }
}

/// Minimum size of the cache at which unused expressions are removed.
const FORGET_AT: usize = 1_024;

/// Cache of [`CronExpr::shared`]. An entry is unused if no schedule holds its expression.
#[derive(Default)]
struct CronCache {
    exprs: HashMap<String, Weak<CronExpr>>,
    /// Size of the cache at which unused expressions are removed next.
    forget_at: usize,
}

impl CronExpr {
    /// Parses `text`, and shares the result with all equal texts: a host with a hundred thousand
    /// schedules has few different texts, and a parsed expression is larger than its schedule.
    ///
    /// # Errors
    /// See [`CronExpr::from_str`].
    pub(super) fn shared(text: &str) -> Result<Arc<Self>, InvalidCron> {
        static KNOWN: LazyLock<Mutex<CronCache>> = LazyLock::new(Mutex::default);
        if let Some(known) =
            KNOWN.lock().unwrap_or_else(PoisonError::into_inner).exprs.get(text).and_then(Weak::upgrade)
        {
            return Ok(known);
        }
        let expr: Arc<Self> = Arc::new(text.parse()?);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.exprs.insert(text.to_owned(), Arc::downgrade(&expr));
        if known.exprs.len() > known.forget_at.max(FORGET_AT) {
            known.exprs.retain(|_, expr| expr.strong_count() > 0);
            known.forget_at = known.exprs.len() * 2;
        }
        Ok(expr)
    }

    /// The expression as it was given, without surrounding space.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it fires once a day, at one hour, minute and second. Such a time follows the wall
    /// clock through a daylight saving change; other times follow real time.
    #[must_use]
    pub const fn is_once_a_day(&self) -> bool {
        self.once_a_day
    }

    /// Whether crontab interprets the two day fields differently: it joins them with *and* if one
    /// of them begins with `*`, as `*/2` does. Here a field is given unless it is `*` or `?`, and
    /// two given fields are joined with *or*.
    #[must_use]
    pub fn differs_from_crontab(&self) -> bool {
        let Ok(fields) = split(&self.text) else { return false };
        let [month, week] = [DAY_OF_MONTH, DAY_OF_WEEK].map(|index| fields.get(index).copied().unwrap_or("*"));
        let given = |field: &str| !matches!(field, "*" | "?");
        given(month) && given(week) && (month.starts_with('*') || week.starts_with('*'))
    }

    /// The first matching second of the wall clock strictly after `after`; `None` after the year
    /// 2100.
    #[must_use]
    pub fn next_wall(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        // West of Greenwich, the epoch is in 1969.
        if !(1969..=LAST_YEAR).contains(&after.year()) {
            return None;
        }
        self.parts.iter().filter_map(|part| part.next(after)).min()
    }
}

impl CronField {
    fn next(&self, mut after: NaiveDateTime) -> Option<NaiveDateTime> {
        // Each iteration except the last ends in a later month, or on a day that a rule picks.
        for _ in 0..=(LAST_YEAR - 1970 + 1) * 24 {
            let found = self.times.after(&after.and_utc()).next()?.naive_utc();
            if self.rules.is_empty() || self.rules.iter().any(|rule| rule.picks(found.date())) {
                return Some(found);
            }
            let day = next_picked_or_month(&self.rules, found.date())?;
            after = day.checked_sub_days(Days::new(1))?.and_time(NaiveTime::MIN) + TimeDelta::seconds(86_399);
        }
        None
    }
}

/// Splits an expression into seven fields in the order of the `cron` crate.
fn split(text: &str) -> Result<Vec<&str>, InvalidCron> {
    if let Some(name) = text.strip_prefix('@') {
        return Ok(match name.to_ascii_lowercase().as_str() {
            "yearly" | "annually" => vec!["0", "0", "0", "1", "1", "*", "*"],
            "monthly" => vec!["0", "0", "0", "1", "*", "*", "*"],
            "weekly" => vec!["0", "0", "0", "*", "*", "0", "*"],
            "daily" | "midnight" => vec!["0", "0", "0", "*", "*", "*", "*"],
            "hourly" => vec!["0", "0", "*", "*", "*", "*", "*"],
            _ => return Err(InvalidCron::Macro(text.to_owned())),
        });
    }
    let mut fields: Vec<&str> = text.split_whitespace().collect();
    match fields.len() {
        5 => {
            fields.insert(0, "0");
            fields.push("*");
        }
        6 => fields.push("*"),
        7 => {}
        n => return Err(InvalidCron::Fields(n)),
    }
    Ok(fields)
}

fn bad(index: usize, text: &str) -> InvalidCron {
    let (field, allowed) = FIELDS.get(index).copied().unwrap_or(("field", ""));
    InvalidCron::Field { field, text: text.to_owned(), allowed }
}

fn parts(fields: &[&str]) -> Result<Vec<CronField>, InvalidCron> {
    let field = |index: usize| fields.get(index).copied().unwrap_or("*");
    let (month_days, week_days) = (field(DAY_OF_MONTH), field(DAY_OF_WEEK));
    let (plain_month, month_rules) = days_of_month(month_days)?;
    let (plain_week, week_rules) = days_of_week(week_days)?;
    let mut rules = Vec::new();
    for rule in month_rules.into_iter().chain(week_rules) {
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }

    // Parse each field separately, so that the message can name the invalid one.
    for (index, text) in fields.iter().enumerate() {
        let text = match index {
            DAY_OF_MONTH => plain_month.as_deref().unwrap_or("*"),
            DAY_OF_WEEK => continue,
            _ => text,
        };
        let mut alone = ["*"; 7];
        if let Some(place) = alone.get_mut(index) {
            *place = text;
        }
        if cron::Schedule::from_str(&alone.join(" ")).is_err() {
            return Err(bad(index, field(index)));
        }
    }

    let times = |month_days: &str, week_days: &str| {
        let mut all = fields.to_vec();
        for (index, text) in [(DAY_OF_MONTH, month_days), (DAY_OF_WEEK, week_days)] {
            if let Some(place) = all.get_mut(index) {
                *place = text;
            }
        }
        cron::Schedule::from_str(&all.join(" ")).map_err(|_| bad(0, &all.join(" ")))
    };
    let any = |text: &str| matches!(text, "*" | "?");
    let mut parts = Vec::new();
    if any(month_days) && any(week_days) {
        parts.push(CronField { times: times("*", "*")?, rules: Vec::new() });
    }
    if let Some(plain) = plain_month.filter(|_| !any(month_days)) {
        parts.push(CronField { times: times(&plain, "*")?, rules: Vec::new() });
    }
    if let Some(plain) = plain_week.filter(|_| !any(week_days)) {
        parts.push(CronField { times: times("*", &plain)?, rules: Vec::new() });
    }
    if !rules.is_empty() {
        parts.push(CronField { times: times("*", "*")?, rules });
    }
    Ok(parts)
}

/// The part of the field that the `cron` crate accepts, and the rules that it does not.
fn days_of_month(field: &str) -> Result<(Option<String>, Vec<DayRule>), InvalidCron> {
    let wrong = || bad(DAY_OF_MONTH, field);
    let (mut plain, mut rules) = (Vec::new(), Vec::new());
    for item in field.split(',') {
        let upper = item.to_ascii_uppercase();
        if item == "?" {
            plain.push("*");
        } else if upper == "L" {
            rules.push(DayRule::BeforeLast(0));
        } else if upper == "LW" {
            rules.push(DayRule::LastWorkday);
        } else if let Some(back) = upper.strip_prefix("L-") {
            rules.push(DayRule::BeforeLast(number(back).filter(|n| *n <= 30).ok_or_else(wrong)?));
        } else if let Some(day) = upper.strip_suffix('W') {
            rules.push(DayRule::NearestWorkday(number(day).filter(|n| (1..=31).contains(n)).ok_or_else(wrong)?));
        } else {
            plain.push(item);
        }
    }
    Ok(((!plain.is_empty()).then(|| plain.join(",")), rules))
}

/// The days of the week in the numbering of the `cron` crate (Sunday is 1), and the rules that it
/// does not accept.
fn days_of_week(field: &str) -> Result<(Option<String>, Vec<DayRule>), InvalidCron> {
    let wrong = || bad(DAY_OF_WEEK, field);
    let (mut days, mut rules) = ([false; 7], Vec::new());
    for item in field.split(',') {
        if let Some((day, n)) = item.split_once('#') {
            let n = number(n).filter(|n| (1..=5).contains(n)).ok_or_else(wrong)?;
            rules.push(DayRule::Nth(weekday(day).ok_or_else(wrong)?, n));
            continue;
        }
        if let Some(day) = item.strip_suffix(['l', 'L']).and_then(weekday) {
            rules.push(DayRule::Last(day));
            continue;
        }
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|n| (1..=7).contains(n)).ok_or_else(wrong)?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once('-') {
            Some((begin, end)) => {
                let first = weekday(begin).ok_or_else(wrong)?.num_days_from_sunday();
                let last = match weekday(end).ok_or_else(wrong)?.num_days_from_sunday() {
                    // `FRI-SUN` ends with the week, `0-7` is the whole week, `0-0` and `7-7` are
                    // one day.
                    0 if first > 0 || (end == "7" && begin != "7") => 7,
                    last => last,
                };
                (first, last)
            }
            None if matches!(range, "*" | "?") => (0, 6),
            None => {
                let day = weekday(range).ok_or_else(wrong)?.num_days_from_sunday();
                (day, if step.is_some() { 6 } else { day })
            }
        };
        if first > last {
            return Err(wrong());
        }
        for day in (first..=last).step_by(step.unwrap_or(1) as usize) {
            if let Some(place) = days.get_mut(day as usize % 7) {
                *place = true;
            }
        }
    }
    let plain: Vec<String> =
        (1..).zip(days).filter(|(_, chosen)| *chosen).map(|(ordinal, _): (u32, _)| ordinal.to_string()).collect();
    Ok(((!plain.is_empty()).then(|| plain.join(",")), rules))
}

/// Parses a number of one or two digits.
fn number(text: &str) -> Option<u32> {
    (matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn weekday(text: &str) -> Option<Weekday> {
    match text.to_ascii_uppercase().as_str() {
        "0" | "7" | "SUN" | "SUNDAY" => Some(Weekday::Sun),
        "1" | "MON" | "MONDAY" => Some(Weekday::Mon),
        "2" | "TUE" | "TUESDAY" => Some(Weekday::Tue),
        "3" | "WED" | "WEDNESDAY" => Some(Weekday::Wed),
        "4" | "THU" | "THURSDAY" => Some(Weekday::Thu),
        "5" | "FRI" | "FRIDAY" => Some(Weekday::Fri),
        "6" | "SAT" | "SATURDAY" => Some(Weekday::Sat),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str, from: &str, n: usize) -> Vec<String> {
        let expr: CronExpr = text.parse().unwrap();
        let mut at = from.parse::<NaiveDateTime>().unwrap();
        (0..n)
            .map(|_| {
                at = expr.next_wall(at).unwrap();
                at.format("%a %Y-%m-%d %H:%M:%S").to_string()
            })
            .collect()
    }

    #[test]
    fn five_six_and_seven_fields_have_the_meaning_of_crontab() {
        assert_eq!(
            times("*/20 * * * *", "2026-01-01T00:00:00", 2),
            ["Thu 2026-01-01 00:20:00", "Thu 2026-01-01 00:40:00"]
        );
        assert_eq!(times("*/30 * * * * *", "2026-01-01T00:00:00", 1), ["Thu 2026-01-01 00:00:30"]);
        assert_eq!(times("0 0 12 1 1 * 2030", "2026-01-01T00:00:00", 1), ["Tue 2030-01-01 12:00:00"]);
    }

    #[test]
    fn a_step_of_all_days_with_another_day_field_differs_from_crontab() {
        let differs = |text: &str| text.parse::<CronExpr>().unwrap().differs_from_crontab();
        for text in ["0 0 */2 * MON", "0 0 13 * */2", "0 0 0 */2 * 1 2030", "0 0 */2 * */3"] {
            assert!(differs(text), "{text}");
        }
        for text in
            ["0 0 */2 * *", "0 0 * * */2", "0 0 13 * FRI", "0 0 1-31/2 * MON", "0 0 ? * MON", "@daily", "0 0 L * *"]
        {
            assert!(!differs(text), "{text}");
        }
        assert_eq!(
            times("0 0 */2 * MON", "2026-01-03T00:00:00", 2),
            ["Mon 2026-01-05 00:00:00", "Wed 2026-01-07 00:00:00"]
        );
    }

    #[test]
    fn equal_texts_are_cached_once_and_only_while_they_are_used() {
        let [one, other] = ["7 7 7 7 *", "7 7 7 7 *"].map(|text| CronExpr::shared(text).unwrap());
        assert!(Arc::ptr_eq(&one, &other));
        let weak = Arc::downgrade(&one);
        drop((one, other));
        assert!(weak.upgrade().is_none() && CronExpr::shared("7 7 7 7 *").is_ok());
        assert!(CronExpr::shared("61 * * * *").is_err());
    }

    #[test]
    fn sunday_is_0_and_7() {
        let sunday = ["Sun 2026-01-04 00:00:00", "Sun 2026-01-11 00:00:00"];
        for text in ["0 0 * * 0", "0 0 * * 7", "0 0 * * SUN", "0 0 * * sunday", "0 0 * * 7-7", "@weekly"] {
            assert_eq!(times(text, "2026-01-01T00:00:00", 2), sunday, "{text}");
        }
        for text in ["0 0 * * 5-7", "0 0 * * FRI-SUN", "0 0 * * 0,5,6"] {
            let got = times(text, "2026-01-01T00:00:00", 4);
            assert_eq!(got.iter().map(|t| &t[..3]).collect::<Vec<_>>(), ["Fri", "Sat", "Sun", "Fri"], "{text}");
        }
    }

    #[test]
    fn two_day_fields_match_if_either_matches() {
        let got = times("0 0 13 * FRI", "2026-03-01T00:00:00", 4);
        assert_eq!(
            got,
            [
                "Fri 2026-03-06 00:00:00",
                "Fri 2026-03-13 00:00:00",
                "Fri 2026-03-20 00:00:00",
                "Fri 2026-03-27 00:00:00"
            ]
        );
        assert_eq!(
            times("0 0 15 * MON#1", "2026-03-03T00:00:00", 2),
            ["Sun 2026-03-15 00:00:00", "Mon 2026-04-06 00:00:00"]
        );
    }

    #[test]
    fn last_nearest_and_nth() {
        assert_eq!(
            times("0 0 L * *", "2026-02-01T00:00:00", 2),
            ["Sat 2026-02-28 00:00:00", "Tue 2026-03-31 00:00:00"]
        );
        assert_eq!(times("0 0 L-2 2 *", "2026-02-01T00:00:00", 1), ["Thu 2026-02-26 00:00:00"]);
        assert_eq!(times("0 0 LW * *", "2026-02-01T00:00:00", 1), ["Fri 2026-02-27 00:00:00"]);
        assert_eq!(times("0 0 15W * *", "2026-02-01T00:00:00", 1), ["Mon 2026-02-16 00:00:00"]);
        assert_eq!(times("0 0 * * FRI#5", "2026-02-01T00:00:00", 1), ["Fri 2026-05-29 00:00:00"]);
        assert_eq!(times("0 0 * * 5L", "2026-02-01T00:00:00", 1), ["Fri 2026-02-27 00:00:00"]);
        assert_eq!(
            times("*/30 10 L 2 *", "2026-02-28T10:10:00", 2),
            ["Sat 2026-02-28 10:30:00", "Sun 2027-02-28 10:00:00"]
        );
    }

    #[test]
    fn errors_name_the_invalid_field() {
        let error = |text: &str| text.parse::<CronExpr>().unwrap_err().to_string();
        assert!(error("61 * * * *").starts_with("`61` is not a valid minute: 0 to 59"), "{}", error("61 * * * *"));
        assert!(error("* 24 * * *").starts_with("`24` is not a valid hour"));
        assert!(error("* * 32 * *").starts_with("`32` is not a valid day of month"));
        assert!(error("* * 0 * *").starts_with("`0` is not a valid day of month"));
        assert!(error("* * * 13 *").starts_with("`13` is not a valid month"));
        assert!(error("* * * * 8").starts_with("`8` is not a valid day of week"));
        assert!(error("* * * * SAT-MON").starts_with("`SAT-MON` is not a valid day of week"));
        assert!(error("* * * * L").starts_with("`L` is not a valid day of week"));
        assert!(error("* * * * * * 1969").starts_with("`1969` is not a valid year"));
        assert!(error("* * * *").starts_with("4 fields"));
        assert!(error("@reboot").starts_with("`@reboot` is not one of"));
        assert_eq!(error("0 0 30 2 *"), InvalidCron::Never.to_string());
        assert_eq!(error("0 0 31W 2,4 *"), InvalidCron::Never.to_string());
        assert_eq!(error(&" ".repeat(257)), InvalidCron::TooLong.to_string());
    }
}
