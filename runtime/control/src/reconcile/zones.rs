//! Checks periodically whether the system's zone data has changed.

use std::sync::Arc;

use async_trait::async_trait;
use tidemill_core::Timestamp;

use crate::error::ControlError;
use crate::reconcile::{NextTick, Reconciler, TickReport};
use crate::schedule::monitor::ScheduleMonitor;
use crate::state::HostState;

/// Interval between two checks, in milliseconds.
const INTERVAL: u64 = 600_000;

/// The loop that checks for changed zone data.
pub(crate) struct ZoneReconciler {
    schedules: Arc<ScheduleMonitor>,
}

impl ZoneReconciler {
    pub(crate) const NAME: &str = "zones";

    pub(crate) fn new(host: &HostState) -> Self {
        Self { schedules: Arc::clone(&host.schedules) }
    }
}

#[async_trait]
impl Reconciler for ZoneReconciler {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn tick(&self, now: Timestamp) -> Result<TickReport, ControlError> {
        let moved = self.schedules.refresh_zones().await?;
        Ok(TickReport { found: moved, done: moved, failed: 0, next: NextTick::At(now.plus_millis(INTERVAL)) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::{LoopFixture, START};

    #[tokio::test]
    async fn a_tick_recomputes_times_only_if_the_rules_of_a_zone_have_changed() {
        let schedule = json!({ "name": "daily", "cron": "0 9 * * *", "time_zone": "Europe/Berlin" });
        let fixture = LoopFixture::with(json!({ "schedules": [schedule] })).await;
        let zones = ZoneReconciler::new(&fixture.host);
        let next = NextTick::At(START.plus_millis(INTERVAL));
        let nothing = TickReport { found: 0, done: 0, failed: 0, next };
        assert_eq!(zones.tick(START).await.unwrap(), nothing);
        let marks = fixture.store.zone_marks().await.unwrap();
        assert_eq!(marks.keys().collect::<Vec<_>>(), ["Europe/Berlin"]);
        // The stored next time agrees with the rules, so nothing changes.
        let other = marks.into_iter().map(|(name, mark)| (name, mark ^ 1)).collect();
        fixture.store.put_zone_marks(other).await.unwrap();
        assert_eq!(zones.tick(START).await.unwrap(), nothing);
    }
}
