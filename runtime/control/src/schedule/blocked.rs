//! Deployments that request more than a newer policy allows, and blocked schedules: the policy does
//! not allow them, or this process does not know their time zone.
//!
//! A blocked schedule stays due in the store and does not fire. Once it is unblocked, its catch-up
//! policy decides about the times that have passed, as after a downtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidemill_core::{Code, DeploymentName, Policy, ScheduleName, Timestamp};

use crate::deployment::active::{ActiveDeployment, DeploymentMap, manifest_of};
use crate::error::ControlError;
use crate::schedule::monitor::{BlockMap, ScheduleBlock, ScheduleMonitor, count};
use crate::state::ControlPlane;

/// Maximum number of blocked schedules that [`ControlPlane::blocked_text`] names.
const NAMED: usize = 5;

impl ControlPlane {
    /// Applies the policy in force to all deployments: logs what exceeds it, bounds their
    /// concurrency and their queues, and blocks the schedules that it does not allow. Secrets,
    /// origins and limits beyond it have no effect from the next call or run on.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn apply_policy(&self) -> Result<(), ControlError> {
        let _turn = self.0.changes.lock().await;
        self.0.deployments.apply_policy_to_all(&self.0.metrics, &self.0.changes.deleting());
        for live in self.0.deployments.all().values() {
            self.0.admission.node.backlog.enqueue_deployment(&live.limiter);
        }
        self.0.schedules.apply_policy().await
    }

    /// Returns why a schedule is blocked; `None` if it is not.
    #[must_use]
    pub fn block_of(&self, deployment: &DeploymentName, name: &ScheduleName) -> Option<ScheduleBlock> {
        self.0.schedules.blocked.get(deployment, name)
    }

    /// Names blocked schedules with their reasons in a sentence; `None` if there are none.
    #[must_use]
    pub fn blocked_text(&self) -> Option<String> {
        let all = self.0.schedules.blocked.all();
        let named = all.iter().flat_map(|(deployment, schedules)| {
            schedules.iter().map(move |(name, block)| format!("`{deployment}/{name}` ({})", block.detail))
        });
        let named: Vec<_> = named.take(NAMED).collect();
        let more = count(&all).saturating_sub(named.len());
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        let text =
            || format!("schedules that do not fire: {}{rest}; `tidemill schedules list` shows all", named.join(", "));
        (!named.is_empty()).then(text)
    }
}

impl ScheduleMonitor {
    /// Applies the policy. The caller holds the lock of changes, or the host is starting.
    pub(crate) async fn apply_policy(&self) -> Result<(), ControlError> {
        self.log_policy_violations().await?;
        self.refresh_blocked_schedules().await
    }

    async fn log_policy_violations(&self) -> Result<(), ControlError> {
        let policy = self.policy.now();
        if *policy == Policy::default() {
            return Ok(());
        }
        let now = self.clock.now();
        for name in self.deployments.all().keys() {
            let Some(deployment) = self.store.deployment(name).await? else { continue };
            for denied in policy.check(name, &manifest_of(&deployment)?, now) {
                let (field, detail) = (denied.pointer, denied.message);
                tracing::warn!(deployment = %name, field, detail, "deployment exceeds the policy");
            }
        }
        Ok(())
    }

    /// Finds the blocked schedules, and logs those that were blocked or unblocked since the last
    /// check. The caller holds the lock of changes, or the host is starting.
    pub(crate) async fn refresh_blocked_schedules(&self) -> Result<(), ControlError> {
        let (deployments, policy, now) = (self.deployments.all(), self.policy.now(), self.clock.now());
        // This computes the distances of many firings and reads zone files.
        let found = tokio::task::spawn_blocking(move || blocked(&deployments, &policy, now)).await;
        let found = found.map_err(|error| {
            ControlError::refused(Code::Internal, format!("the check of the schedules was interrupted: {error}"))
        })?;
        let found = Arc::new(found);
        let before = self.blocked.0.swap(Arc::clone(&found));
        let freed = each(&before).filter(|(deployment, name, _)| get(&found, deployment, name).is_none());
        let mut freed = freed.peekable();
        if freed.peek().is_some() {
            self.rescheduled.notify_one();
        }
        for (deployment, name, _) in freed {
            tracing::info!(%deployment, schedule = %name, "unblocked schedule");
        }
        for (deployment, name, block) in each(&found) {
            if get(&before, deployment, name) != Some(block) {
                let detail = &block.detail;
                tracing::warn!(%deployment, schedule = %name, detail, "schedule is blocked and does not fire");
            }
        }
        Ok(())
    }
}

fn get<'a>(all: &'a BlockMap, deployment: &DeploymentName, name: &ScheduleName) -> Option<&'a ScheduleBlock> {
    all.get(deployment)?.get(name)
}

fn each(all: &BlockMap) -> impl Iterator<Item = (&DeploymentName, &ScheduleName, &ScheduleBlock)> {
    all.iter().flat_map(|(deployment, schedules)| schedules.iter().map(move |(name, block)| (deployment, name, block)))
}

fn blocked(deployments: &DeploymentMap, policy: &Policy, now: Timestamp) -> BlockMap {
    let by_policy = *policy != Policy::default();
    let of = |live: &ActiveDeployment| blocked_of(live, by_policy.then_some(policy), now);
    let all = deployments.iter().map(|(name, live)| (name.clone(), of(live)));
    all.filter(|(_, schedules)| !schedules.is_empty()).collect()
}

fn blocked_of(
    live: &ActiveDeployment,
    policy: Option<&Policy>,
    now: Timestamp,
) -> BTreeMap<ScheduleName, ScheduleBlock> {
    let unknown: BTreeSet<&String> = live.plan.unknown_zones().collect();
    if policy.is_none() && unknown.is_empty() {
        return BTreeMap::new();
    }
    let schedules: Vec<_> = live.plan.schedule_names().filter_map(|name| live.plan.schedule(name)).collect();
    let denied = policy.map(|policy| policy.denied_schedules(&live.deployment.name, &schedules, now));
    let denied = denied.into_iter().flatten().filter_map(|(index, detail)| {
        Some((schedules.get(index)?.name().clone(), ScheduleBlock { by_policy: true, detail }))
    });
    let in_unknown = schedules.iter().filter(|schedule| !schedule.spec().time_zone.is_known()).map(|schedule| {
        let zone = schedule.spec().time_zone.name();
        let detail = format!("the zone data does not have `{zone}`: update it, or deploy with another time zone");
        (schedule.name().clone(), ScheduleBlock { by_policy: false, detail })
    });
    denied.chain(in_unknown).collect()
}
