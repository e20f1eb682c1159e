//! Generates cron expressions together with their meaning: each field as text and as the set of
//! its values, and days by the calendar. Nothing here parses an expression.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate, Weekday};
use proptest::prelude::*;

/// One field: its text and its values.
#[derive(Debug, Clone)]
pub struct Field {
    pub text: String,
    pub values: BTreeSet<u32>,
}

/// A day, as one item of a day field names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// This day of the month.
    Day(u32),
    /// The number of days before the last day of the month.
    BeforeLast(u32),
    /// The last working day of the month.
    LastWorkday,
    /// The working day of the month that is nearest to this day.
    Nearest(u32),
    /// This day of the week.
    Weekday(Weekday),
    /// The n-th occurrence of this day of the week in the month.
    Nth(Weekday, usize),
    /// The last occurrence of this day of the week in the month.
    Last(Weekday),
}

/// An expression and its meaning.
#[derive(Debug, Clone)]
pub struct Expression {
    pub text: String,
    pub seconds: BTreeSet<u32>,
    pub minutes: BTreeSet<u32>,
    pub hours: BTreeSet<u32>,
    pub months: BTreeSet<u32>,
    /// Days that match; every day if it is empty.
    pub days: Vec<Pick>,
}

impl Expression {
    /// Whether the expression fires on a date.
    pub fn has_day(&self, date: NaiveDate) -> bool {
        let day = self.days.is_empty() || self.days.iter().any(|pick| pick.is(date));
        self.months.contains(&date.month()) && day
    }

    /// Whether it names one hour, minute and second.
    pub fn is_once_a_day(&self) -> bool {
        self.a_day() == 1
    }

    /// Number of times on each of its days.
    pub fn a_day(&self) -> usize {
        self.seconds.len() * self.minutes.len() * self.hours.len()
    }

    /// Its times of a day, in seconds.
    pub fn times(&self) -> impl Iterator<Item = i64> + '_ {
        let minutes = move |hour: &u32| self.minutes.iter().map(move |minute| 60 * hour + minute).collect::<Vec<_>>();
        let minutes = self.hours.iter().flat_map(minutes);
        minutes.flat_map(|minute| self.seconds.iter().map(move |second| i64::from(minute * 60 + second)))
    }
}

impl Pick {
    /// Lists the month and chooses from the list.
    fn is(self, date: NaiveDate) -> bool {
        let first = date.with_day(1).unwrap();
        let month: Vec<NaiveDate> = first.iter_days().take_while(|day| day.month() == date.month()).collect();
        let works = |day: &&NaiveDate| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        let on = |weekday: Weekday| month.iter().filter(move |day| day.weekday() == weekday);
        let picked = match self {
            Self::Day(n) => month.get(n as usize - 1),
            Self::BeforeLast(n) => month.iter().rev().nth(n as usize),
            Self::LastWorkday => month.iter().rev().find(works),
            Self::Nearest(n) => month
                .get(n as usize - 1)
                .and_then(|wanted| month.iter().filter(works).min_by_key(|day| (**day - *wanted).num_days().abs())),
            Self::Weekday(weekday) => return date.weekday() == weekday,
            Self::Nth(weekday, n) => on(weekday).nth(n - 1),
            Self::Last(weekday) => on(weekday).next_back(),
        };
        picked == Some(&date)
    }
}

/// An expression with this time on every day.
pub fn daily(hour: u32, minute: u32, second: u32) -> Expression {
    let one = |n: u32| BTreeSet::from([n]);
    Expression {
        text: format!("{second} {minute} {hour} * * *"),
        seconds: one(second),
        minutes: one(minute),
        hours: one(hour),
        months: (1..=12).collect(),
        days: Vec::new(),
    }
}

/// An expression with these minutes in these hours on every day.
pub fn minutes(text: &str, minutes: impl IntoIterator<Item = u32>, hours: impl IntoIterator<Item = u32>) -> Expression {
    Expression {
        text: text.to_owned(),
        minutes: minutes.into_iter().collect(),
        hours: hours.into_iter().collect(),
        ..daily(0, 0, 0)
    }
}

fn number(least: u32, most: u32) -> BoxedStrategy<Field> {
    let all = move || least..=most;
    let one = move || all();
    prop_oneof![
        5 => one().prop_map(|n| Field { text: n.to_string(), values: BTreeSet::from([n]) }),
        2 => Just(Field { text: "*".to_owned(), values: all().collect() }),
        2 => (2u32..12).prop_map(move |n| Field {
            text: format!("*/{n}"),
            values: all().filter(|value| (value - least).is_multiple_of(n)).collect(),
        }),
        1 => prop::collection::vec(one(), 2..4).prop_map(|values| Field {
            text: values.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
            values: values.into_iter().collect(),
        }),
        1 => (one(), one()).prop_map(|(a, b)| Field {
            text: format!("{}-{}", a.min(b), a.max(b)),
            values: (a.min(b)..=a.max(b)).collect(),
        }),
        1 => (one(), one(), 1u32..9).prop_map(|(a, b, n)| Field {
            text: format!("{}-{}/{n}", a.min(b), a.max(b)),
            values: (a.min(b)..=a.max(b)).step_by(n as usize).collect(),
        }),
    ]
    .boxed()
}

const WEEK: [Weekday; 7] =
    [Weekday::Sun, Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri, Weekday::Sat];

/// 0 and 7 are Sunday; names are in any case.
fn weekday() -> impl Strategy<Value = (String, Weekday)> {
    (0usize..8, 0u8..3).prop_map(|(n, how)| {
        let day = WEEK[n % 7];
        let name = match how {
            0 => n.to_string(),
            1 => day.to_string().to_uppercase(),
            _ => day.to_string().to_lowercase(),
        };
        (name, day)
    })
}

fn month_days() -> impl Strategy<Value = (String, Vec<Pick>)> {
    let one = |text: String, pick| (text, vec![pick]);
    prop_oneof![
        4 => number(1, 31).prop_map(|field| {
            let every = field.text == "*";
            let days = if every { Vec::new() } else { field.values.into_iter().map(Pick::Day).collect() };
            (field.text, days)
        }),
        1 => Just(one("L".to_owned(), Pick::BeforeLast(0))),
        1 => (0u32..28).prop_map(move |n| one(format!("L-{n}"), Pick::BeforeLast(n))),
        1 => Just(one("LW".to_owned(), Pick::LastWorkday)),
        1 => (1u32..29).prop_map(move |n| one(format!("{n}W"), Pick::Nearest(n))),
        1 => (1u32..29, 1u32..29).prop_map(|(a, b)| (format!("{a},{b}W,L"), vec![Pick::Day(a), Pick::Nearest(b), Pick::BeforeLast(0)])),
    ]
}

fn week_days() -> impl Strategy<Value = (String, Vec<Pick>)> {
    prop_oneof![
        2 => weekday().prop_map(|(text, day)| (text, vec![Pick::Weekday(day)])),
        1 => (weekday(), weekday()).prop_map(|((a, one), (b, other))| (format!("{a},{b}"), vec![Pick::Weekday(one), Pick::Weekday(other)])),
        // Start with Monday, so that a range that ends with Sunday ends the week.
        1 => (1usize..8, 1usize..8).prop_map(|(a, b)| {
            let (a, b) = (a.min(b), a.max(b));
            (format!("{a}-{b}"), (a..=b).map(|n| Pick::Weekday(WEEK[n % 7])).collect())
        }),
        1 => (weekday(), 1usize..5).prop_map(|((text, day), n)| (format!("{text}#{n}"), vec![Pick::Nth(day, n)])),
        1 => weekday().prop_map(|(text, day)| (format!("{text}L"), vec![Pick::Last(day)])),
    ]
}

/// Both day fields; either matches if both are given.
fn days() -> impl Strategy<Value = (String, String, Vec<Pick>)> {
    let any = || prop_oneof![Just("*".to_owned()), Just("?".to_owned())];
    prop_oneof![
        4 => (any(), any()).prop_map(|(month, week)| (month, week, Vec::new())),
        2 => (month_days(), any()).prop_map(|((month, days), week)| (month, week, days)),
        2 => (any(), week_days()).prop_map(|(month, (week, days))| (month, week, days)),
        1 => (month_days(), week_days()).prop_filter_map("either is given", |((month, mut days), (week, more))| {
            if days.is_empty() {
                return None;
            }
            days.extend(more);
            Some((month, week, days))
        }),
    ]
}

/// Any expression that has a time.
pub fn expression() -> impl Strategy<Value = Expression> {
    let seconds = prop_oneof![3 => Just(None), 1 => number(0, 59).prop_map(Some)];
    let months = prop_oneof![3 => Just(None), 1 => number(1, 12).prop_map(Some)];
    (seconds, number(0, 59), number(0, 23), days(), months).prop_filter_map(
        "some month has such a day",
        |(seconds, minutes, hours, (month_days, week_days, days), months)| {
            let zero = Field { text: "0".to_owned(), values: BTreeSet::from([0]) };
            let all = Field { text: "*".to_owned(), values: (1..=12).collect() };
            let (with_seconds, seconds) = (seconds.is_some(), seconds.unwrap_or(zero));
            let months = months.unwrap_or(all);
            let rest = format!("{} {} {month_days} {} {week_days}", minutes.text, hours.text, months.text);
            let expression = Expression {
                text: if with_seconds { format!("{} {rest}", seconds.text) } else { rest },
                seconds: seconds.values,
                minutes: minutes.values,
                hours: hours.values,
                months: months.values,
                days,
            };
            let first = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap();
            (0..4 * 366).any(|n| expression.has_day(first + Days::new(n))).then_some(expression)
        },
    )
}
