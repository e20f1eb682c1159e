//! The laws of schedules, and the effects of daylight saving changes, case by case.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::policy::{CATCH_UP_FIRINGS, ON_TIME_MILLIS, OverlapDecision, UnendedCounts, due_firings, overlap_decision};
use super::*;

pub(super) fn spec() -> ScheduleSpec {
    ScheduleSpec::new("s".parse().unwrap())
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn deployment() -> DeploymentName {
    "d".parse().unwrap()
}

fn every(millis: u64) -> ScheduleSpec {
    ScheduleSpec { every_millis: Some(millis), ..spec() }
}

fn cron(text: &str, zone: &str) -> ScheduleSpec {
    ScheduleSpec { cron: vec![text.to_owned()], time_zone: zone.parse().unwrap(), ..spec() }
}

fn times(spec: ScheduleSpec, from: &str, n: usize) -> Vec<String> {
    Schedule::new(spec).unwrap().preview(at(from), n).iter().map(|t| t.to_rfc3339()[..16].to_owned()).collect()
}

/// Berlin, 2026: 02:00 becomes 03:00 at 01:00Z on 29 March, 03:00 becomes 02:00 at 01:00Z on 25
/// October.
#[test]
fn a_time_in_the_gap_fires_right_after_it_or_not_at_all() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    let from = "2026-03-28T12:00:00Z";
    assert_eq!(times(daily.clone(), from, 2), ["2026-03-29T01:00", "2026-03-30T00:30"]);
    assert_eq!(times(ScheduleSpec { gap: GapPolicy::Skip, ..daily }, from, 1), ["2026-03-30T00:30"]);
}

#[test]
fn a_repeated_time_fires_first_or_both_times() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    let from = "2026-10-24T12:00:00Z";
    assert_eq!(times(daily.clone(), from, 2), ["2026-10-25T00:30", "2026-10-26T01:30"]);
    let both = ScheduleSpec { repeated: RepeatPolicy::Both, ..daily };
    assert_eq!(times(both, from, 3), ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-26T01:30"]);
}

#[test]
fn a_time_that_is_not_once_a_day_follows_real_time() {
    let half_hourly = cron("*/30 * * * *", "Europe/Berlin");
    assert_eq!(
        times(half_hourly.clone(), "2026-03-29T00:15:00Z", 3),
        ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]
    );
    assert_eq!(
        times(half_hourly, "2026-10-24T23:45:00Z", 5),
        ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]
    );
}

#[test]
fn two_expressions_that_meet_in_one_instant_fire_once() {
    let spec = ScheduleSpec {
        cron: vec!["15 2 * * *".to_owned(), "45 2 * * *".to_owned(), "0 3 * * *".to_owned()],
        ..cron("0 3 * * *", "Europe/Berlin")
    };
    assert_eq!(times(spec, "2026-03-28T12:00:00Z", 2), ["2026-03-29T01:00", "2026-03-30T00:15"]);
}

#[test]
fn a_day_that_never_was_is_jumped_over() {
    let noon = cron("0 12 * * *", "Pacific/Apia");
    assert_eq!(times(noon, "2011-12-29T23:00:00Z", 2), ["2011-12-30T10:00", "2011-12-30T22:00"]);
    let each_second = cron("* * * * * *", "Pacific/Apia");
    assert_eq!(times(each_second, "2011-12-30T09:59:59Z", 1), ["2011-12-30T10:00"]);
}

#[test]
fn excluded_days_are_days_of_the_time_zone() {
    let spec = ScheduleSpec {
        exclude: vec![Exclusion::Day("2026-12-25".parse().unwrap()), Exclusion::Day("2026-12-26".parse().unwrap())],
        ..cron("0 0 * * *", "Europe/Berlin")
    };
    assert_eq!(times(spec, "2026-12-23T12:00:00Z", 2), ["2026-12-23T23:00", "2026-12-26T23:00"]);
}

#[test]
fn a_union_begins_at_its_start_and_stops_before_its_end() {
    let spec = ScheduleSpec {
        at: vec![at("2026-01-01T00:00:30Z"), at("2026-01-01T00:05:00Z")],
        start: Some(at("2026-01-01T00:00:30Z")),
        end: Some(at("2026-01-01T00:03:00Z")),
        ..every(60_000)
    };
    let schedule = Schedule::new(spec).unwrap();
    let found: Vec<_> = schedule.preview(at("2020-01-01T00:00:00Z"), 9).iter().map(|t| t.to_rfc3339()).collect();
    assert_eq!(found, ["2026-01-01T00:00:30.000Z", "2026-01-01T00:01:00.000Z", "2026-01-01T00:02:00.000Z"]);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let bad = ScheduleSpec {
        cron: vec!["* * * * *".to_owned(), "61 * * * *".to_owned()],
        every_millis: Some(10),
        phase_millis: 20,
        jitter_millis: u64::MAX,
        start: Some(at("2026-01-02T00:00:00Z")),
        end: Some(at("2026-01-01T00:00:00Z")),
        ..spec()
    };
    let problems = Schedule::new(bad).unwrap_err();
    let fields: BTreeSet<_> = problems.iter().map(|p| (p.field, p.index)).collect();
    assert_eq!(
        fields,
        BTreeSet::from([("cron", Some(1)), ("every", None), ("phase", None), ("jitter", None), ("end", None)])
    );
    assert_eq!(Schedule::new(spec()).unwrap_err()[0].kind, SpecProblemKind::NoTime);
}

#[test]
fn missed_firings_are_made_up_for_according_to_the_policy() {
    let (last, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:10:30Z"));
    let look = |catch_up, window_minutes: u64| {
        let spec = ScheduleSpec { catch_up, catch_up_window_millis: window_minutes * 60_000, ..every(60_000) };
        let due = due_firings(&Schedule::new(spec).unwrap(), &deployment(), last, last, now);
        assert_eq!(due.through, at("2026-01-01T00:10:00Z"));
        assert_eq!(due.fire.len() as u64 + due.missed, 10);
        (due.fire.len(), due.fire.last().map(|(nominal, _)| *nominal))
    };
    assert_eq!(look(CatchUp::All, 60).0, 10);
    assert_eq!(look(CatchUp::All, 5).0, 5);
    assert_eq!(look(CatchUp::Last, 60), (1, Some(at("2026-01-01T00:10:00Z"))));
    assert_eq!(look(CatchUp::None, 60), (0, None));
    assert_eq!(look(CatchUp::All, 0), (0, None));
}

#[test]
fn a_firing_on_time_fires_under_every_policy() {
    let spec = ScheduleSpec { catch_up: CatchUp::None, catch_up_window_millis: 0, ..every(60_000) };
    let schedule = Schedule::new(spec).unwrap();
    let (last, time) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T00:01:00Z"));
    let due = due_firings(&schedule, &deployment(), last, last, time.plus_millis(1_000));
    assert_eq!(due.fire, [(time, time)]);
}

#[test]
fn firings_are_carried_out_in_the_order_of_their_nominal_times_when_their_jitter_is_over() {
    let schedule = Schedule::new(ScheduleSpec { jitter_millis: 10 * 60_000, catch_up: CatchUp::None, ..every(60_000) });
    let schedule = schedule.unwrap();
    let first = at("2026-01-01T00:00:00Z");
    let nominal = schedule.preview(first, 30);
    let (mut through, mut held, mut fired, mut now) = (first, first, Vec::new(), first);
    while fired.len() < nominal.len() {
        let due = due_firings(&schedule, &deployment(), through, held, now);
        assert_eq!(due.missed, 0, "no firing is late because of an earlier one");
        for (time, could) in due.fire {
            let before = nominal.iter().filter(|before| **before <= time);
            let expected = before.map(|before| schedule.due_at(&deployment(), *before)).max();
            assert_eq!(expected, Some(could));
            assert!(now.millis_since(could) < 1_000, "{time:?} at {now:?}");
            fired.push(time);
        }
        (through, held, now) = (due.through, due.held, now.plus_millis(1_000));
    }
    assert_eq!(fired[..nominal.len()], nominal);
}

#[test]
fn long_jitter_moves_all_firings_of_a_schedule_by_the_same_amount() {
    let spec = ScheduleSpec { jitter_millis: JITTER_MAX_MILLIS, long_jitter: true, ..every(60_000) };
    let schedule = Schedule::new(spec).unwrap();
    let moved = |deployment: &str| {
        let nominal = schedule.preview(at("2026-01-01T00:00:00Z"), 50);
        let by = nominal.iter().map(|time| schedule.due_at(&deployment.parse().unwrap(), *time).millis_since(*time));
        by.collect::<BTreeSet<_>>()
    };
    let all: BTreeSet<_> = ["a", "b", "c"].iter().flat_map(|deployment| moved(deployment)).collect();
    assert_eq!((moved("a").len(), all.len()), (1, 3), "{all:?}");
}

#[test]
fn jitter_ends_before_the_end_and_before_an_exclusion() {
    let (start, end) = (at("2026-01-01T00:05:00Z"), at("2026-01-01T00:10:00Z"));
    let spec = ScheduleSpec {
        jitter_millis: JITTER_MAX_MILLIS,
        exclude: vec![Exclusion::Span { start, end }],
        end: Some(at("2026-01-01T00:12:00Z")),
        ..every(60_000)
    };
    let schedule = Schedule::new(spec).unwrap();
    for nominal in schedule.preview(at("2026-01-01T00:00:00Z"), 99) {
        let due = schedule.due_at(&deployment(), nominal);
        let stop = if nominal < start { start } else { at("2026-01-01T00:12:00Z") };
        assert!(nominal <= due && due < stop, "{nominal:?} {due:?}");
    }
}

#[test]
fn jitter_is_compared_with_the_shortest_distance_of_two_firings() {
    let now = at("2026-01-01T00:00:00Z");
    let above = |spec| Schedule::new(spec).unwrap().jitter_above(now);
    assert_eq!(above(ScheduleSpec { jitter_millis: 30_000, ..every(60_000) }), None);
    assert_eq!(above(ScheduleSpec { jitter_millis: 30_001, ..every(60_000) }), Some(30_000));
    assert_eq!(above(ScheduleSpec { jitter_millis: 30_001, long_jitter: true, ..every(60_000) }), None);
    let two = ScheduleSpec { cron: vec!["0 12 * * *".to_owned(), "1 12 * * *".to_owned()], ..spec() };
    assert_eq!(above(ScheduleSpec { jitter_millis: 60_000, ..two }), Some(30_000));
    let once = ScheduleSpec { at: vec![at("2026-02-01T00:00:00Z")], jitter_millis: 60_000, ..spec() };
    assert_eq!(above(once), None);
}

#[test]
fn a_long_downtime_is_made_up_for_in_bounded_passes() {
    for catch_up in CatchUp::ALL {
        let window = CATCH_UP_WINDOW_MAX_MILLIS;
        let spec = ScheduleSpec { catch_up, catch_up_window_millis: window, ..every(1_000) };
        let schedule = Schedule::new(spec).unwrap();
        let (mut last, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T20:00:00Z"));
        let (mut fired, mut missed, mut looks) = (Vec::new(), 0, 0);
        loop {
            let due = due_firings(&schedule, &deployment(), last, last, now);
            assert!(due.fire.len() <= CATCH_UP_FIRINGS + 1);
            (last, missed, looks) = (due.through, missed + due.missed, looks + 1);
            fired.extend(due.fire.into_iter().map(|(nominal, _)| nominal));
            if !due.more {
                break;
            }
        }
        assert_eq!(last, now);
        assert_eq!(fired.len() as u64 + missed, 72_000, "{catch_up:?}");
        assert!(fired.is_sorted_by(|a, b| a < b) && looks <= 73);
        let on_time = ON_TIME_MILLIS as usize / 1000 + 1;
        assert_eq!(
            fired.len(),
            match catch_up {
                CatchUp::All => 72_000,
                CatchUp::Last => on_time + 1,
                CatchUp::None => on_time,
            }
        );
    }
}

#[test]
fn a_fingerprint_changes_with_the_times_and_with_nothing_else() {
    let print = |spec| Schedule::new(spec).unwrap().fingerprint();
    let base = print(every(60_000));
    assert_eq!(
        base,
        print(ScheduleSpec { overlap: Overlap::Allow, input: "[]".to_owned(), jitter_millis: 5, ..every(60_000) })
    );
    let others = [
        every(60_001),
        ScheduleSpec { phase_millis: 1, ..every(60_000) },
        ScheduleSpec { end: Some(at("2030-01-01T00:00:00Z")), ..every(60_000) },
        ScheduleSpec { cron: vec!["@daily".to_owned()], ..every(60_000) },
        ScheduleSpec { exclude: vec![Exclusion::Day("2026-12-25".parse().unwrap())], ..every(60_000) },
        cron("@daily", "UTC"),
        cron("@daily", "Europe/Berlin"),
    ];
    let prints: BTreeSet<_> = others.into_iter().map(print).chain([base]).collect();
    assert_eq!(prints.len(), 8);
}

#[test]
fn overlap_is_decided_by_the_runs_that_have_not_ended() {
    use OverlapDecision as D;
    let none = UnendedCounts::default();
    let one = UnendedCounts { started: 1, waiting: 0, full: false };
    let two = UnendedCounts { started: 1, waiting: 1, full: false };
    let full = UnendedCounts { full: true, ..two };
    for policy in Overlap::ALL {
        assert_eq!(overlap_decision(policy, none), D::Start);
        assert_eq!(
            overlap_decision(policy, UnendedCounts { full: true, ..none }),
            D::Start,
            "a lone firing does not wait"
        );
    }
    assert_eq!(overlap_decision(Overlap::QueueAll, full), D::DropFull);
    assert_eq!(overlap_decision(Overlap::QueueOne, full), D::Drop);
    let expected = [
        (Overlap::Skip, D::Skip, D::Skip),
        (Overlap::QueueOne, D::Wait, D::Drop),
        (Overlap::QueueAll, D::Wait, D::Wait),
        (Overlap::CancelOther, D::CancelThenStart, D::CancelThenStart),
        (Overlap::TerminateOther, D::TerminateThenStart, D::TerminateThenStart),
        (Overlap::Allow, D::Start, D::Start),
    ];
    for (policy, with_one, with_two) in expected {
        assert_eq!((overlap_decision(policy, one), overlap_decision(policy, two)), (with_one, with_two), "{policy:?}");
    }
}

/// Text that resembles cron, so that much of it passes the first checks.
fn cronlike() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9*/,\\-LW#?@ ]{0,40}",
        "([0-9*/,\\-]{1,5} ){4,6}[0-9*/,\\-LW#A-Z]{1,6}",
        "(\\*|\\*/[0-9]{1,2}|[0-9]{1,2}) (\\*|[0-9]{1,2}) ([0-9]{1,2}W?|L|LW|L-[0-9]|\\*) (\\*|[0-9]{1,2}) ([0-7]#[1-5]|[0-7]L|\\*)",
        "\\PC{0,300}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_refused(text in cronlike(), from in 0..=Timestamp::MAX.as_millis()) {
        let zone = ["Europe/Berlin", "UTC", "America/New_York"][from as usize % 3];
        if let Ok(schedule) = Schedule::new(cron(&text, zone)) {
            for from in [0, from % 5_000_000_000_000, from, u64::MAX] {
                let mut last = Timestamp::from_millis(from);
                for next in schedule.preview(last, 5) {
                    prop_assert!(next > last && next.as_millis().is_multiple_of(1000));
                    last = next;
                }
            }
        }
    }

    #[test]
    fn an_interval_fires_once_in_each_of_its_spans(every_ms in 1_000u64..10_000_000, phase in 0u64..1_000, from in 0u64..1 << 45) {
        let schedule = Schedule::new(ScheduleSpec { phase_millis: phase, ..every(every_ms) }).unwrap();
        let next = schedule.next_after(Timestamp::from_millis(from)).unwrap().as_millis();
        prop_assert!(next > from && next - from <= every_ms.max(phase + 1));
        prop_assert_eq!(next % every_ms, phase % every_ms);
        prop_assert_eq!(schedule.next_after(Timestamp::from_millis(next)).unwrap().as_millis(), next + every_ms);
    }

    #[test]
    fn no_start_of_a_search_skips_a_time(from in 1_774_000_000_000u64..1_795_000_000_000, by in 0u64..200_000_000) {
        let schedule = Schedule::new(cron("*/20 1-3,9 * * *", "Europe/Berlin")).unwrap();
        let (from, later) = (Timestamp::from_millis(from), Timestamp::from_millis(from + by));
        let next = schedule.next_after(from).unwrap();
        // A search from a later start before that time finds the same time.
        if later < next {
            prop_assert_eq!(schedule.next_after(later), Some(next));
        } else {
            prop_assert!(schedule.next_after(later).unwrap() > later);
        }
    }

    #[test]
    fn jitter_is_bounded_and_always_the_same(nominal in 0u64..1 << 45, jitter in 0..=JITTER_MAX_MILLIS) {
        let schedule = Schedule::new(ScheduleSpec { jitter_millis: jitter, ..every(60_000) }).unwrap();
        let (name, nominal) = ("d".parse().unwrap(), Timestamp::from_millis(nominal));
        let due = schedule.due_at(&name, nominal);
        prop_assert!(due >= nominal && due.millis_since(nominal) <= jitter);
        prop_assert_eq!(schedule.due_at(&name, nominal), due);
    }

    #[test]
    fn the_last_time_up_to_another_is_the_last_that_a_walk_finds(from in 0u64..1 << 40, long in 0u64..1 << 32, minute in 0u32..60) {
        let union = ScheduleSpec { every_millis: Some(7_000_000), ..cron(&format!("{minute} 3,9 * * MON"), "Europe/Berlin") };
        let (schedule, from) = (Schedule::new(union).unwrap(), Timestamp::from_millis(from));
        let until = from.plus_millis(long);
        let walked = std::iter::successors(schedule.next_after(from), |time| schedule.next_after(*time));
        let walked = walked.take_while(|time| *time <= until).last();
        prop_assert_eq!(schedule.last_up_to(from, until), walked);
    }

    #[test]
    fn an_excluded_instant_never_fires(start in 0u64..100_000, length in 1u64..100_000, from in 0u64..100_000) {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(start + length));
        let spec = ScheduleSpec { exclude: vec![Exclusion::Span { start, end }], ..every(1_000) };
        for next in Schedule::new(spec).unwrap().preview(Timestamp::from_millis(from), 20) {
            prop_assert!(next < start || next >= end);
        }
    }
}
