//! The laws of schedules, over seventeen zones and the years 1990 to 2040:
//!
//! 1. A schedule fires at the times of the model and at no others: around every change of every
//!    zone, and anywhere.
//! 2. A union fires when one of its parts does, once per instant, within start and end and outside
//!    its exclusions.
//! 3. By default, each day of an expression has exactly one firing of a once-a-day time.
//! 4. A policy only adds firings: those of `skip` are a subset of those of `next`, those of
//!    `first` of those of `both`.
//! 5. The policies affect only once-a-day times.
//! 6. The start of a search does not change its results; time only increases.
//! 7. Jitter changes when a firing is carried out, within its bound and always by the same amount;
//!    never which firings exist.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tidemill_core::Timestamp;
use tidemill_core::schedule::{GapPolicy, JITTER_MAX_MILLIS, RepeatPolicy, Schedule, ScheduleSpec};

use crate::expressions::{Expression, daily, expression, minutes};
use crate::model::{self, POLICIES, Plan, millis, said, schedule};
use crate::zones::{FIRST, LAST, ZONES, Zone, zone};

const DAY: i64 = 86_400;
/// Approximate maximum number of firings that the model lists in one case.
const LISTED: i64 = 300;

fn in_millis(seconds: BTreeSet<i64>) -> Vec<u64> {
    seconds.into_iter().map(millis).collect()
}

/// Checks law 1 for one expression under these policies in one window.
fn check(zone: &Zone, expression: &Expression, policies: (GapPolicy, RepeatPolicy), from: i64, to: i64) {
    let expected = in_millis(model::firings(zone, expression, policies, from, to));
    let found = said(&schedule(zone, expression, policies), from, to);
    assert_eq!(found, expected, "{} in {}, {policies:?}, {from} to {to}", expression.text, zone.tz.name());
}

/// A wall clock time as a daily expression.
fn at_wall(wall: i64) -> Expression {
    let time = u32::try_from(wall.rem_euclid(DAY)).unwrap();
    daily(time / 3_600, time / 60 % 60, time % 60)
}

#[test]
fn a_daily_time_fires_at_the_times_of_the_model_around_every_change() {
    for zone in ZONES.map(zone) {
        for change in zone.changes() {
            let (before, after) = (zone.wall(change - 1) + 1, zone.wall(change));
            let (low, high) = (before.min(after), before.max(after));
            // Both edges of what is skipped or repeated, one second on each side of them, and the
            // middle.
            let walls = BTreeSet::from([low - 1, low, (low + high) / 2, high - 1, high]);
            for wall in walls {
                for policies in POLICIES {
                    check(&zone, &at_wall(wall), policies, change - 2 * DAY, change + 2 * DAY);
                }
            }
        }
    }
}

#[test]
fn a_time_more_than_daily_fires_at_the_times_of_the_model_around_every_change() {
    let often = [
        minutes("*/20 * * * *", [0, 20, 40], 0..24),
        minutes("30 0-3,23 * * *", [30], [0, 1, 2, 3, 23]),
        minutes("15,45 2 * * *", [15, 45], [2]),
    ];
    for zone in ZONES.map(zone) {
        for change in zone.changes() {
            let hours = if zone.tz.name() == "Pacific/Apia" { 30 } else { 4 };
            for expression in &often {
                check(&zone, expression, POLICIES[0], change - hours * 3_600, change + hours * 3_600);
            }
        }
    }
}

#[test]
fn a_daily_time_fires_exactly_once_on_each_day_of_fifty_years_by_default() {
    for (zone, expression) in ZONES.map(zone).iter().zip([daily(2, 30, 0), daily(0, 15, 0)].iter().cycle()) {
        let times = expression.times().next().unwrap();
        let found = said(&schedule(zone, expression, POLICIES[0]), FIRST, LAST);
        let first_day = (zone.wall(FIRST) - times + DAY - 1).div_euclid(DAY);
        let days = (zone.wall(LAST) - times + DAY - 1).div_euclid(DAY) - first_day;
        assert_eq!(i64::try_from(found.len()).unwrap(), days, "{} in {}", expression.text, zone.tz.name());
        for (day, at) in (first_day..).zip(found) {
            let late = zone.wall((at / 1_000).cast_signed()) - (day * DAY + times);
            let gap = if zone.tz.name() == "Pacific/Apia" { DAY } else { 2 * 3_600 };
            assert!((0..=gap).contains(&late), "{} is {late} s late in {}", model::date(day), zone.tz.name());
        }
    }
}

#[test]
fn a_day_that_the_zone_skipped_can_be_excluded_without_effect() {
    let apia = zone("Pacific/Apia");
    let lost = "2011-12-30".parse().unwrap();
    let plan = Plan { days: vec![lost], ..plain(vec![daily(12, 0, 0)]) };
    let around = (1_325_000_000, 1_325_500_000);
    let found = said(&plan.schedule(&apia), around.0, around.1);
    assert_eq!(found, plan.firings(&apia, around.0, around.1).into_iter().collect::<Vec<_>>());
    assert_eq!(found, said(&plain(vec![daily(12, 0, 0)]).schedule(&apia), around.0, around.1));
}

fn plain(expressions: Vec<Expression>) -> Plan {
    Plan {
        expressions,
        policies: POLICIES[0],
        every: None,
        at: Vec::new(),
        start: None,
        end: None,
        days: Vec::new(),
        spans: Vec::new(),
    }
}

/// A zone and an instant, half of them within two days of a change.
fn place() -> impl Strategy<Value = (&'static str, i64)> {
    let near = (prop::sample::select(ZONES.to_vec()), any::<prop::sample::Index>(), -2 * DAY..2 * DAY);
    let near = near.prop_map(|(name, index, by)| {
        let changes = zone(name).changes();
        (name, if changes.is_empty() { 2 * FIRST } else { changes[index.index(changes.len())] } + by)
    });
    prop_oneof![near, (prop::sample::select(ZONES.to_vec()), FIRST..LAST)]
}

/// A window in which an expression with `a_day` times per day has at most about [`LISTED`]
/// firings.
fn window(at: i64, a_day: usize) -> (i64, i64) {
    let half = (LISTED * DAY / i64::try_from(a_day).unwrap()).clamp(100, 40 * DAY) / 2;
    (at - half, at + half)
}

fn plan(at: i64) -> impl Strategy<Value = Plan> {
    let near = move || (-3 * DAY..3 * DAY, 0u64..1_000).prop_map(move |(by, more)| millis(at + by) + more);
    let sparse = expression().prop_filter("few a day", |expression| expression.a_day() <= 50);
    let day = (-3i64..4).prop_map(move |by| model::date(at.div_euclid(DAY) + by));
    let span = (near(), 1u64..200_000_000).prop_map(|(from, long)| (from, from + long));
    let every = (60_000u64..90_000_000, 0u64..60_000);
    (
        prop::collection::vec(sparse, 0..3),
        prop::sample::select(POLICIES.to_vec()),
        prop::option::of(every),
        prop::collection::vec(near(), 1..4),
        prop::option::of(near()),
        prop::option::of((near(), 1u64..400_000_000)),
        prop::collection::vec(day, 0..3),
        prop::collection::vec(span, 0..3),
    )
        .prop_map(|(expressions, policies, every, at, start, end, days, spans)| Plan {
            expressions,
            policies,
            every,
            at,
            // The end is after the start.
            end: end.map(|(end, long)| end.max(start.unwrap_or(0)) + long),
            start,
            days,
            spans,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_expression_fires_at_the_times_of_the_model(
        expression in expression(),
        (name, at) in place(),
        policies in prop::sample::select(POLICIES.to_vec()),
    ) {
        let zone = zone(name);
        let (from, to) = window(at, expression.a_day());
        let expected = in_millis(model::firings(&zone, &expression, policies, from, to));
        prop_assert_eq!(said(&schedule(&zone, &expression, policies), from, to), expected);
    }

    #[test]
    fn a_policy_only_adds_firings_of_once_a_day_times(expression in expression(), (name, at) in place()) {
        let zone = zone(name);
        let (from, to) = window(at, expression.a_day());
        let fires = |gap, repeated| -> BTreeSet<u64> {
            said(&schedule(&zone, &expression, (gap, repeated)), from, to).into_iter().collect()
        };
        let least = fires(GapPolicy::Skip, RepeatPolicy::First);
        let most = fires(GapPolicy::Next, RepeatPolicy::Both);
        for other in [fires(GapPolicy::Next, RepeatPolicy::First), fires(GapPolicy::Skip, RepeatPolicy::Both)] {
            prop_assert!(least.is_subset(&other) && other.is_subset(&most));
        }
        prop_assert!(expression.is_once_a_day() || least == most);
    }

    #[test]
    fn the_start_of_a_search_changes_nothing(expression in expression(), (name, at) in place(), by in 0u64..100_000_000) {
        let schedule = schedule(&zone(name), &expression, POLICIES[1]);
        let from = Timestamp::from_millis(millis(at));
        let next = schedule.next_after(from);
        prop_assert!(next.is_none_or(|next| next > from));
        let later = from.plus_millis(by);
        if next.is_some_and(|next| later < next) {
            prop_assert_eq!(schedule.next_after(later), next);
        } else {
            prop_assert!(schedule.next_after(later) >= next);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_union_fires_when_its_parts_do_inside_its_bounds_and_outside_its_exclusions(
        ((name, at), plan) in place().prop_flat_map(|(name, at)| (Just((name, at)), plan(at))),
    ) {
        let zone = zone(name);
        let (from, to) = (at - 5 * DAY, at + 5 * DAY);
        let expected: Vec<u64> = plan.firings(&zone, from, to).into_iter().collect();
        prop_assert_eq!(said(&plan.schedule(&zone), from, to), expected);
    }

    #[test]
    fn jitter_moves_no_nominal_time_and_each_firing_by_its_own_amount(
        expression in expression(),
        (name, at) in place(),
        jitter in 1..=JITTER_MAX_MILLIS,
    ) {
        let plain = schedule(&zone(name), &expression, POLICIES[0]);
        let moved = Schedule::new(ScheduleSpec { jitter_millis: jitter, ..plain.spec().clone() }).unwrap();
        let from = Timestamp::from_millis(millis(at));
        prop_assert_eq!(plain.preview(from, 20), moved.preview(from, 20));
        let (one, other) = ("one".parse().unwrap(), "other".parse().unwrap());
        for nominal in plain.preview(from, 20) {
            prop_assert_eq!(plain.due_at(&one, nominal), nominal);
            let due = moved.due_at(&one, nominal);
            prop_assert!(due >= nominal && due.millis_since(nominal) <= jitter);
            prop_assert_eq!(moved.due_at(&one, nominal), due);
            // The jitter of another deployment usually differs; it may also be equal.
            prop_assert!(moved.due_at(&other, nominal).millis_since(nominal) <= jitter);
        }
    }
}

#[test]
fn jitter_is_spread_evenly_over_deployments() {
    let spec = ScheduleSpec {
        cron: vec!["@daily".to_owned()],
        jitter_millis: 1_000,
        ..ScheduleSpec::new("s".parse().unwrap())
    };
    let schedule = Schedule::new(spec).unwrap();
    let mut tenths = [0u32; 10];
    for number in 0..10_000 {
        let due = schedule.due_at(&format!("d{number}").parse().unwrap(), Timestamp::default()).as_millis();
        tenths[usize::try_from(due.min(999) / 100).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|tenth| (850..1_150).contains(tenth)), "{tenths:?}");
}
