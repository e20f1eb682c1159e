//! The uptime of a deployment over a period, from the changes of its status.

use serde::{Deserialize, Serialize};

use crate::health::{HealthStatus, HealthTransition};
use crate::ids::Timestamp;

/// A period in which the host did not run, so that the status of no deployment is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// When the host was last known to run.
    pub from: Timestamp,
    /// When it started again.
    pub to: Timestamp,
}

/// For how long a deployment worked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uptime {
    /// The time for which its status is known, in milliseconds.
    pub known_millis: u64,
    /// The part of it in which the deployment was healthy or degraded, in milliseconds.
    pub up_millis: u64,
}

impl Uptime {
    /// Returns the uptime as a share of the known time, from 0 to 1; `None` if nothing is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 15 digits")]
    pub fn share(self) -> Option<f64> {
        (self.known_millis > 0).then(|| self.up_millis as f64 / self.known_millis as f64)
    }
}

/// Computes the uptime between `from` and `to`. `transitions` are in order, the newest first.
/// `outages` may overlap.
pub fn uptime<'a>(
    transitions: impl IntoIterator<Item = &'a HealthTransition>,
    outages: &[Outage],
    from: Timestamp,
    to: Timestamp,
) -> Uptime {
    let outages = merged(outages);
    let mut uptime = Uptime::default();
    let mut end = to;
    let mut add = |status: HealthStatus, start: Timestamp, end: Timestamp| {
        let millis = known_millis(&outages, start.max(from), end);
        if status != HealthStatus::Unknown {
            uptime.known_millis += millis;
        }
        if matches!(status, HealthStatus::Healthy | HealthStatus::Degraded) {
            uptime.up_millis += millis;
        }
    };
    let mut before = HealthStatus::Unknown;
    for transition in transitions {
        let start = transition.at.min(end);
        add(transition.to, start, end);
        (end, before) = (start, transition.from);
        if end <= from {
            return uptime;
        }
    }
    add(before, from, end);
    uptime
}

/// Sorts outages and joins those that overlap.
fn merged(outages: &[Outage]) -> Vec<Outage> {
    let mut sorted = outages.to_vec();
    sorted.sort_unstable_by_key(|outage| outage.from);
    let mut merged: Vec<Outage> = Vec::with_capacity(sorted.len());
    for outage in sorted {
        match merged.last_mut() {
            Some(last) if outage.from <= last.to => last.to = last.to.max(outage.to),
            _ => merged.push(outage),
        }
    }
    merged
}

/// Returns the length of a period without the outages in it.
fn known_millis(outages: &[Outage], start: Timestamp, end: Timestamp) -> u64 {
    let unknown: u64 = outages.iter().map(|outage| outage.to.min(end).millis_since(outage.from.max(start))).sum();
    end.millis_since(start).saturating_sub(unknown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    /// Builds the changes to these states at these seconds, the newest first.
    fn changes(list: &[(u64, HealthStatus)]) -> Vec<HealthTransition> {
        let mut from = HealthStatus::Unknown;
        let mut changes: Vec<_> = list
            .iter()
            .map(|(second, to)| HealthTransition {
                at: at(*second),
                from: std::mem::replace(&mut from, *to),
                to: *to,
                reason: String::new(),
            })
            .collect();
        changes.reverse();
        changes
    }

    #[test]
    fn only_known_time_counts() {
        use HealthStatus::{Degraded, Healthy, Unhealthy, Unknown};
        let list = changes(&[(10, Healthy), (20, Unhealthy), (30, Degraded), (40, Unknown)]);
        let seconds = |from, to, outages: &[Outage]| {
            let uptime = uptime(&list, outages, at(from), at(to));
            (uptime.up_millis / 1_000, uptime.known_millis / 1_000)
        };
        assert_eq!(seconds(0, 50, &[]), (20, 30));
        assert_eq!(seconds(15, 35, &[]), (10, 20));
        assert_eq!(seconds(22, 28, &[]), (0, 6));
        assert_eq!(seconds(41, 50, &[]), (0, 0));
        assert_eq!(Uptime::default().share(), None);
        let outages = [Outage { from: at(18), to: at(22) }, Outage { from: at(12), to: at(19) }];
        assert_eq!(seconds(0, 50, &outages), (12, 20), "overlapping outages count once");
    }

    proptest! {
        /// Compares with counting second by second.
        #[test]
        fn each_second_counts_once(
            steps in prop::collection::vec((0u64..20, 0usize..4), 0..20),
            outages in prop::collection::vec((0u64..100, 0u64..30), 0..5),
            from in 0u64..200,
            length in 0u64..200,
        ) {
            let mut second = 0;
            let list: Vec<_> = steps
                .into_iter()
                .map(|(pause, status)| {
                    second += pause;
                    (second, HealthStatus::ALL[status])
                })
                .collect();
            let outages: Vec<_> =
                outages.into_iter().map(|(from, length)| Outage { from: at(from), to: at(from + length) }).collect();
            let (mut up, mut known) = (0, 0);
            for second in from..from + length {
                let status = list.iter().rev().find(|(at, _)| *at <= second).map_or(HealthStatus::Unknown, |it| it.1);
                let dark = outages.iter().any(|outage| outage.from <= at(second) && at(second) < outage.to);
                known += u64::from(!dark && status != HealthStatus::Unknown);
                up += u64::from(!dark && matches!(status, HealthStatus::Healthy | HealthStatus::Degraded));
            }
            let uptime = uptime(&changes(&list), &outages, at(from), at(from + length));
            prop_assert_eq!((uptime.up_millis, uptime.known_millis), (up * 1_000, known * 1_000));
        }
    }
}
