//! One call of a `health` export: with small limits, and outside the deployment's concurrency.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use tidemill_core::clock::Stopwatch;
use tidemill_core::health::Assessment;
use tidemill_core::manifest::Grants;
use tidemill_core::run::{Export, Progress, Trigger, TriggerKind};
use tidemill_core::{Code, DeploymentName, Failure, Fuel, Limits, RunId, Timestamp};
use tidemill_engine::{CancelToken, Cause, CommitOutcome, Outcome, PendingCommit, RunChannel, StartTarget};
use tidemill_store::records::{LogLevel, LogLine};

use crate::deployment::active::ActiveDeployment;
use crate::run::execution::check_activation;
use crate::state::HostState;

/// Time allowed for a stopped guest to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of log lines that are kept of a check.
const LINES_MAX: usize = 20;
/// Maximum size of one of them, in bytes.
const LINE_BYTES: usize = 1_024;

/// The limits of a check, unless those of the deployment are lower.
fn check_limits(own: &Limits) -> Limits {
    Limits {
        fuel: own.fuel.min(Fuel::new(50_000_000)),
        active_millis: own.active_millis.min(1_000),
        log: own.log.min(16 << 10),
        http_calls: own.http_calls.min(10),
        http_bytes: own.http_bytes.min(1 << 20),
        ..own.clone()
    }
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// When it began.
    pub at: Timestamp,
    /// What it shows.
    pub assessment: Assessment,
    /// The code of the failure, if the check itself failed.
    pub code: Option<String>,
    /// Its duration, in milliseconds.
    pub took_millis: u64,
    /// The fuel that it used.
    pub fuel: Fuel,
    /// The first lines that it logged; empty if a later check has ended.
    pub lines: Vec<(LogLevel, String)>,
}

/// Calls the `health` export of a deployment.
pub(crate) async fn check(host: &Arc<HostState>, live: &ActiveDeployment) -> CheckResult {
    let (at, watch) = (host.clock.now(), Stopwatch::start());
    let trigger = Trigger { kind: TriggerKind::HealthCheck, ..Trigger::default() };
    let id = RunId::new(at, rand::random());
    let run = live.new_run(id, Export::Health, trigger, Bytes::from_static(b"null"), at).to_run();
    let cancel = CancelToken::new();
    let channel = Arc::new(CheckChannel { grants: Arc::clone(&live.plan.grants), lines: Mutex::default() });
    let own = host.config.policy.now().bounded(live.deployment.name.as_str(), &live.plan.limits);
    let limits = check_limits(&own);
    let activation = check_activation(host, live, &run, limits, cancel.clone(), Arc::clone(&channel) as _);
    let guest = host.guests.run(activation);
    tokio::pin!(guest);
    let max = host.config.health_check_max;
    let (ended, late) = match tokio::time::timeout(max, &mut guest).await {
        Ok(ended) => (Some(ended), false),
        Err(_) => {
            cancel.terminate();
            (tokio::time::timeout(STOP_TIMEOUT, &mut guest).await.ok(), true)
        }
    };
    let fuel = ended.as_ref().map(|ended| ended.fuel).unwrap_or_default();
    let (assessment, code) = match ended.map(|ended| ended.outcome) {
        Some(outcome) if !late => assessment_of(&outcome),
        _ => {
            let reason = format!("the health check did not end within {} s", max.as_secs());
            (Assessment::Failed(reason), Some(Code::LimitLifetime.as_str().to_owned()))
        }
    };
    let took_millis = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    let lines = std::mem::take(&mut *channel.lines.lock());
    CheckResult { at, assessment: assessment.bounded(), code, took_millis, fuel, lines }
}

/// Returns what the outcome of a check shows, and the code of its failure.
fn assessment_of(outcome: &Outcome) -> (Assessment, Option<String>) {
    #[derive(Deserialize)]
    struct ModuleStatus {
        status: String,
        #[serde(default)]
        reason: String,
    }
    match outcome {
        Outcome::Output(output) => match serde_json::from_slice::<ModuleStatus>(output) {
            Ok(ModuleStatus { status, reason }) => match status.as_str() {
                "healthy" => (Assessment::Healthy, None),
                "degraded" => (Assessment::Degraded(or(reason, "the module is degraded")), None),
                _ => (Assessment::Failed(or(reason, "the module is unhealthy")), None),
            },
            Err(_) => (Assessment::NoEvidence, Some(Code::Internal.as_str().to_owned())),
        },
        // The host could not execute the check, which shows nothing about the module.
        Outcome::Failed { failure, cause: Cause::Host } => (Assessment::NoEvidence, Some(failure.code.clone())),
        Outcome::Failed { failure, .. } => {
            let Failure { code, message, .. } = failure;
            (Assessment::Failed(format!("the health check failed with {code}: {message}")), Some(code.clone()))
        }
        Outcome::Suspended | Outcome::ContinueAsNew { .. } => (Assessment::NoEvidence, None),
    }
}

fn or(reason: String, other: &str) -> String {
    if reason.is_empty() { other.to_owned() } else { reason }
}

/// The channel of a check. The engine refuses every call that would need a commit.
struct CheckChannel {
    grants: Arc<Grants>,
    lines: Mutex<Vec<(LogLevel, String)>>,
}

fn not_in_health_check() -> Failure {
    Code::NotInHealthCheck.failure("a health check does not write")
}

#[async_trait]
impl RunChannel for CheckChannel {
    async fn commit(&self, _pending: PendingCommit) -> Result<CommitOutcome, Failure> {
        Err(not_in_health_check())
    }

    async fn save(&self, _pending: PendingCommit) -> bool {
        false
    }

    async fn target(
        &self,
        _parent: RunId,
        _deployment: &DeploymentName,
        _export: Option<Export>,
        _input: &[u8],
    ) -> Result<StartTarget, Failure> {
        Err(not_in_health_check())
    }

    fn grants(&self) -> Option<Arc<Grants>> {
        Some(Arc::clone(&self.grants))
    }

    fn log(&self, line: LogLine) {
        let mut lines = self.lines.lock();
        if lines.len() < LINES_MAX {
            let mut message = line.message;
            message.truncate(message.floor_char_boundary(LINE_BYTES));
            lines.push((line.level, message));
        }
    }

    fn progress(&self, _progress: Progress) {}

    fn status(&self, _json: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Outcome {
        Outcome::Output(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn the_status_of_the_module_is_its_assessment() {
        for (outcome, assessment) in [
            (output(r#"{"status":"healthy"}"#), Assessment::Healthy),
            (output(r#"{"status":"degraded","reason":"slow"}"#), Assessment::Degraded("slow".to_owned())),
            (output(r#"{"status":"unhealthy","reason":""}"#), Assessment::Failed("the module is unhealthy".to_owned())),
        ] {
            assert_eq!(assessment_of(&outcome), (assessment, None));
        }
    }

    #[test]
    fn a_trap_is_a_failure_and_a_failure_of_the_host_is_none() {
        let failure = Code::Trap.failure("unreachable");
        let trap = Outcome::Failed { failure: failure.clone(), cause: Cause::Trap };
        let (assessment, code) = assessment_of(&trap);
        assert_eq!(assessment, Assessment::Failed("the health check failed with host/trap: unreachable".to_owned()));
        assert_eq!(code.as_deref(), Some("host/trap"));
        let host = Outcome::Failed { failure, cause: Cause::Host };
        assert_eq!(assessment_of(&host).0, Assessment::NoEvidence);
    }

    #[test]
    fn a_check_has_small_limits_and_none_above_the_deployments() {
        let limits = check_limits(&Limits { fuel: Fuel::new(7), ..Limits::default() });
        assert_eq!((limits.fuel, limits.active_millis, limits.http_calls), (Fuel::new(7), 1_000, 10));
    }
}
