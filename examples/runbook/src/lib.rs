//! Gives another deployment a rest: pauses it, waits, and resumes it. Repeats that with a longer
//! wait while the deployment stays unhealthy, and retries its parked runs at the end.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidemill_sdk::operator::{self, HealthStatus};
use tidemill_sdk::{Result, Schema, context, info, sleep};

/// Maximum number of parked runs to retry.
const RETRIES: u32 = 50;

/// The input of a run.
#[derive(Deserialize, Schema)]
struct Trouble {
    /// The deployment that needs a rest.
    deployment: String,
    /// The reason, for the people who read what happened.
    why: String,
}

/// `[config]` of the manifest.
#[derive(Deserialize)]
struct Config {
    /// Duration of the first rest, in seconds.
    rest_seconds: u64,
    /// Time for which a resumed deployment works before its health counts, in seconds.
    trial_seconds: u64,
    /// Maximum number of rests.
    rests: u32,
}

/// The output of a run.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Report {
    rests: u32,
    healthy: bool,
    retried: u32,
}

#[tidemill_sdk::workflow]
fn rest(trouble: Trouble) -> Result<Report> {
    let config: Config = context::config()?;
    let Trouble { deployment, why } = &trouble;
    let (mut rests, mut healthy) = (0, false);
    while rests < config.rests && !healthy {
        pause_for(deployment, why, Duration::from_secs(config.rest_seconds << rests.min(10)))?;
        rests += 1;
        sleep(Duration::from_secs(config.trial_seconds))?;
        let health = operator::health(deployment)?;
        healthy = health.status != HealthStatus::Unhealthy;
        info!("{deployment} after a rest"; status = health.status.as_str(), rests = rests);
    }
    let retried = match healthy {
        true => operator::retry_parked(deployment, RETRIES, "the deployment works again")?,
        false => 0,
    };
    Ok(Report { rests, healthy, retried })
}

/// Pauses a deployment for a while. It is resumed also if this run is cancelled in between.
fn pause_for(deployment: &str, why: &str, span: Duration) -> Result<()> {
    operator::pause(deployment, why)?;
    let slept = sleep(span);
    match operator::resume(deployment, "the rest is over") {
        // The first call after a cancellation only returns the notice.
        Err(notice) if notice.is_cancelled() => {
            operator::resume(deployment, "the runbook was cancelled")?;
            Err(notice)
        }
        resumed => resumed.and(slept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tidemill_sdk::Timestamp;
    use tidemill_sdk::testing::{Harness, OperatedDeployment};

    fn input() -> Value {
        json!({ "deployment": "hello", "why": "its upstream answers 503" })
    }

    fn harness(hello: OperatedDeployment) -> Harness {
        Harness::new().manifest(include_str!("../tidemill.toml")).operated("hello", hello)
    }

    fn of_health(status: HealthStatus) -> OperatedDeployment {
        OperatedDeployment::new().with_parked_runs(3).with_health(status, Timestamp::from_millis(0), None)
    }

    #[test]
    fn a_deployment_that_works_after_a_rest_gets_its_parked_runs_back() {
        let ran = harness(of_health(HealthStatus::Healthy)).crash_everywhere(rest, input());
        assert_eq!(*ran.succeeded(), Report { rests: 1, healthy: true, retried: 3 });
        let actions: Vec<_> = ran.operator_calls().iter().map(|call| call.action.as_str()).collect();
        assert_eq!(actions, ["pause", "resume", "retry"]);
        assert_eq!(ran.operator_calls()[0].note, "its upstream answers 503");
        assert_eq!(ran.elapsed(), Duration::from_secs(120));
    }

    #[test]
    fn each_further_rest_is_twice_as_long() {
        let ran = harness(of_health(HealthStatus::Unhealthy)).crash_everywhere(rest, input());
        assert_eq!(*ran.succeeded(), Report { rests: 3, healthy: false, retried: 0 });
        assert_eq!(ran.elapsed(), Duration::from_secs(60 + 120 + 240 + 3 * 60));
        assert!(!ran.operated("hello").unwrap().is_paused());
    }

    #[test]
    fn a_deployment_that_a_person_paused_is_left_alone() {
        let ran = harness(of_health(HealthStatus::Healthy).paused_by_person("moving")).run(rest, input());
        assert_eq!(ran.failed().code(), "host/operator-refused");
        assert!(ran.operator_calls().is_empty());
    }

    #[test]
    fn a_cancelled_rest_never_leaves_the_deployment_paused() {
        harness(of_health(HealthStatus::Healthy)).cancel_everywhere(rest, input(), |ran| {
            assert!(!ran.operated("hello").unwrap().is_paused());
        });
    }
}
