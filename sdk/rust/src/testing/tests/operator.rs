//! Actions on other deployments: once, within grants, and never against a person.

use crate::operator::{self, HealthStatus};
use crate::testing::{Grants, Harness, OperatedDeployment};
use crate::{Error, Result, Retry, Timestamp, sleep, state, step, step_with};
use std::time::Duration;

fn repair(deployment: String) -> Result<(u64, u32)> {
    operator::pause(&deployment, "it fails")?;
    sleep(Duration::from_secs(60))?;
    let revision = match operator::health(&deployment)?.status {
        HealthStatus::Unhealthy => operator::rollback(&deployment, "it still fails")?,
        _ => 0,
    };
    operator::resume(&deployment, "it is repaired")?;
    Ok((revision, operator::retry_parked(&deployment, 5, "it is repaired")?))
}

fn shop() -> OperatedDeployment {
    let since = Timestamp::from_millis(7);
    OperatedDeployment::new().at_revision(7).with_parked_runs(9).with_health(
        HealthStatus::Unhealthy,
        since,
        Some("every run traps"),
    )
}

#[test]
fn a_runbook_acts_once_whenever_it_crashes() {
    let grants = Grants::none().operator(&["pause", "resume", "rollback", "retry"], &["shop"]);
    let harness = Harness::new().grants(grants).operated("shop", shop());
    let run = harness.crash_everywhere(repair, "shop");
    assert_eq!(*run.succeeded(), (8, 5));
    let calls: Vec<_> = run.operator_calls().iter().map(|call| (call.action.as_str(), call.note.as_str())).collect();
    let expected = [
        ("pause", "it fails"),
        ("rollback", "it still fails"),
        ("resume", "it is repaired"),
        ("retry", "it is repaired"),
    ];
    assert_eq!(calls, expected);
    let left = run.operated("shop").unwrap();
    assert_eq!((left.revision(), left.parked_runs(), left.is_paused()), (8, 4, false));
}

#[test]
fn an_action_needs_a_grant_for_itself_and_for_the_deployment() {
    let harness = Harness::new().operated("shop", shop());
    let code = |grants: Grants, deployment: &str| {
        let run = harness.clone().grants(grants).run(repair, deployment);
        (run.failed().code().to_owned(), run.failed().to_string())
    };
    let (not_granted, message) = code(Grants::none(), "shop");
    assert_eq!(not_granted, "host/not-granted");
    assert!(message.contains(r#"operator = { actions = ["pause"], deployments = ["shop"] }"#), "{message}");
    let pause = || Grants::none().operator(&["pause"], &["shop", "gone"]);
    assert_eq!(code(pause(), "other").0, "host/not-granted");
    assert_eq!(code(pause(), "gone").0, "host/deployment-not-found");
    assert_eq!(harness.run(repair, "test").failed().code(), "host/not-granted", "a deployment never operates itself");
}

#[test]
fn an_action_never_overrides_a_person() {
    for deployment in [shop().paused_by_person("hands off"), shop().with_forced_breaker("hands off")] {
        let run = Harness::new().operated("shop", deployment).run(repair, "shop");
        assert_eq!(run.failed().code(), "host/operator-refused");
        assert!(run.failed().to_string().contains("hands off"), "{}", run.failed());
        assert!(run.operator_calls().is_empty());
    }
}

#[test]
fn the_next_attempt_of_a_step_rolls_back_no_further_and_sets_states_again() {
    let work = |(): ()| -> Result<u64> {
        let retry = Retry::times(3).every(Duration::from_secs(1));
        step_with("repair", retry, |attempt| {
            operator::pause("shop", "repair")?;
            let revision = operator::rollback("shop", "repair")?;
            operator::resume("shop", "repair")?;
            if attempt < 3 { Err(Error::retryable("busy", "not yet")) } else { Ok(revision) }
        })
    };
    let run = Harness::new().operated("shop", shop()).crash_everywhere(work, ());
    assert_eq!(*run.succeeded(), 8);
    let count = |action: &str| run.operator_calls().iter().filter(|call| call.action == action).count();
    assert_eq!((count("pause"), count("rollback"), count("resume")), (3, 1, 3));
}

#[test]
fn an_action_after_a_claim_in_the_same_step_is_refused() {
    let work = |(): ()| -> Result<()> {
        step("claim", || -> Result<()> {
            state::compare_and_set("lock", None, &1)?;
            operator::pause("shop", "repair")
        })
    };
    let run = Harness::new().operated("shop", shop()).run(work, ());
    assert_eq!(run.failed().code(), "host/claim-in-step");
    assert!(run.operator_calls().is_empty());
}

#[test]
fn a_generation_acts_a_bounded_number_of_times() {
    let work = |(): ()| -> Result<String> {
        for _ in 0..256 {
            operator::recycle("shop", "again")?;
        }
        Ok(operator::recycle("shop", "once more").unwrap_err().code().to_owned())
    };
    let run = Harness::new().operated("shop", shop()).run(work, ());
    assert_eq!(run.succeeded(), "host/operator-refused");
    assert_eq!(run.operator_calls().len(), 256);
}
