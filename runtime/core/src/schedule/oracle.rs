//! Compares cron expressions with the `croner` crate, an independent implementation, around
//! daylight saving changes and elsewhere. Gaps over two hours are excluded, because `croner` does
//! not search through them.

use chrono::DateTime;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::{Schedule, ScheduleSpec};
use crate::ids::Timestamp;

/// Zones with changes of an hour, of half an hour, at midnight, on odd offsets, and without
/// changes.
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Chatham",
    "Asia/Tehran",
    "Africa/Casablanca",
    "Asia/Kolkata",
];

/// Instants in seconds near which one of the zones changes.
const CHANGES: [i64; 10] = [
    1_774_746_000, // Berlin on, 2026-03-29
    1_792_890_000, // Berlin back, 2026-10-25
    1_772_953_200, // New York on, 2026-03-08
    1_793_512_800, // New York back, 2026-11-01
    1_775_314_800, // Lord Howe back, 2026-04-05
    1_791_041_400, // Lord Howe on, 2026-10-04
    1_541_300_400, // Sao Paulo on at midnight, 2018-11-04
    1_550_368_800, // Sao Paulo back at midnight, 2019-02-17
    1_775_311_200, // Chatham back, 2026-04-05
    1_790_431_200, // Chatham on, 2026-09-26
];

fn number_field(max: u32, from: u32) -> BoxedStrategy<String> {
    let one = from..=max;
    prop_oneof![
        4 => one.clone().prop_map(|n| n.to_string()),
        3 => Just("*".to_owned()),
        2 => (2u32..12).prop_map(|n| format!("*/{n}")),
        1 => (one.clone(), one.clone()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (one.clone(), one).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (from..=max / 2, 1u32..5).prop_map(move |(a, n)| format!("{a}-{}/{n}", (a + 2 * n).min(max))),
    ]
    .boxed()
}

fn month_days() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => Just("*".to_owned()),
        1 => Just("?".to_owned()),
        3 => number_field(31, 1),
        1 => Just("L".to_owned()),
        1 => Just("LW".to_owned()),
        1 => (1u32..32).prop_map(|n| format!("{n}W")),
        1 => (1u32..32, 1u32..32).prop_map(|(a, b)| format!("{a},{b}W")),
    ]
}

fn week_days() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["SUN", "MON", "tue", "WED", "THU", "FRI", "SAT"]);
    prop_oneof![
        6 => Just("*".to_owned()),
        2 => (0u32..8).prop_map(|n| n.to_string()),
        1 => name().prop_map(str::to_owned),
        1 => (name(), name()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (0u32..5, 0u32..3).prop_map(|(a, n)| format!("{a}-{}", a + n)),
        1 => Just("FRI-SUN".to_owned()),
        1 => Just("5-7".to_owned()),
        1 => Just("MON-FRI".to_owned()),
        1 => (1u32..7).prop_map(|n| format!("*/{n}")),
        1 => (0u32..8, 1u32..6).prop_map(|(d, n)| format!("{d}#{n}")),
        1 => (0u32..7).prop_map(|d| format!("{d}L")),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let seconds = prop_oneof![2 => Just(String::new()), 1 => number_field(59, 0).prop_map(|s| s + " ")];
    let months = prop_oneof![
        4 => Just("*".to_owned()),
        1 => Just("3".to_owned()),
        1 => Just("3,10,11".to_owned()),
        1 => Just("JAN-apr".to_owned()),
        1 => Just("*/2".to_owned()),
    ];
    (seconds, number_field(59, 0), number_field(23, 0), month_days(), months, week_days())
        .prop_map(|(s, m, h, md, mo, wd)| format!("{s}{m} {h} {md} {mo} {wd}"))
}

fn instant() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => (prop::sample::select(CHANGES.to_vec()), -93_600i64..93_600).prop_map(|(at, by)| at + by),
        1 => 1_262_304_000i64..2_051_222_400,
    ]
}

fn ours(text: &str, zone: &str, from: i64, n: usize) -> Option<Vec<i64>> {
    let spec = ScheduleSpec { cron: vec![text.to_owned()], time_zone: zone.parse().unwrap(), ..super::tests::spec() };
    let from = Timestamp::from_millis(u64::try_from(from).unwrap() * 1000);
    let schedule = Schedule::new(spec).ok()?;
    Some(schedule.preview(from, n).into_iter().map(|at| i64::try_from(at.as_millis()).unwrap() / 1000).collect())
}

fn theirs(text: &str, zone: Tz, from: i64, n: usize) -> Option<Vec<i64>> {
    let cron: croner::Cron = text.parse().ok()?;
    let mut at = DateTime::from_timestamp(from, 0).unwrap().with_timezone(&zone);
    let mut found = Vec::new();
    for _ in 0..n {
        at = cron.find_next_occurrence(&at, false).ok()?;
        found.push(at.timestamp());
    }
    Some(found)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn croner_finds_the_same_times(text in expression(), zone in prop::sample::select(ZONES.to_vec()), from in instant()) {
        let (ours, theirs) = (ours(&text, zone, from, 6), theirs(&text, zone.parse().unwrap(), from, 6));
        // An expression that never fires is refused here, and `croner` finds no time.
        if let Some(ours) = &ours {
            let known = theirs.as_ref().map(|theirs| &theirs[..ours.len().min(theirs.len())]);
            prop_assert_eq!(Some(&ours[..]), known, "{} in {} from {}", text, zone, from);
        } else {
            prop_assert!(theirs.is_none(), "{} is refused, and croner finds {:?}", text, theirs);
        }
    }
}
