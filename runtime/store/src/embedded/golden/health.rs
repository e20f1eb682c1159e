//! A value of each type about health that is encoded as a record.

use tidemill_core::health::{HealthStatus, HealthTransition, Outage};

use super::at;
use super::records::Rows;
use crate::embedded::tables::{HEALTH, META};
use crate::records::FeedEvent;

pub(super) fn health(rows: &mut Rows) {
    rows.add(META, "alive", &at(1));
    rows.add(META, "outages", &vec![Outage { from: at(1), to: at(300) }]);
    let (from, to) = (HealthStatus::Unknown, HealthStatus::Degraded);
    let change = HealthTransition { at: at(1), from, to, reason: "the queue grows".to_owned() };
    rows.add(HEALTH, "change of the health of a deployment", &change);
    super::alerts::alerts(rows);
    super::healing::healing(rows);
}

pub(super) fn event() -> FeedEvent {
    FeedEvent::Health {
        deployment: "shop".parse().unwrap(),
        from: HealthStatus::Healthy,
        to: HealthStatus::Unhealthy,
        reason: "3 failures in a row".to_owned(),
    }
}
