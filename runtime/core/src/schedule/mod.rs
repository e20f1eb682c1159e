//! When a schedule fires: a union of cron expressions, an interval and single times, minus
//! exclusions, within an optional start and end, in a time zone.
//!
//! A *nominal* time is a time that the schedule defines; it identifies the firing. Jitter changes
//! when the firing is carried out but not its nominal time. [`policy`] decides about overlapping
//! and missed firings. The scheduler carries firings out, and `manifest` reads the text of a
//! manifest.

mod cron;
mod days;
pub mod policy;
mod preview;
mod zone;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};

pub use self::cron::{CRON_BYTES, CronExpr, InvalidCron};
pub use self::policy::{CatchUp, Overlap};
pub use self::preview::{PlannedFiring, ScheduleEnd, SchedulePreview};
pub(crate) use self::zone::start_of_day;
pub use self::zone::{GapPolicy, RepeatPolicy};
use crate::ids::{DeploymentName, ScheduleName, Timestamp};
use crate::run::Export;
use crate::zones::Zone;

/// Maximum number of cron expressions in one schedule.
pub const CRONS: usize = 8;
/// Maximum number of single times in one schedule.
pub const TIMES: usize = 64;
/// Maximum number of exclusions in one schedule.
pub const EXCLUSIONS: usize = 64;
/// Minimum interval, in milliseconds.
pub const EVERY_MIN_MILLIS: u64 = 1_000;
/// Maximum interval, in milliseconds: 366 days.
pub const EVERY_MAX_MILLIS: u64 = 366 * 24 * 3_600_000;
/// Maximum jitter, in milliseconds: an hour.
pub const JITTER_MAX_MILLIS: u64 = 3_600_000;
/// Number of firings among which the shortest distance is searched, to compare the jitter with it.
const DISTANCES: usize = 1_000;
/// Maximum catch-up window, in milliseconds: 31 days.
pub const CATCH_UP_WINDOW_MAX_MILLIS: u64 = 31 * 24 * 3_600_000;
/// Default catch-up window, in milliseconds: an hour.
pub const CATCH_UP_WINDOW_MILLIS: u64 = 3_600_000;

/// Maximum of a schedule's limit on its number of firings.
pub const LIMIT_MAX: u64 = 1_000_000_000;
/// Maximum number of consecutive failures after which a schedule can be paused.
pub const PAUSE_AFTER_MAX: u32 = 1_000;

/// A period in which a schedule does not fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// A whole day of the schedule's time zone.
    Day(NaiveDate),
    /// From `start` (inclusive) to `end` (exclusive).
    Span {
        /// The first excluded instant.
        start: Timestamp,
        /// The first instant after the exclusion.
        end: Timestamp,
    },
}

/// A schedule as a manifest describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleSpec {
    /// Its name within the deployment.
    pub name: ScheduleName,
    /// Cron expressions; at most [`CRONS`].
    pub cron: Vec<String>,
    /// An interval in milliseconds, counted from the epoch: [`EVERY_MIN_MILLIS`] to
    /// [`EVERY_MAX_MILLIS`].
    pub every_millis: Option<u64>,
    /// Offset into each interval at which it fires, in milliseconds; less than the interval.
    pub phase_millis: u64,
    /// Single times; at most [`TIMES`].
    pub at: Vec<Timestamp>,
    /// The IANA time zone of the cron expressions and of the exclusions' days.
    pub time_zone: Zone,
    /// Policy for once-a-day times that the clock skips.
    pub gap: GapPolicy,
    /// Policy for once-a-day times that the clock shows twice.
    pub repeated: RepeatPolicy,
    /// It does not fire before this time.
    pub start: Option<Timestamp>,
    /// It does not fire at or after this time.
    pub end: Option<Timestamp>,
    /// Periods without firings; at most [`EXCLUSIONS`].
    pub exclude: Vec<Exclusion>,
    /// Maximum random delay of each firing, in milliseconds; at most [`JITTER_MAX_MILLIS`].
    pub jitter_millis: u64,
    /// Whether the jitter may be longer than half the shortest distance between two firings. Then
    /// it moves all firings by the same amount, so that their distances do not change.
    pub long_jitter: bool,
    /// What a firing does while earlier runs of the schedule have not ended.
    pub overlap: Overlap,
    /// Which missed firings are made up for.
    pub catch_up: CatchUp,
    /// Maximum age of a missed firing that can be made up for, in milliseconds.
    pub catch_up_window_millis: u64,
    /// Number of firings after which the schedule stops, 1 to [`LIMIT_MAX`]; `None` is unlimited.
    pub limit: Option<u64>,
    /// Number of consecutive failed or parked runs that pauses it, 1 to [`PAUSE_AFTER_MAX`];
    /// `None` never pauses it.
    pub pause_after_failures: Option<u32>,
    /// The run's input: the text of one JSON value.
    pub input: String,
    /// The export that it runs, if the component has several that fit.
    pub export: Option<Export>,
}

impl ScheduleSpec {
    /// Returns a schedule with that name and all defaults, without any times.
    #[must_use]
    pub fn new(name: ScheduleName) -> Self {
        Self {
            name,
            cron: Vec::new(),
            every_millis: None,
            phase_millis: 0,
            at: Vec::new(),
            time_zone: Zone::utc(),
            gap: GapPolicy::default(),
            repeated: RepeatPolicy::default(),
            start: None,
            end: None,
            exclude: Vec::new(),
            jitter_millis: 0,
            long_jitter: false,
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
            catch_up_window_millis: CATCH_UP_WINDOW_MILLIS,
            limit: None,
            pause_after_failures: None,
            input: "{}".to_owned(),
            export: None,
        }
    }
}

/// One problem of a [`ScheduleSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    /// Name of the field in the manifest.
    pub field: &'static str,
    /// Index of the entry, if the field is a list.
    pub index: Option<usize>,
    /// The kind of problem.
    pub kind: SpecProblemKind,
}

/// The kinds of problems of a [`ScheduleSpec`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblemKind {
    /// None of `cron`, `every` and `at` is given.
    #[error("the schedule has no time: it needs `cron`, `every` or `at`")]
    NoTime,
    /// Not a cron expression.
    #[error("not a cron expression: {0}")]
    Cron(#[from] InvalidCron),
    /// A number or a list is out of bounds.
    #[error("{0}")]
    Bounds(&'static str),
}

/// A valid schedule that computes its times. Two schedules are equal if their specs are equal.
#[derive(Clone)]
pub struct Schedule {
    spec: ScheduleSpec,
    crons: Vec<Arc<CronExpr>>,
    /// Half-open periods, ordered by their starts.
    excluded: Vec<(Timestamp, Timestamp)>,
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl Schedule {
    /// Builds the schedule that `spec` describes.
    ///
    /// # Errors
    /// All problems of the spec.
    pub fn new(spec: ScheduleSpec) -> Result<Self, Vec<SpecProblem>> {
        let mut problems = Vec::new();
        let mut bound = |holds: bool, field, message| {
            if !holds {
                problems.push(SpecProblem { field, index: None, kind: SpecProblemKind::Bounds(message) });
            }
        };
        bound(spec.cron.len() <= CRONS, "cron", "at most 8 expressions");
        bound(spec.at.len() <= TIMES, "at", "at most 64 times");
        bound(spec.exclude.len() <= EXCLUSIONS, "exclude", "at most 64 exclusions");
        bound(
            spec.every_millis.is_none_or(|every| (EVERY_MIN_MILLIS..=EVERY_MAX_MILLIS).contains(&every)),
            "every",
            "an interval is 1s to 366days",
        );
        bound(spec.phase_millis < spec.every_millis.unwrap_or(1), "phase", "a phase is shorter than `every`");
        bound(spec.jitter_millis <= JITTER_MAX_MILLIS, "jitter", "at most 1h");
        bound(spec.catch_up_window_millis <= CATCH_UP_WINDOW_MAX_MILLIS, "catch_up_window", "at most 31days");
        bound(spec.limit.is_none_or(|limit| (1..=LIMIT_MAX).contains(&limit)), "limit", "1 to 1,000,000,000 firings");
        bound(
            spec.pause_after_failures.is_none_or(|failures| (1..=PAUSE_AFTER_MAX).contains(&failures)),
            "pause_after_failures",
            "1 to 1,000 failures",
        );
        bound(spec.start.zip(spec.end).is_none_or(|(start, end)| start < end), "end", "the end comes after the start");
        if spec.cron.is_empty() && spec.every_millis.is_none() && spec.at.is_empty() {
            problems.push(SpecProblem { field: "cron", index: None, kind: SpecProblemKind::NoTime });
        }
        let mut crons = Vec::new();
        for (index, text) in spec.cron.iter().enumerate().take(CRONS) {
            match CronExpr::shared(text) {
                Ok(cron) => crons.push(cron),
                Err(bad) => {
                    problems.push(SpecProblem { field: "cron", index: Some(index), kind: SpecProblemKind::Cron(bad) })
                }
            }
        }
        let mut excluded = Vec::new();
        for (index, exclusion) in spec.exclude.iter().enumerate().take(EXCLUSIONS) {
            match *exclusion {
                Exclusion::Day(day) => excluded.extend(zone::periods_of(&spec.time_zone, day)),
                Exclusion::Span { start, end } if start < end => excluded.push((start, end)),
                Exclusion::Span { .. } => problems.push(SpecProblem {
                    field: "exclude",
                    index: Some(index),
                    kind: SpecProblemKind::Bounds("an exclusion ends after it starts"),
                }),
            }
        }
        excluded.sort_unstable();
        if problems.is_empty() { Ok(Self { spec, crons, excluded }) } else { Err(problems) }
    }

    /// The spec of which the schedule was built.
    #[must_use]
    pub const fn spec(&self) -> &ScheduleSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ScheduleName {
        &self.spec.name
    }

    /// The first nominal time strictly after `after`; `None` if no firing follows or the zone is
    /// not known.
    ///
    /// Ends in a bounded number of steps for any schedule. Cron expressions have no times after
    /// the year 2100.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        if !self.spec.time_zone.is_known() {
            return None;
        }
        let start = self.spec.start.unwrap_or_default().as_millis();
        let mut from = match start.checked_sub(1) {
            Some(before) => after.max(Timestamp::from_millis(before)),
            None => after,
        };
        // Each iteration except the last passes one exclusion, and time only increases.
        for _ in 0..=self.excluded.len() {
            let next = self.next_of_union(from).filter(|next| *next <= Timestamp::MAX)?;
            if self.spec.end.is_some_and(|end| next >= end) {
                return None;
            }
            match self.exclusion_of(next) {
                Some(end) => from = Timestamp::from_millis(end.as_millis().saturating_sub(1)),
                None => return Some(next),
            }
        }
        None
    }

    /// The next `n` nominal times after `from`; fewer if the schedule ends.
    #[must_use]
    pub fn preview(&self, from: Timestamp, n: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(from), |at| self.next_after(*at)).take(n).collect()
    }

    /// When to carry out the firing with that nominal time: at most the jitter later. The delay is
    /// constant for a deployment, a schedule and a time, and uniformly distributed over
    /// deployments. The result is before the schedule's end and before the next exclusion.
    #[must_use]
    pub fn due_at(&self, deployment: &DeploymentName, nominal: Timestamp) -> Timestamp {
        let stops = self.spec.end.into_iter().chain(self.excluded.iter().map(|(start, _)| *start));
        let stop = stops.filter(|stop| *stop > nominal).min();
        // The last instant before the stop.
        let room = stop.map_or(u64::MAX, |stop| stop.millis_since(nominal).saturating_sub(1));
        let most = self.spec.jitter_millis.min(room);
        if most == 0 {
            return nominal;
        }
        let mut hash = Sha256::new();
        for part in [deployment.as_str(), "/", self.spec.name.as_str(), "@"] {
            hash.update(part.as_bytes());
        }
        if !self.spec.long_jitter {
            hash.update(nominal.as_millis().to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        let random = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let moved = if self.spec.long_jitter {
            (random % (self.spec.jitter_millis + 1)).min(most)
        } else {
            random % (most + 1)
        };
        nominal.plus_millis(moved)
    }

    /// The shortest distance between two of the next 1,000 firings after `from`, in milliseconds;
    /// `None` if there are fewer than two.
    #[must_use]
    pub fn shortest_distance(&self, from: Timestamp) -> Option<u64> {
        let times = self.preview(from, DISTANCES);
        times.windows(2).filter_map(|pair| Some(pair.get(1)?.millis_since(*pair.first()?))).min()
    }

    /// Half the shortest distance between two of the next firings after `from`, in milliseconds,
    /// if the jitter is longer and [`ScheduleSpec::long_jitter`] does not allow that.
    #[must_use]
    pub fn jitter_above(&self, from: Timestamp) -> Option<u64> {
        if self.spec.jitter_millis == 0 || self.spec.long_jitter {
            return None;
        }
        let half = self.shortest_distance(from)? / 2;
        (self.spec.jitter_millis > half).then_some(half)
    }

    /// Warnings about parts that their author may have meant differently.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.crons.iter().filter(|cron| cron.differs_from_crontab()).map(|cron| {
            format!(
                "`{cron}` fires on the days of the month and on the days of the week; crontab takes a field that begins with `*/` as a \
                 condition on the other. Write the days as a list, such as `1-31/2`, if either is meant, and leave the condition to the \
                 run if both are",
                cron = cron.as_str()
            )
        })
    }

    /// The last nominal time that is after `after` and not after `until`, if there is one. Takes
    /// about fifty computations of a next time, regardless of the number of nominal times in
    /// between.
    #[must_use]
    pub fn last_up_to(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let next = |from: u64| self.next_after(Timestamp::from_millis(from)).filter(|time| *time <= until);
        let mut last = next(after.as_millis())?;
        // A nominal time up to `until` follows `low`, and none follows `high`.
        let (mut low, mut high) = (after.as_millis(), until.as_millis());
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            match next(middle) {
                Some(time) => (last, low) = (time, middle.max(time.as_millis().saturating_sub(1))),
                None => high = middle,
            }
        }
        Some(last)
    }

    /// Equal for two schedules that describe the same nominal times in the same words. A schedule
    /// that is deployed again with the same fingerprint continues from its position.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let spec = &self.spec;
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for cron in &self.crons {
            put(cron.as_str().as_bytes());
        }
        put(b"every");
        put(&spec.every_millis.unwrap_or(0).to_le_bytes());
        put(&spec.phase_millis.to_le_bytes());
        put(b"at");
        for at in &spec.at {
            put(&at.as_millis().to_le_bytes());
        }
        put(spec.time_zone.name().as_bytes());
        put(&[u8::from(spec.gap == GapPolicy::Skip), u8::from(spec.repeated == RepeatPolicy::Both)]);
        put(&spec.start.unwrap_or_default().as_millis().to_le_bytes());
        put(&spec.end.map_or(u64::MAX, Timestamp::as_millis).to_le_bytes());
        for (start, end) in &self.excluded {
            put(&start.as_millis().to_le_bytes());
            put(&end.as_millis().to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The end of the exclusion that contains `at`, if there is one.
    fn exclusion_of(&self, at: Timestamp) -> Option<Timestamp> {
        self.excluded.iter().filter(|(start, end)| (*start..*end).contains(&at)).map(|(_, end)| *end).max()
    }

    fn next_of_union(&self, after: Timestamp) -> Option<Timestamp> {
        let ScheduleSpec { time_zone, gap, repeated, .. } = &self.spec;
        let crons = self.crons.iter().filter_map(|cron| zone::next_instant(cron, time_zone, *gap, *repeated, after));
        let interval = self.spec.every_millis.and_then(|every| next_interval(every, self.spec.phase_millis, after));
        let single = self.spec.at.iter().copied().filter(|at| *at > after).min();
        crons.chain(interval).chain(single).min()
    }
}

/// The first instant after `after` that lies `phase` into a multiple of `every` since the epoch.
fn next_interval(every: u64, phase: u64, after: Timestamp) -> Option<Timestamp> {
    let after = after.as_millis();
    let next = match after.checked_sub(phase) {
        Some(past) => (past / every).checked_add(1)?.checked_mul(every)?.checked_add(phase)?,
        None => phase,
    };
    Some(Timestamp::from_millis(next))
}
