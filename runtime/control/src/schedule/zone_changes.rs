//! Recomputes the next times of schedules after the rules of their time zones have changed.

use std::collections::{BTreeMap, BTreeSet};

use tidemill_core::schedule::Schedule as Plan;
use tidemill_core::zones::{self, Zone};
use tidemill_core::{DeploymentName, Timestamp};
use tidemill_store::records::{Schedule, ScheduleReplan};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::schedule::firing::{before, upcoming};
use crate::schedule::monitor::ScheduleMonitor;
use crate::schedule::zone_data::ZoneReport;
use crate::state::ControlPlane;

impl ControlPlane {
    /// Checks whether the rules of used zones have changed since the last check, and recomputes the
    /// next times of the affected schedules. Returns the number of schedules whose next time
    /// changed.
    ///
    /// # Errors
    /// Errors of the store.
    #[doc(hidden)]
    pub async fn refresh_zones(&self) -> Result<usize, ControlError> {
        self.0.schedules.refresh_zones().await
    }
}

impl ScheduleMonitor {
    /// Checks zone data and the clock at the start. A read-only store does not keep a host from
    /// starting: the loops check again.
    pub(crate) async fn check_clock_and_zones(&self) {
        let now = self.clock.now();
        for warning in ZoneReport::of(now).warnings {
            tracing::warn!(warning, "zone data");
        }
        let looked = self.refresh_zones().await.map(drop);
        if let Err(error) = looked.and(self.refresh_silent_schedules(now).await) {
            tracing::warn!(%error, "could not check the schedules against the clock at the start");
        }
    }

    pub(crate) async fn refresh_zones(&self) -> Result<usize, ControlError> {
        // Reading files blocks. Fingerprints reveal a change even if it happened while the host was
        // down.
        let _ = tokio::task::spawn_blocking(zones::refresh).await;
        let names: BTreeSet<String> =
            self.deployments.all().values().flat_map(|live| live.plan.zones.iter().cloned()).collect();
        let count = names.len();
        let present: BTreeMap<String, u64> = names
            .into_iter()
            .filter_map(|name| name.parse::<Zone>().ok().map(|zone| (name, zone.fingerprint())))
            .collect();
        let unknown = present.len() < count || self.blocked.has_unknown_zones();
        let moved = self.replan_changed(present).await?;
        if unknown {
            let _turn = self.changes.lock().await;
            self.refresh_blocked_schedules().await?;
        }
        Ok(moved)
    }

    /// Reschedules the schedules of zones whose rules have changed. `present` has the current
    /// fingerprints.
    async fn replan_changed(&self, present: BTreeMap<String, u64>) -> Result<usize, ControlError> {
        let known = self.store.zone_marks().await?;
        let changed: BTreeSet<&String> =
            present.iter().filter(|(name, mark)| known.get(*name) != Some(mark)).map(|(name, _)| name).collect();
        if changed.is_empty() {
            return Ok(0);
        }
        let mut moved = 0;
        for live in
            self.deployments.all().values().filter(|live| live.plan.zones.iter().any(|name| changed.contains(name)))
        {
            for name in live.plan.schedule_names() {
                let Some(plan) = live.plan.schedule(name) else { continue };
                if changed.contains(&plan.spec().time_zone.name().to_owned()) {
                    moved += usize::from(self.replan(live, &plan).await?);
                }
            }
        }
        self.store.put_zone_marks(present).await?;
        if moved > 0 {
            let release = zones::data().release.unwrap_or_else(|| "unknown".to_owned());
            tracing::info!(moved, release, "zone data changed; recomputed the next times of schedules");
            self.rescheduled.notify_one();
        }
        Ok(moved)
    }

    /// Recomputes the next time of a schedule by the current rules of its zone. Returns whether it
    /// changed.
    async fn replan(&self, live: &ActiveDeployment, plan: &Plan) -> Result<bool, ControlError> {
        let (deployment, now) = (&live.deployment.name, self.clock.now());
        let Some(stored) = self.store.schedule(deployment, plan.name()).await? else { return Ok(false) };
        let Some(replan) = replanned(&stored, plan, deployment, now) else { return Ok(false) };
        let note = replan.note.clone();
        let done = self.store.replan_schedule(replan, now).await?.is_some();
        if done {
            tracing::info!(%deployment, schedule = %plan.name(), note, "schedule's next time changed");
        }
        Ok(done)
    }
}

/// Returns the change of a schedule's next time by the current rules; `None` if it stays the same
/// or the schedule has no next time.
fn replanned(stored: &Schedule, plan: &Plan, deployment: &DeploymentName, now: Timestamp) -> Option<ScheduleReplan> {
    let seen = stored.next?;
    let from = match stored.through {
        Some(through) => stored.since.map_or(through, |since| since.max(through)),
        // It has not fired since it was created, or an older release wrote it: times before `seen`
        // were processed.
        None => stored.since.unwrap_or(if seen > now { now } else { before(seen) }),
    };
    let next = upcoming(plan, deployment, from);
    if next.is_some_and(|next| next.at == seen) {
        return None;
    }
    let shown = next.map_or_else(|| "none".to_owned(), |next| next.at.to_rfc3339());
    let note =
        format!("the rules of {} changed: {shown} instead of {}", plan.spec().time_zone.name(), seen.to_rfc3339());
    Some(ScheduleReplan {
        deployment: deployment.clone(),
        name: stored.name.clone(),
        revision: stored.revision,
        seen: Some(seen),
        next,
        through: None,
        change: "rescheduled",
        note,
    })
}
