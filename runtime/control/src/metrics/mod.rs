//! The host's own metrics, in families that Prometheus reads.
//!
//! Events are counted as they happen, through handles that each deployment holds. Gauges (running,
//! queued) are set when the metrics are read. The guests' own metrics are in `guest.rs`.

mod alerts;
mod guest;
mod healing;
pub(crate) mod health;
pub(crate) mod hooks;
mod host;
mod ledger;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tidemill_core::breaker::{BreakerMode, BreakerPhase};
use tidemill_core::health::HealthStatus;
use tidemill_core::quotas::Quotas;
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::{FiringCommitResult as Firings, ParkedGroup, Usage};

use alerts::AlertMetrics;
pub(crate) use guest::GuestMetrics;
use healing::HealingMetrics;
use health::{CommitTime, HealthCounters};
use hooks::HookMetrics;
use host::HostGauges;
pub(crate) use ledger::LedgerMetrics;

/// Buckets of attempt durations, in seconds: from half a millisecond for a no-op to five minutes.
const SECONDS: [f64; 10] = [0.000_5, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0, 120.0, 300.0];
/// Buckets of the lateness of firings and events, in seconds. A firing is late from 5 s on.
const LATENESS: [f64; 15] =
    [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 60.0, 3_600.0, 86_400.0];

/// Returns buckets for operations of about a millisecond, from 0.1 ms to 6 s, narrow enough to show
/// a doubling.
fn millisecond_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 1.5, 28))
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeploymentLabels {
    deployment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    deployment: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BreakerLabels {
    deployment: String,
    to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FiringLabels {
    deployment: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabels {
    deployment: String,
    subscription: String,
}

/// A kind of stored data of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UsageLabels {
    deployment: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuotaLabels {
    kind: &'static str,
}

/// Returns the kinds with their amounts.
fn kinds(usage: &Usage) -> [(&'static str, u64); 6] {
    let Usage { runs, state_bytes, payload_bytes, log_bytes, events, topics } = *usage;
    [
        ("runs", runs),
        ("state_bytes", state_bytes),
        ("payload_bytes", payload_bytes),
        ("log_bytes", log_bytes),
        ("events", events),
        ("topics", topics),
    ]
}

/// Every metric family of the host.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    attempts: Family<AttemptLabels, Counter>,
    fuel: Family<DeploymentLabels, Counter>,
    seconds: Family<DeploymentLabels, Histogram, fn() -> Histogram>,
    redone: Family<DeploymentLabels, Counter>,
    firings: Family<FiringLabels, Counter>,
    health: Family<DeploymentLabels, Gauge>,
    running: Family<DeploymentLabels, Gauge>,
    queued: Family<DeploymentLabels, Gauge>,
    breaker: Family<DeploymentLabels, Gauge>,
    breaker_transitions: Family<BreakerLabels, Counter>,
    parked: Family<DeploymentLabels, Gauge>,
    parked_oldest: Family<DeploymentLabels, Gauge>,
    events: Family<FiringLabels, Counter>,
    lag: Family<SubscriptionLabels, Gauge>,
    kept: Family<UsageLabels, Gauge>,
    quota: Family<QuotaLabels, Gauge>,
    pub(crate) events_lost: Counter,
    pub(crate) commits: Histogram,
    pub(crate) commit_time: CommitTime,
    pub(crate) wakes: Histogram,
    pub(crate) lateness: Histogram,
    pub(crate) delivery: Histogram,
    pub(crate) hooks: HookMetrics,
    pub(crate) store_errors: Counter,
    pub(crate) taken_over: Counter,
    pub(crate) host: HostGauges,
    pub(crate) healing: HealingMetrics,
    pub(crate) ledger: LedgerMetrics,
    pub(crate) alerts: AlertMetrics,
    pub(crate) guest: Arc<GuestMetrics>,
}

/// The handles of one deployment, so that runs need no look-up.
#[derive(Debug, Clone)]
pub(crate) struct DeploymentMetrics {
    succeeded: Counter,
    failed: Counter,
    parked: Counter,
    cancelled: Counter,
    retried: Counter,
    handed_back: Counter,
    continued: Counter,
    fuel: Counter,
    seconds: Histogram,
    redone: Counter,
    running: Gauge,
    queued: Gauge,
    breaker: Gauge,
    status: Gauge,
    fired: Counter,
    skipped: Counter,
    dropped: Counter,
    late: Counter,
    missed: Counter,
    pub(crate) delivered: Counter,
    pub(crate) filtered: Counter,
    pub(crate) health: Arc<HealthCounters>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    Succeeded,
    Failed,
    Parked,
    Cancelled,
    Retried,
    /// The host could not begin it; the attempt does not count.
    Refused,
    HandedBack,
    Continued,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tidemill");
        let attempts = Family::default();
        let fuel = Family::default();
        let run_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let redone = Family::default();
        let firings = Family::default();
        let health = Family::default();
        let running = Family::default();
        let queued = Family::default();
        let (breaker, breaker_transitions) = (Family::default(), Family::default());
        let events = Family::default();
        let lag = Family::default();
        let kept = Family::default();
        let quota = Family::default();
        let events_lost = Counter::default();
        let commits = millisecond_buckets();
        let wakes = millisecond_buckets();
        let lateness = Histogram::new(LATENESS);
        let delivery = Histogram::new(LATENESS);
        let (parked, parked_oldest) = (Family::default(), Family::default());
        let hooks = HookMetrics::default();
        hooks.register(&mut registry);
        let store_errors = Counter::default();
        let taken_over = Counter::default();
        let host = HostGauges::default();
        let ledger = LedgerMetrics::default();
        ledger.register(&mut registry);
        let healing = HealingMetrics::default();
        healing.register(&mut registry);
        let alerts = AlertMetrics::default();
        alerts.register(&mut registry);
        let guest = Arc::new(GuestMetrics::default());
        registry.register("attempts", "Attempts that ended, by the state they led to", Family::clone(&attempts));
        registry.register("fuel", "Fuel used by guests", Family::clone(&fuel));
        registry.register("attempt_seconds", "Time from claiming a run to its commit", Family::clone(&run_seconds));
        registry.register(
            "transaction_retries",
            "Transactions retried because of a read conflict",
            Family::clone(&redone),
        );
        registry.register(
            "firings",
            "Firings of schedules, by result; late ones also count as fired",
            Family::clone(&firings),
        );
        registry.register(
            "health",
            "Health of a deployment: 0 unknown, 1 healthy, 2 degraded, 3 unhealthy",
            Family::clone(&health),
        );
        registry.register("running", "Runs that are executing", Family::clone(&running));
        registry.register("queued", "Runs that wait in the store", Family::clone(&queued));
        registry.register(
            "breaker_state",
            "State of the circuit breaker of a deployment: 0 closed or disabled, 1 half-open, 2 open",
            Family::clone(&breaker),
        );
        registry.register(
            "breaker_transitions",
            "Changes of the circuit breaker of a deployment, by the state or mode that it entered",
            Family::clone(&breaker_transitions),
        );
        registry.register("events", "Events processed for subscriptions, by result", Family::clone(&events));
        registry.register("subscription_lag", "Events that wait for a subscription", Family::clone(&lag));
        registry.register("kept", "Data that a deployment stores, by kind", Family::clone(&kept));
        registry.register("quota", "Maximum data that a deployment may store, by kind", Family::clone(&quota));
        registry.register(
            "events_lost",
            "Events removed before they were delivered to a subscription",
            events_lost.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time from the commit request of a run's transaction until it is durable and readable",
            commits.clone(),
        );
        registry.register(
            "wake_lateness_seconds",
            "Time from the end of a run's wait to the commit that resumes it",
            wakes.clone(),
        );
        registry.register("firing_lateness_seconds", "Time from a firing's due time to its commit", lateness.clone());
        registry.register(
            "event_delivery_seconds",
            "Time from an event's commit to the commit that delivers or filters it",
            delivery.clone(),
        );
        registry.register("store_errors", "Failed operations of the store", store_errors.clone());
        registry.register("taken_over", "Runs recovered from a previous epoch", taken_over.clone());
        registry.register("store_syncs", "Disk syncs that confirmed commits", host.syncs.clone());
        registry.register("store_good", "1 if the store can read and write, else 0", host.store_good.clone());
        registry.register_with_unit(
            "store_scrubbed_timestamp",
            "Start time of the last scrub that found everything sound, since 1970",
            Unit::Seconds,
            host.store_scrubbed.clone(),
        );
        registry.register("store_damaged", "1 if the last scrub found damage, else 0", host.store_damaged.clone());
        registry.register(
            "store_scrubs",
            "Scrubs since the start, by what they read (all, or the index after an unclean stop) and found (sound, damaged, failed)",
            Family::clone(&host.scrubs),
        );
        registry.register("suspended", "Suspended runs, in memory or not", host.suspended.clone());
        registry.register(
            "orphaned",
            "Runs recorded as running that this node does not execute",
            host.orphaned.clone(),
        );
        registry.register("parked", "Runs that wait for a person", Family::clone(&parked));
        registry.register_with_unit(
            "parked_oldest_timestamp",
            "Unix time at which the oldest parked run was parked; 0 if no run is parked",
            Unit::Seconds,
            Family::clone(&parked_oldest),
        );
        registry.register_with_unit(
            "store_index_live",
            "Size of all records of the store's index with their keys; 0 until counted",
            Unit::Bytes,
            host.index_live_bytes.clone(),
        );
        registry.register_with_unit(
            "store_index_used",
            "Size of the store's index files, which are rewritten at three times the size of their records",
            Unit::Bytes,
            host.index_used_bytes.clone(),
        );
        registry.register("guests_running", "Guests in memory", host.guests_running.clone());
        registry.register("guests_waiting", "Guests that wait for room in the pool", host.guests_waiting.clone());
        registry.register("modules", "Components whose code is in memory", host.modules.clone());
        registry.register("components_compiled", "Components compiled since the start", host.compiled.clone());
        registry.register(
            "components_loaded",
            "Components loaded from the code cache since the start",
            host.loaded.clone(),
        );
        registry.register_collector(Box::new(std::sync::Arc::clone(&guest)));
        Self {
            registry,
            attempts,
            fuel,
            seconds: run_seconds,
            redone,
            firings,
            health,
            running,
            queued,
            breaker,
            breaker_transitions,
            parked,
            parked_oldest,
            events,
            lag,
            kept,
            quota,
            events_lost,
            commits,
            commit_time: CommitTime::default(),
            wakes,
            lateness,
            delivery,
            hooks,
            store_errors,
            taken_over,
            host,
            healing,
            ledger,
            alerts,
            guest,
        }
    }
}

impl Metrics {
    /// Records the time of a commit, from its request until it was durable and readable.
    pub(crate) fn observe_commit(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
        self.commit_time.add(took);
    }

    /// Sets the number of parked runs of each deployment and the time since which the oldest is
    /// parked. Deployments that are not in `groups` have none.
    pub(crate) fn set_parked(&self, groups: &[ParkedGroup]) {
        self.parked.clear();
        self.parked_oldest.clear();
        let mut all: BTreeMap<&str, (u64, Timestamp)> = BTreeMap::new();
        for group in groups {
            let (runs, oldest) = all.entry(group.deployment.as_str()).or_insert((0, Timestamp::MAX));
            *runs += group.runs;
            *oldest = group.oldest.min(*oldest);
        }
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        for (deployment, (runs, oldest)) in all {
            let of = DeploymentLabels { deployment: deployment.to_owned() };
            self.parked.get_or_create(&of).set(number(runs));
            self.parked_oldest.get_or_create(&of).set(number(oldest.as_millis() / 1000));
        }
    }

    /// Encodes all families in the OpenMetrics text format, which Prometheus reads.
    ///
    /// # Errors
    /// Never, because writing into a `String` does not fail; the encoder's signature requires it.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Returns the handles of one deployment.
    pub(crate) fn of(&self, deployment: &str) -> DeploymentMetrics {
        let ended =
            |state| self.attempts.get_or_create_owned(&AttemptLabels { deployment: deployment.to_owned(), state });
        let fired =
            |result| self.firings.get_or_create_owned(&FiringLabels { deployment: deployment.to_owned(), result });
        let event =
            |result| self.events.get_or_create_owned(&FiringLabels { deployment: deployment.to_owned(), result });
        let one = DeploymentLabels { deployment: deployment.to_owned() };
        DeploymentMetrics {
            succeeded: ended("succeeded"),
            failed: ended("failed"),
            parked: ended("parked"),
            cancelled: ended("cancelled"),
            retried: ended("retried"),
            handed_back: ended("handed-back"),
            continued: ended("continued"),
            fuel: self.fuel.get_or_create_owned(&one),
            seconds: self.seconds.get_or_create_owned(&one),
            redone: self.redone.get_or_create_owned(&one),
            running: self.running.get_or_create_owned(&one),
            queued: self.queued.get_or_create_owned(&one),
            breaker: self.breaker.get_or_create_owned(&one),
            status: self.health.get_or_create_owned(&one),
            fired: fired("fired"),
            skipped: fired("skipped"),
            dropped: fired("dropped"),
            late: fired("late"),
            missed: fired("missed"),
            delivered: event("delivered"),
            filtered: event("filtered"),
            health: Arc::default(),
        }
    }

    /// Counts a change of a breaker to a state or mode.
    pub(crate) fn count_breaker(&self, deployment: &str, to: &'static str) {
        self.breaker_transitions.get_or_create(&BreakerLabels { deployment: deployment.to_owned(), to }).inc();
    }

    /// Sets the number of events that wait for a subscription; `None` removes a subscription that
    /// no longer exists.
    pub(crate) fn set_lag(&self, deployment: &str, subscription: &str, waiting: Option<u64>) {
        let of = SubscriptionLabels { deployment: deployment.to_owned(), subscription: subscription.to_owned() };
        match waiting {
            Some(waiting) => {
                self.lag.get_or_create(&of).set(i64::try_from(waiting).unwrap_or(i64::MAX));
            }
            None => {
                self.lag.remove(&of);
            }
        }
    }

    /// Sets the amount that each deployment stores, and its quota.
    pub(crate) fn set_usage(&self, usage: &[(DeploymentName, Usage)], quotas: &Quotas) {
        let gauge = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        // The list leaves out a deployment that stores nothing any more.
        self.kept.clear();
        for (deployment, usage) in usage {
            for (kind, amount) in kinds(usage) {
                let of = UsageLabels { deployment: deployment.to_string(), kind };
                self.kept.get_or_create(&of).set(gauge(amount));
            }
        }
        let Quotas { runs, state_bytes, payload_bytes, log_bytes, events, topics } = *quotas;
        for (kind, amount) in kinds(&Usage { runs, state_bytes, payload_bytes, log_bytes, events, topics }) {
            self.quota.get_or_create(&QuotaLabels { kind }).set(gauge(amount));
        }
    }

    /// Removes the series of a deleted deployment.
    pub(crate) fn forget(&self, deployment: &str) {
        for state in ["succeeded", "failed", "parked", "cancelled", "retried", "handed-back", "continued"] {
            self.attempts.remove(&AttemptLabels { deployment: deployment.to_owned(), state });
        }
        for result in ["fired", "skipped", "dropped", "late", "missed"] {
            self.firings.remove(&FiringLabels { deployment: deployment.to_owned(), result });
        }
        for result in ["delivered", "filtered"] {
            self.events.remove(&FiringLabels { deployment: deployment.to_owned(), result });
        }
        let one = DeploymentLabels { deployment: deployment.to_owned() };
        self.fuel.remove(&one);
        self.seconds.remove(&one);
        self.redone.remove(&one);
        self.health.remove(&one);
        self.running.remove(&one);
        self.queued.remove(&one);
        self.breaker.remove(&one);
        for phase in [BreakerPhase::Closed, BreakerPhase::HalfOpen, BreakerPhase::Open] {
            self.breaker_transitions.remove(&BreakerLabels { deployment: deployment.to_owned(), to: phase.as_str() });
        }
        for mode in BreakerMode::ALL {
            self.breaker_transitions.remove(&BreakerLabels { deployment: deployment.to_owned(), to: mode.as_str() });
        }
        self.guest.forget(deployment);
    }
}

impl DeploymentMetrics {
    pub(crate) fn ended(&self, how: AttemptEnd, fuel: u64, took: Duration) {
        match how {
            AttemptEnd::Succeeded => &self.succeeded,
            AttemptEnd::Failed => &self.failed,
            AttemptEnd::Parked => &self.parked,
            AttemptEnd::Cancelled => &self.cancelled,
            AttemptEnd::Retried | AttemptEnd::Refused => &self.retried,
            AttemptEnd::HandedBack => &self.handed_back,
            AttemptEnd::Continued => &self.continued,
        }
        .inc();
        self.fuel.inc_by(fuel);
        self.seconds.observe(took.as_secs_f64());
    }

    /// Counts the result of one tick of a schedule.
    pub(crate) fn firings(&self, fired: &Firings) {
        self.fired.inc_by(fired.fired.len() as u64);
        for (counter, count) in [
            (&self.skipped, fired.skipped),
            (&self.dropped, fired.dropped),
            (&self.late, fired.late),
            (&self.missed, fired.missed),
        ] {
            if count > 0 {
                counter.inc_by(count);
            }
        }
    }

    /// Returns the number of firings that were late, missed or dropped.
    pub(crate) fn irregular_firings(&self) -> u64 {
        [&self.late, &self.missed, &self.dropped].iter().map(|counter| counter.get()).sum()
    }

    pub(crate) fn redone(&self) {
        self.redone.inc();
    }

    pub(crate) fn set_health(&self, status: HealthStatus) {
        self.status.set(match status {
            HealthStatus::Unknown => 0,
            HealthStatus::Healthy => 1,
            HealthStatus::Degraded => 2,
            HealthStatus::Unhealthy => 3,
        });
    }

    pub(crate) fn set_breaker(&self, phase: BreakerPhase) {
        self.breaker.set(match phase {
            BreakerPhase::Closed => 0,
            BreakerPhase::HalfOpen => 1,
            BreakerPhase::Open => 2,
        });
    }

    pub(crate) fn set_gauges(&self, running: u32, queued: u64) {
        self.running.set(running.into());
        self.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_deployment_are_encoded_until_it_is_forgotten() {
        let metrics = Metrics::default();
        let figures = metrics.of("uptime");
        figures.ended(AttemptEnd::Succeeded, 1234, Duration::from_millis(3));
        figures.set_gauges(2, 7);
        figures.set_breaker(BreakerPhase::Open);
        metrics.count_breaker("uptime", BreakerPhase::Open.as_str());
        let text = metrics.encode().unwrap();
        for line in [
            "tidemill_attempts_total{deployment=\"uptime\",state=\"succeeded\"} 1",
            "tidemill_fuel_total{deployment=\"uptime\"} 1234",
            "tidemill_attempt_seconds_count{deployment=\"uptime\"} 1",
            "tidemill_running{deployment=\"uptime\"} 2",
            "tidemill_queued{deployment=\"uptime\"} 7",
            "tidemill_breaker_state{deployment=\"uptime\"} 2",
            "tidemill_breaker_transitions_total{deployment=\"uptime\",to=\"open\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        metrics.forget("uptime");
        assert!(!metrics.encode().unwrap().contains("uptime"));
    }
}
