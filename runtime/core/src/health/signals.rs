//! Signals that the host derives from what a deployment does, without the module's help.
//!
//! A signal compares the figures of the last [`WINDOW`] intervals with a fixed limit, or with the
//! deployment's own history. Only the failure rate can make a deployment unhealthy. The other
//! signals degrade it: they show a person where to look, and nothing acts on them.
//!
//! *History.* A [`Baseline`] is a mean over about [`HISTORY`] intervals, which is one hour at the
//! default interval. Each interval counts the same, however many runs it had, so that a busy minute
//! does not become the new normal at once. A poor interval changes it less.

use std::collections::VecDeque;

use crate::health::Assessment;

/// Number of the last intervals that are judged together.
pub const WINDOW: usize = 4;
/// Number of intervals that a baseline remembers.
const HISTORY: f64 = 240.0;
/// Number of intervals before a baseline is compared with.
const HISTORY_MIN: u32 = 4;
/// Minimum number of attempts in the window before a rate or a mean is judged.
const ATTEMPTS_MIN: u64 = 10;
/// Share of failed attempts that counts as a failure of the deployment.
const FAILURE_SHARE_MAX: f64 = 0.5;
/// Share of failed attempts that degrades a deployment, if it is also [`RISE`] times its history.
const FAILURE_SHARE_DEGRADED: f64 = 0.1;
/// How many times its history a mean must reach to be abnormal.
const RISE: f64 = 3.0;
/// Minimum rise of the mean duration to be abnormal, in seconds.
const DURATION_RISE_MIN: f64 = 0.02;
/// Minimum rise of the mean fuel to be abnormal.
const FUEL_RISE_MIN: f64 = 1_000_000.0;
/// Share of the memory limit that degrades a deployment.
const MEMORY_SHARE_MAX: f64 = 0.9;
/// Time that the oldest due run may wait, in seconds.
const QUEUE_AGE_MAX: f64 = 300.0;
/// Minimum length of a growing queue that degrades a deployment, in runs.
const QUEUE_MIN: u64 = 100;
/// Minimum number of waiting events of a subscription whose lag grows.
const LAG_MIN: u64 = 1_000;

/// What the host counted of a deployment in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntervalFigures {
    /// Number of attempts that ended.
    pub attempts: u64,
    /// Number of them that failed by the deployment's fault.
    pub failed: u64,
    /// The sum of their durations, in microseconds.
    pub busy_micros: u64,
    /// The sum of their fuel.
    pub fuel: u64,
    /// The maximum memory that one of them used, in bytes.
    pub peak_memory: u64,
    /// The memory limit of a run, in bytes.
    pub memory_limit: u64,
    /// Number of firings of schedules that were late, missed or dropped.
    pub irregular_firings: u64,
    /// Number of waiting runs at the end of the interval.
    pub queued: u64,
    /// How long the oldest due run waits, in milliseconds.
    pub queue_age_millis: u64,
    /// Number of events that wait for its subscriptions.
    pub lag: u64,
    /// Number of deliveries that died.
    pub dead_deliveries: u64,
}

/// A kind of signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SignalKind {
    /// Share of the attempts that failed.
    FailureRate,
    /// Mean duration of an attempt, in seconds.
    Duration,
    /// Mean fuel of an attempt.
    Fuel,
    /// Maximum memory of an attempt, as a share of the limit.
    Memory,
    /// Number of firings that were late, missed or dropped.
    IrregularFirings,
    /// How long the oldest due run waits, in seconds.
    QueueAge,
    /// Number of waiting runs.
    QueueLength,
    /// Number of events that wait for subscriptions.
    SubscriptionLag,
    /// Number of deliveries that died.
    DeadDeliveries,
}

impl SignalKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::FailureRate,
        Self::Duration,
        Self::Fuel,
        Self::Memory,
        Self::IrregularFirings,
        Self::QueueAge,
        Self::QueueLength,
        Self::SubscriptionLag,
        Self::DeadDeliveries,
    ];

    /// Its name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FailureRate => "failure-rate",
            Self::Duration => "duration",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::IrregularFirings => "irregular-firings",
            Self::QueueAge => "queue-age",
            Self::QueueLength => "queue-length",
            Self::SubscriptionLag => "subscription-lag",
            Self::DeadDeliveries => "dead-deliveries",
        }
    }
}

/// A signal with its present value.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthSignal {
    /// What it measures.
    pub kind: SignalKind,
    /// Its value over the last intervals, in the unit of its kind.
    pub value: f64,
    /// The value from which it is abnormal; `None` if there is too little history.
    pub limit: Option<f64>,
    /// What is wrong, if it is abnormal.
    pub problem: Option<String>,
}

/// The usual value of a mean, over about [`HISTORY`] intervals.
#[derive(Debug, Clone, Copy, Default)]
struct Baseline {
    mean: f64,
    intervals: u32,
}

impl Baseline {
    fn add(&mut self, value: f64, abnormal: bool) {
        let share = if abnormal { 1.0 / HISTORY } else { 1.0 / f64::from(self.intervals + 1) };
        self.mean += (value - self.mean) * share.max(1.0 / HISTORY);
        self.intervals = self.intervals.saturating_add(1);
    }

    /// Returns the value from which a mean is abnormal: [`RISE`] times the usual one, and at least
    /// `rise_min` above it.
    fn limit(self, rise_min: f64) -> Option<f64> {
        (self.intervals >= HISTORY_MIN).then(|| (self.mean * RISE).max(self.mean + rise_min))
    }
}

/// The figures of a deployment's last intervals, and its history.
#[derive(Debug, Clone, Default)]
pub struct SignalMonitor {
    window: VecDeque<IntervalFigures>,
    failure_share: Baseline,
    seconds: Baseline,
    fuel: Baseline,
}

impl SignalMonitor {
    /// Forgets the last intervals, because they say nothing about the deployment as it is now. The
    /// history stays.
    pub fn forget_window(&mut self) {
        self.window.clear();
    }

    /// Adds the figures of an interval. Returns what the last intervals show, and every signal with
    /// its value.
    pub fn observe(&mut self, figures: IntervalFigures) -> (Assessment, Vec<HealthSignal>) {
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(figures);
        let mut signals = Vec::with_capacity(9);
        let attempts = self.sum(|it| it.attempts);
        let failing = self.judge_attempts(attempts, figures, &mut signals);
        self.judge_waiting(figures, &mut signals);
        let mut assessment = if attempts > 0 { Assessment::Healthy } else { Assessment::NoEvidence };
        for problem in signals.iter().filter_map(|signal| signal.problem.clone()) {
            assessment = assessment.or_worse(Assessment::Degraded(problem));
        }
        if let Some(problem) = failing {
            assessment = assessment.or_worse(Assessment::Failed(problem));
        }
        (assessment, signals)
    }

    /// Judges what the attempts did. Returns a description of the failure rate if it is that of a
    /// deployment that does not work.
    fn judge_attempts(
        &mut self,
        attempts: u64,
        figures: IntervalFigures,
        signals: &mut Vec<HealthSignal>,
    ) -> Option<String> {
        let failed = self.sum(|it| it.failed);
        let enough = attempts >= ATTEMPTS_MIN;
        let share = ratio(failed, attempts);
        let limit = self
            .failure_share
            .limit(0.0)
            .map_or(FAILURE_SHARE_MAX, |limit| limit.clamp(FAILURE_SHARE_DEGRADED, FAILURE_SHARE_MAX));
        let text = format!("{failed} of the last {attempts} attempts failed");
        let failing = (enough && share >= FAILURE_SHARE_MAX).then(|| text.clone());
        let problem = (enough && share >= limit).then_some(text);
        let seconds = ratio(self.sum(|it| it.busy_micros), attempts) / 1e6;
        let fuel = ratio(self.sum(|it| it.fuel), attempts);
        let slow = self.seconds.limit(DURATION_RISE_MIN);
        let costly = self.fuel.limit(FUEL_RISE_MIN);
        let is_over = |value: f64, limit: Option<f64>| enough && limit.is_some_and(|limit| value >= limit);
        let abnormal = [problem.is_some(), is_over(seconds, slow), is_over(fuel, costly)];
        signals.push(HealthSignal { kind: SignalKind::FailureRate, value: share, limit: Some(limit), problem });
        signals.push(HealthSignal {
            kind: SignalKind::Duration,
            value: seconds,
            limit: slow,
            problem: abnormal[1].then(|| {
                format!("an attempt takes {seconds:.3} s on average; the usual time is {:.3} s", self.seconds.mean)
            }),
        });
        signals.push(HealthSignal {
            kind: SignalKind::Fuel,
            value: fuel,
            limit: costly,
            problem: abnormal[2].then(|| {
                format!("an attempt uses {fuel:.0} fuel on average; the usual amount is {:.0}", self.fuel.mean)
            }),
        });
        if figures.attempts > 0 {
            self.failure_share.add(ratio(figures.failed, figures.attempts), abnormal[0]);
            self.seconds.add(ratio(figures.busy_micros, figures.attempts) / 1e6, abnormal[1]);
            self.fuel.add(ratio(figures.fuel, figures.attempts), abnormal[2]);
        }
        failing
    }

    /// Judges memory, and what waits or was lost.
    fn judge_waiting(&self, figures: IntervalFigures, signals: &mut Vec<HealthSignal>) {
        let peak = self.window.iter().map(|it| it.peak_memory).max().unwrap_or_default();
        let memory = ratio(peak, figures.memory_limit);
        signals.push(above(SignalKind::Memory, memory, MEMORY_SHARE_MAX, || {
            format!("a run used {:.0} % of its memory limit", memory * 100.0)
        }));
        let irregular = self.sum(|it| it.irregular_firings);
        signals.push(above(SignalKind::IrregularFirings, count(irregular), 1.0, || {
            format!("{irregular} firings were late, missed or dropped")
        }));
        let age = ratio(figures.queue_age_millis, 1_000);
        signals.push(above(SignalKind::QueueAge, age, QUEUE_AGE_MAX, || {
            format!("the oldest queued run has waited for {age:.0} s")
        }));
        signals.push(self.growing(SignalKind::QueueLength, |it| it.queued, QUEUE_MIN, "queued runs"));
        signals.push(self.growing(SignalKind::SubscriptionLag, |it| it.lag, LAG_MIN, "waiting events"));
        let dead = self.sum(|it| it.dead_deliveries);
        signals.push(above(SignalKind::DeadDeliveries, count(dead), 1.0, || format!("{dead} deliveries are dead")));
    }

    /// Returns the signal of a number that is abnormal if it is at least `min` and has grown in
    /// each interval of a whole window.
    fn growing(&self, kind: SignalKind, of: impl Fn(&IntervalFigures) -> u64, min: u64, what: &str) -> HealthSignal {
        let numbers: Vec<_> = self.window.iter().map(of).collect();
        let last = numbers.last().copied().unwrap_or_default();
        let grows = numbers.len() == WINDOW && numbers.is_sorted_by(|before, after| before < after);
        let problem =
            (last >= min && grows).then(|| format!("there are {last} {what}, and their number keeps growing"));
        HealthSignal { kind, value: count(last), limit: grows.then_some(count(min)), problem }
    }

    fn sum(&self, of: impl Fn(&IntervalFigures) -> u64) -> u64 {
        self.window.iter().map(of).fold(0, u64::saturating_add)
    }
}

fn above(kind: SignalKind, value: f64, limit: f64, problem: impl FnOnce() -> String) -> HealthSignal {
    HealthSignal { kind, value, limit: Some(limit), problem: (value >= limit).then(problem) }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people needs no more than 15 digits")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Returns a share or a mean; 0 of nothing.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calm() -> IntervalFigures {
        IntervalFigures {
            attempts: 100,
            failed: 1,
            busy_micros: 100 * 5_000,
            fuel: 100 * 200_000,
            peak_memory: 4 << 20,
            memory_limit: 16 << 20,
            ..IntervalFigures::default()
        }
    }

    /// Returns a monitor that has seen an hour of usual traffic.
    fn usual() -> SignalMonitor {
        let mut monitor = SignalMonitor::default();
        for _ in 0..240 {
            assert_eq!(monitor.observe(calm()).0, Assessment::Healthy);
        }
        monitor
    }

    fn problems(signals: &[HealthSignal]) -> Vec<SignalKind> {
        signals.iter().filter(|signal| signal.problem.is_some()).map(|signal| signal.kind).collect()
    }

    #[test]
    fn a_deployment_without_runs_shows_nothing() {
        let mut monitor = SignalMonitor::default();
        for _ in 0..10 {
            assert_eq!(monitor.observe(IntervalFigures::default()).0, Assessment::NoEvidence);
        }
    }

    #[test]
    fn half_of_the_attempts_failing_is_a_failure_in_the_second_interval() {
        let mut monitor = usual();
        let bad = IntervalFigures { failed: 100, ..calm() };
        let (first, signals) = monitor.observe(bad);
        assert_eq!(first, Assessment::Degraded("103 of the last 400 attempts failed".to_owned()));
        assert_eq!(problems(&signals), [SignalKind::FailureRate]);
        assert_eq!(monitor.observe(bad).0, Assessment::Failed("202 of the last 400 attempts failed".to_owned()));
    }

    #[test]
    fn few_attempts_decide_nothing() {
        let mut monitor = usual();
        for _ in 0..WINDOW {
            monitor.observe(IntervalFigures::default());
        }
        let (assessment, _) = monitor.observe(IntervalFigures { attempts: 9, failed: 9, ..IntervalFigures::default() });
        assert_eq!(assessment, Assessment::Healthy);
    }

    #[test]
    fn a_deployment_that_always_fails_a_little_is_healthy() {
        let mut monitor = SignalMonitor::default();
        let flaky = IntervalFigures { failed: 8, ..calm() };
        for _ in 0..240 {
            assert_eq!(monitor.observe(flaky).0, Assessment::Healthy);
        }
        let worse = IntervalFigures { failed: 30, ..calm() };
        let kinds: Vec<_> = (0..WINDOW).map(|_| problems(&monitor.observe(worse).1)).collect();
        assert_eq!(kinds.last().unwrap(), &[SignalKind::FailureRate]);
    }

    #[test]
    fn durations_and_fuel_are_compared_with_the_history() {
        let mut monitor = usual();
        let slow = IntervalFigures { busy_micros: 100 * 200_000, ..calm() };
        assert_eq!(problems(&monitor.observe(slow).1), [SignalKind::Duration]);
        let mut monitor = usual();
        let costly = IntervalFigures { fuel: 100 * 20_000_000, ..calm() };
        let (assessment, signals) = monitor.observe(costly);
        assert_eq!(problems(&signals), [SignalKind::Fuel]);
        assert!(matches!(assessment, Assessment::Degraded(reason) if reason.contains("the usual amount is 200000")));
        // Ten times nothing is still nothing.
        let mut monitor = usual();
        let hardly = IntervalFigures { busy_micros: 100 * 24_000, fuel: 100 * 1_100_000, ..calm() };
        assert_eq!(problems(&monitor.observe(hardly).1), []);
    }

    #[test]
    fn a_new_normal_is_learned_within_hours() {
        let mut monitor = usual();
        let slow = IntervalFigures { busy_micros: 100 * 50_000, ..calm() };
        (0..WINDOW).for_each(|_| drop(monitor.observe(slow)));
        let abnormal = (0..2_000).take_while(|_| !problems(&monitor.observe(slow).1).is_empty()).count();
        assert!((50..1_000).contains(&abnormal), "{abnormal}");
    }

    #[test]
    fn a_leak_a_late_firing_and_a_dead_delivery_degrade() {
        for (figures, kind) in [
            (IntervalFigures { peak_memory: 15 << 20, ..calm() }, SignalKind::Memory),
            (IntervalFigures { irregular_firings: 1, ..calm() }, SignalKind::IrregularFirings),
            (IntervalFigures { queue_age_millis: 300_000, ..calm() }, SignalKind::QueueAge),
            (IntervalFigures { dead_deliveries: 1, ..calm() }, SignalKind::DeadDeliveries),
        ] {
            let (assessment, signals) = usual().observe(figures);
            assert_eq!(problems(&signals), [kind]);
            assert!(matches!(assessment, Assessment::Degraded(_)), "{assessment:?}");
        }
    }

    #[test]
    fn only_a_queue_that_keeps_growing_degrades() {
        for (lengths, abnormal) in [
            ([700, 800, 900, 1_000], true),
            ([1_000, 1_000, 1_000, 1_000], false),
            ([900, 800, 900, 1_000], false),
            ([1, 2, 3, 4], false),
        ] {
            let mut monitor = usual();
            let mut last = Vec::new();
            for queued in lengths {
                last = problems(&monitor.observe(IntervalFigures { queued, ..calm() }).1);
            }
            assert_eq!(last.contains(&SignalKind::QueueLength), abnormal, "{lengths:?}");
        }
    }

    proptest! {
        #[test]
        fn any_figures_give_finite_values(
            list in prop::collection::vec(prop::array::uniform11(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()]), 1..20),
        ) {
            let mut monitor = SignalMonitor::default();
            for [attempts, failed, busy_micros, fuel, peak_memory, memory_limit, irregular_firings, queued,
                queue_age_millis, lag, dead_deliveries] in list
            {
                let (_, signals) = monitor.observe(IntervalFigures {
                    attempts, failed, busy_micros, fuel, peak_memory, memory_limit, irregular_firings, queued,
                    queue_age_millis, lag, dead_deliveries,
                });
                prop_assert!(signals.iter().all(|signal| signal.value.is_finite()));
            }
        }
    }
}
