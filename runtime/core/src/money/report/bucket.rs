//! Buckets of time: the ranges over which the ledger keeps sums, and the few of them that make up a
//! given range.
//!
//! The commit of an entry adds it to one bucket of each level. A report reads buckets instead of
//! entries. Sums are exact, so a range may also be a larger range less its ends: October in Berlin
//! is October in UTC, plus the last two hours of September, less the last hour of October.

use std::ops::Range;

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, Utc};

use crate::ids::Timestamp;

const QUARTER_MILLIS: u64 = 15 * 60 * 1_000;
const DAY_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// The length of a bucket. Every bucket begins at a multiple of its length in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BucketLevel {
    /// A quarter of an hour: every zone's offset is a multiple of it.
    Quarter,
    /// A day.
    Day,
    /// A month.
    Month,
}

impl BucketLevel {
    /// Every level, the shortest first.
    pub const ALL: [Self; 3] = [Self::Quarter, Self::Day, Self::Month];

    /// Its number in keys of the store.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Quarter => 0,
            Self::Day => 1,
            Self::Month => 2,
        }
    }

    /// The start of the bucket that contains `at`.
    #[must_use]
    pub fn start_of(self, at: Timestamp) -> Timestamp {
        let at = at.min(Timestamp::MAX);
        match self {
            Self::Quarter => floor(at, QUARTER_MILLIS),
            Self::Day => floor(at, DAY_MILLIS),
            Self::Month => {
                let start = date(at).and_then(|date| date.with_day(1));
                start.and_then(midnight).unwrap_or_else(|| floor(at, DAY_MILLIS))
            }
        }
    }

    /// The end of the bucket that contains `at`, exclusive.
    #[must_use]
    pub fn end_of(self, at: Timestamp) -> Timestamp {
        let start = self.start_of(at);
        match self {
            Self::Quarter => start.plus_millis(QUARTER_MILLIS),
            Self::Day => start.plus_millis(DAY_MILLIS),
            // No month has more than 31 days or fewer than 28.
            Self::Month => self.start_of(start.plus_millis(31 * DAY_MILLIS)).max(start.plus_millis(28 * DAY_MILLIS)),
        }
    }

    /// The least range of whole buckets that contains a range; an empty one stays empty.
    #[must_use]
    pub fn widen(self, range: &Range<Timestamp>) -> Range<Timestamp> {
        if range.is_empty() {
            return range.clone();
        }
        let (start, end) = (self.start_of(range.start), self.start_of(range.end));
        start..if end < range.end { self.end_of(range.end) } else { end }
    }

    /// The start of a bucket that is nearest to `at`.
    fn nearest(self, at: Timestamp) -> Timestamp {
        let (start, end) = (self.start_of(at), self.end_of(at));
        if end.millis_since(at) < at.millis_since(start) { end } else { start }
    }
}

fn floor(at: Timestamp, unit_millis: u64) -> Timestamp {
    Timestamp::from_millis(at.as_millis() - at.as_millis() % unit_millis)
}

fn date(at: Timestamp) -> Option<NaiveDate> {
    DateTime::<Utc>::from_timestamp_millis(i64::try_from(at.as_millis()).ok()?).map(|at| at.date_naive())
}

fn midnight(date: NaiveDate) -> Option<Timestamp> {
    u64::try_from(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis()).ok().map(Timestamp::from_millis)
}

/// A half-open range of time whose sum is added or subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedRange {
    /// Its start, inclusive.
    pub start: Timestamp,
    /// Its end, exclusive.
    pub end: Timestamp,
    /// Whether its sum is subtracted.
    pub subtract: bool,
}

/// Buckets and remainders whose signed sum is the sum of one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeCover {
    /// Consecutive buckets of one level, by their starts: at most a few ranges for each level.
    pub buckets: Vec<(BucketLevel, SignedRange)>,
    /// What cuts a quarter of an hour, to be read from the entries: at most two parts.
    pub parts: Vec<SignedRange>,
}

impl RangeCover {
    /// Covers the half-open range `start..end` with buckets of every level; nothing if it is empty.
    #[must_use]
    pub fn of(start: Timestamp, end: Timestamp) -> Self {
        Self::with(&BucketLevel::ALL, start, end)
    }

    /// Covers the half-open range `start..end` with buckets of some levels, the shortest first.
    /// Without quarters, the parts are longer.
    ///
    /// Each step moves both ends to the nearest start of a longer bucket and accounts for the ways
    /// there, unless the range itself is shorter than these ways.
    #[must_use]
    pub fn with(levels: &[BucketLevel], start: Timestamp, end: Timestamp) -> Self {
        let mut cover = Self::default();
        let mut range = start..end.max(start);
        let mut finer = None;
        for &level in levels {
            let nearest = level.nearest(range.start)..level.nearest(range.end);
            let ways = [way(nearest.end, range.end), way(range.start, nearest.start)];
            let detour: u64 = ways.iter().map(|way| way.end.millis_since(way.start)).sum();
            if range.end.millis_since(range.start) <= detour {
                cover.push(finer, way(range.start, range.end));
                return cover;
            }
            ways.into_iter().for_each(|way| cover.push(finer, way));
            (range, finer) = (nearest, Some(level));
        }
        cover.push(finer, way(range.start, range.end));
        cover
    }

    fn push(&mut self, level: Option<BucketLevel>, range: SignedRange) {
        if range.start < range.end {
            match level {
                Some(level) => self.buckets.push((level, range)),
                None => self.parts.push(range),
            }
        }
    }
}

/// What everything before `to` sums to, less everything before `from`.
fn way(from: Timestamp, to: Timestamp) -> SignedRange {
    SignedRange { start: from.min(to), end: from.max(to), subtract: to < from }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn buckets_begin_at_quarters_days_and_months_of_utc() {
        let time = at("2024-02-29T13:44:59.999Z");
        for (level, start, end) in [
            (BucketLevel::Quarter, "2024-02-29T13:30:00Z", "2024-02-29T13:45:00Z"),
            (BucketLevel::Day, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            (BucketLevel::Month, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        ] {
            assert_eq!((level.start_of(time), level.end_of(time)), (at(start), at(end)), "{level:?}");
        }
    }

    #[test]
    fn a_month_in_berlin_is_a_month_and_its_ends() {
        let cover = RangeCover::of(at("2026-09-30T22:00:00Z"), at("2026-10-31T23:00:00Z"));
        let range = |start, end, subtract| SignedRange { start: at(start), end: at(end), subtract };
        assert_eq!(
            cover.buckets,
            [
                (BucketLevel::Quarter, range("2026-10-31T23:00:00Z", "2026-11-01T00:00:00Z", true)),
                (BucketLevel::Quarter, range("2026-09-30T22:00:00Z", "2026-10-01T00:00:00Z", false)),
                (BucketLevel::Month, range("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", false)),
            ]
        );
        assert_eq!(cover.parts, []);
    }

    #[test]
    fn an_hour_is_four_quarters() {
        let cover = RangeCover::of(at("2026-10-15T10:00:00Z"), at("2026-10-15T11:00:00Z"));
        assert_eq!(cover.buckets.len(), 1);
        assert_eq!(cover.buckets[0].0, BucketLevel::Quarter);
    }

    /// The number of entries that a cover counts.
    fn count(entries: &[Timestamp], cover: &RangeCover) -> i64 {
        let add = |range: &SignedRange, times: &mut dyn Iterator<Item = Timestamp>| {
            let count = times.filter(|time| range.start <= *time && *time < range.end).count();
            i64::try_from(count).unwrap() * if range.subtract { -1 } else { 1 }
        };
        let buckets = cover
            .buckets
            .iter()
            .map(|(level, range)| add(range, &mut entries.iter().map(|time| level.start_of(*time))));
        buckets.sum::<i64>() + cover.parts.iter().map(|part| add(part, &mut entries.iter().copied())).sum::<i64>()
    }

    proptest! {
        #[test]
        fn a_cover_counts_each_entry_of_its_range_once(
            base in 0u64..253_000_000_000_000, spans in prop::collection::vec(0u64..200 * DAY_MILLIS, 1..40),
            start in 0u64..200 * DAY_MILLIS, length in prop_oneof![0u64..DAY_MILLIS, 0u64..200 * DAY_MILLIS],
        ) {
            let entries: Vec<_> = spans.iter().map(|span| Timestamp::from_millis(base + span)).collect();
            let (start, end) = (Timestamp::from_millis(base + start), Timestamp::from_millis(base + start + length));
            let expected = entries.iter().filter(|time| (start..end).contains(time)).count();
            for levels in [&BucketLevel::ALL[..], &[BucketLevel::Month], &[]] {
                let cover = RangeCover::with(levels, start, end);
                prop_assert_eq!(count(&entries, &cover), i64::try_from(expected).unwrap());
            }
        }

        #[test]
        fn a_cover_has_few_ranges_of_whole_buckets(start in 0..Timestamp::MAX.as_millis(), length in 0..400 * DAY_MILLIS) {
            let start = Timestamp::from_millis(start);
            let cover = RangeCover::of(start, start.plus_millis(length));
            prop_assert!(cover.buckets.len() <= 5 && cover.parts.len() <= 2);
            for part in &cover.parts {
                prop_assert!(part.end.millis_since(part.start) < QUARTER_MILLIS);
            }
            let mut rows = 0;
            for (level, range) in &cover.buckets {
                let mut at = range.start;
                while at < range.end {
                    prop_assert_eq!(level.start_of(at), at);
                    (at, rows) = (level.end_of(at), rows + 1);
                }
                prop_assert_eq!(at, range.end);
            }
            prop_assert!(rows <= 2 * (48 + 16) + 14, "{rows} buckets");
        }

        #[test]
        fn a_bucket_contains_its_time_and_ends_where_the_next_begins(at in any::<u64>()) {
            let at = Timestamp::from_millis(at % Timestamp::MAX.as_millis());
            for level in BucketLevel::ALL {
                let (start, end) = (level.start_of(at), level.end_of(at));
                prop_assert!(start <= at && at < end);
                if end < Timestamp::MAX {
                    prop_assert_eq!(level.start_of(end), end);
                }
            }
        }
    }
}
