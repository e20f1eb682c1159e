//! When a schedule fires: a union of cron expressions, an interval and single times, minus exclusions, inside an
//! optional start and end, in a time zone.
//!
//! A *nominal* time is what the schedule says; it identifies the firing. Jitter moves when it is carried out, never
//! what it is called. What to do about firings that overlap or were missed is in [`policy`]; carrying them out is the
//! scheduler's, and the text of a manifest is in `manifest`.

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
pub use self::zone::{GapPolicy, RepeatPolicy};
use crate::ids::{DeploymentName, ScheduleName, Timestamp};
use crate::run::Export;
use crate::zones::Zone;

/// The most cron expressions in one schedule.
pub const CRONS: usize = 8;
/// The most single times in one schedule.
pub const TIMES: usize = 64;
/// The most exclusions in one schedule.
pub const EXCLUSIONS: usize = 64;
/// The shortest interval, in milliseconds.
pub const EVERY_MIN_MILLIS: u64 = 1_000;
/// The longest interval, in milliseconds: 366 days.
pub const EVERY_MAX_MILLIS: u64 = 366 * 24 * 3_600_000;
/// The largest jitter, in milliseconds: an hour.
pub const JITTER_MAX_MILLIS: u64 = 3_600_000;
/// Firings between which the shortest distance is looked for, to hold the jitter against it.
const DISTANCES: usize = 1_000;
/// The longest catch-up window, in milliseconds: 31 days.
pub const CATCH_UP_WINDOW_MAX_MILLIS: u64 = 31 * 24 * 3_600_000;
/// The default catch-up window, in milliseconds: an hour.
pub const CATCH_UP_WINDOW_MILLIS: u64 = 3_600_000;

/// The most firings that a schedule can be limited to.
pub const LIMIT_MAX: u64 = 1_000_000_000;
/// The most failures in a row after which a schedule can be paused.
pub const PAUSE_AFTER_MAX: u32 = 1_000;

/// A stretch of time in which a schedule does not fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusion {
    /// A whole day of the schedule's time zone.
    Day(NaiveDate),
    /// From `start` (inclusive) to `end` (exclusive).
    Span {
        /// The first instant left out.
        start: Timestamp,
        /// The first instant after it.
        end: Timestamp,
    },
}

/// What a manifest says of one schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleSpec {
    /// Its name within the deployment.
    pub name: ScheduleName,
    /// Cron expressions; at most [`CRONS`].
    pub cron: Vec<String>,
    /// An interval in milliseconds, counted from the epoch: [`EVERY_MIN_MILLIS`] to [`EVERY_MAX_MILLIS`].
    pub every_millis: Option<u64>,
    /// How far into each interval it fires, in milliseconds; less than the interval.
    pub phase_millis: u64,
    /// Single times; at most [`TIMES`].
    pub at: Vec<Timestamp>,
    /// The IANA time zone of the cron expressions and of the exclusions' days.
    pub time_zone: Zone,
    /// For once-a-day times that the clock skips.
    pub gap: GapPolicy,
    /// For once-a-day times that the clock shows twice.
    pub repeated: RepeatPolicy,
    /// No firing before this.
    pub start: Option<Timestamp>,
    /// No firing at or after this.
    pub end: Option<Timestamp>,
    /// Stretches without firings; at most [`EXCLUSIONS`].
    pub exclude: Vec<Exclusion>,
    /// Each firing is carried out up to so many milliseconds late; at most [`JITTER_MAX_MILLIS`].
    pub jitter_millis: u64,
    /// Whether the jitter may be longer than half the shortest distance of two firings. Then it moves all firings by the same amount,
    /// so that they keep their distances.
    pub long_jitter: bool,
    /// What a firing does while earlier runs of the schedule have not ended.
    pub overlap: Overlap,
    /// Which of the missed firings are made up for.
    pub catch_up: CatchUp,
    /// How long after its time a missed firing may be made up for, in milliseconds.
    pub catch_up_window_millis: u64,
    /// It fires so often, 1 to [`LIMIT_MAX`], and then no more; none for ever.
    pub limit: Option<u64>,
    /// So many failed or parked runs in a row, 1 to [`PAUSE_AFTER_MAX`], pause it; none never.
    pub pause_after_failures: Option<u32>,
    /// The run's input: the text of one JSON value.
    pub input: String,
    /// Which export it runs, where the component has more than one that fits.
    pub export: Option<Export>,
}

impl ScheduleSpec {
    /// A schedule of that name with every default and no time yet.
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

/// One thing that is wrong with a [`ScheduleSpec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    /// The field, as the manifest calls it.
    pub field: &'static str,
    /// Which entry of the field, where it is a list.
    pub index: Option<usize>,
    /// What is wrong.
    pub kind: SpecProblemKind,
}

/// What can be wrong with a [`ScheduleSpec`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecProblemKind {
    /// None of `cron`, `every` and `at`.
    #[error("the schedule has no time: it needs `cron`, `every` or `at`")]
    NoTime,
    /// Not a cron expression.
    #[error("not a cron expression: {0}")]
    Cron(#[from] InvalidCron),
    /// A number or a list outside its bounds.
    #[error("{0}")]
    Bounds(&'static str),
}

/// A schedule whose times can be asked for. Equal where the specs are.
#[derive(Clone)]
pub struct Schedule {
    spec: ScheduleSpec,
    crons: Vec<Arc<CronExpr>>,
    /// Half-open stretches of instants, by their beginnings.
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
    /// The schedule that `spec` describes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
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
                Exclusion::Day(day) => excluded.extend(zone::stretches_of(&spec.time_zone, day)),
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

    /// What it was made of.
    #[must_use]
    pub const fn spec(&self) -> &ScheduleSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &ScheduleName {
        &self.spec.name
    }

    /// The first nominal time strictly after `after`; none where nothing more will fire, or if the zone is not known.
    ///
    /// Ends in a bounded number of steps for any schedule. Cron knows no time beyond the year 2100.
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
        // Each turn but the last passes one exclusion for good, as time only goes on.
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

    /// The next `n` nominal times after `from`, fewer where there are no more.
    #[must_use]
    pub fn preview(&self, from: Timestamp, n: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(from), |at| self.next_after(*at)).take(n).collect()
    }

    /// When the firing of that nominal time is to be carried out: up to the jitter later, always the same for the same
    /// deployment, schedule and time, and spread evenly over deployments. It is before the schedule's end and before the next
    /// exclusion.
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

    /// The shortest distance between two of the next 1,000 firings after `from`, in milliseconds; none if there are not two.
    #[must_use]
    pub fn shortest_distance(&self, from: Timestamp) -> Option<u64> {
        let times = self.preview(from, DISTANCES);
        times.windows(2).filter_map(|pair| Some(pair.get(1)?.millis_since(*pair.first()?))).min()
    }

    /// Half the shortest distance between two of the next firings after `from`, in milliseconds, if the jitter is longer and
    /// [`ScheduleSpec::long_jitter`] does not allow that.
    #[must_use]
    pub fn jitter_above(&self, from: Timestamp) -> Option<u64> {
        if self.spec.jitter_millis == 0 || self.spec.long_jitter {
            return None;
        }
        let half = self.shortest_distance(from)? / 2;
        (self.spec.jitter_millis > half).then_some(half)
    }

    /// What its author may have meant otherwise.
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

    /// The last nominal time up to and with `until`, if there is one after `after`. Takes about fifty computations of a next time,
    /// however many nominal times lie in between.
    #[must_use]
    pub fn last_up_to(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let next = |from: u64| self.next_after(Timestamp::from_millis(from)).filter(|time| *time <= until);
        let mut last = next(after.as_millis())?;
        // A next time up to `until` follows on `low`, and none on `high`.
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

    /// The same for two schedules whose nominal times are the same by the same words; where it stays, a schedule that
    /// is deployed again goes on where it was.
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

    /// The end of the exclusion that leaves `at` out, if one does.
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
