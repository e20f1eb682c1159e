//! A time zone as periods of one offset, found by walking through the years and looking up the
//! offset at each step. Does not know how schedules convert a wall clock to instants.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use chrono::{DateTime, Offset as _, TimeZone as _};
use tidemill_core::zones::Zone as Rules;

/// Zones with changes of an hour, of two hours and of half an hour, on odd offsets, at midnight,
/// over midnight, against the seasons, for Ramadan, abolished and restored, with a skipped day,
/// and without changes.
pub const ZONES: [&str; 17] = [
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Moscow",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Pacific/Chatham",
];

/// 1990-01-01T00:00:00Z, in seconds.
pub const FIRST: i64 = 631_152_000;
/// 2041-01-01T00:00:00Z, in seconds.
pub const LAST: i64 = 2_240_611_200;

/// A period of one offset: from `from` (inclusive) to `to` (exclusive), in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPeriod {
    pub from: i64,
    pub to: i64,
    pub offset: i64,
}

/// A zone from a year before [`FIRST`] to a year after [`LAST`].
#[derive(Debug)]
pub struct Zone {
    pub tz: Rules,
    pub periods: Vec<OffsetPeriod>,
}

/// The zone with that name; each zone is walked through once.
pub fn zone(name: &str) -> Arc<Zone> {
    static KNOWN: LazyLock<Mutex<BTreeMap<String, Arc<Zone>>>> = LazyLock::new(Mutex::default);
    let known = KNOWN.lock().unwrap().get(name).cloned();
    known.unwrap_or_else(|| {
        let zone = Arc::new(Zone::walk(name.parse().unwrap()));
        KNOWN.lock().unwrap().insert(name.to_owned(), Arc::clone(&zone));
        zone
    })
}

fn offset(tz: &Rules, at: i64) -> i64 {
    let there = tz.offset_from_utc_datetime(&DateTime::from_timestamp(at, 0).unwrap().naive_utc());
    there.fix().local_minus_utc().into()
}

impl Zone {
    fn walk(tz: Rules) -> Self {
        const STEP: i64 = 1_800;
        let (first, last) = (FIRST - 366 * 86_400, LAST + 366 * 86_400);
        let mut periods = vec![OffsetPeriod { from: first, to: last, offset: offset(&tz, first) }];
        for at in (first..last).step_by(STEP as usize) {
            let before = periods.last().unwrap().offset;
            if offset(&tz, at) != before {
                let change = (at - STEP + 1..=at).find(|second| offset(&tz, *second) != before).unwrap();
                periods.last_mut().unwrap().to = change;
                periods.push(OffsetPeriod { from: change, to: last, offset: offset(&tz, change) });
            }
        }
        Self { tz, periods }
    }

    /// The instants at which the offset changes, between [`FIRST`] and [`LAST`].
    pub fn changes(&self) -> Vec<i64> {
        self.periods.iter().map(|period| period.from).filter(|at| (FIRST..LAST).contains(at)).collect()
    }

    /// The wall clock time, in its own seconds since 1970.
    pub fn wall(&self, at: i64) -> i64 {
        at + self.periods.iter().find(|period| (period.from..period.to).contains(&at)).unwrap().offset
    }

    /// The instants at which the wall clock shows `wall`, in order.
    pub fn instants(&self, wall: i64) -> Vec<i64> {
        let here = |period: &OffsetPeriod| {
            let at = wall - period.offset;
            (period.from..period.to).contains(&at).then_some(at)
        };
        self.periods.iter().filter_map(here).collect()
    }

    /// The first instant after the gap that contains `wall`.
    pub fn after_gap(&self, wall: i64) -> i64 {
        let over =
            |pair: &&[OffsetPeriod]| (pair[0].to + pair[0].offset..pair[1].from + pair[1].offset).contains(&wall);
        self.periods.windows(2).find(over).unwrap()[1].from
    }
}

#[test]
fn the_walk_finds_changes_that_are_known() {
    let changes = |name: &str, from: i64, to: i64| -> Vec<i64> {
        zone(name).changes().into_iter().filter(|at| (from..to).contains(at)).collect()
    };
    // Berlin in 2026; the day that Apia skipped; Lord Howe's half hour; Cairo without changes in
    // 2020 and with them in 2023.
    assert_eq!(changes("Europe/Berlin", 1_767_225_600, 1_798_761_600), [1_774_746_000, 1_792_890_000]);
    let apia = zone("Pacific/Apia");
    assert_eq!(apia.wall(1_325_239_200) - apia.wall(1_325_239_199), 86_401);
    let howe = zone("Australia/Lord_Howe");
    assert_eq!(howe.wall(1_775_314_800) - howe.wall(1_775_314_799), 1 - 1_800);
    assert!(changes("Africa/Cairo", 1_577_836_800, 1_609_459_200).is_empty());
    assert_eq!(changes("Africa/Cairo", 1_672_531_200, 1_704_067_200).len(), 2);
    assert!(zone("UTC").changes().is_empty());
    assert!(ZONES.iter().map(|name| zone(name).changes().len()).sum::<usize>() > 1_000);
}
