//! Self-healing: which steps are taken and when, what undoes them, and what no repair touches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tidemill_control::{ControlError, IncidentAction, RunRequest};
use tidemill_core::breaker::BreakerMode;
use tidemill_core::healing::{HealingMode, Incident, IncidentPhase, IncidentSeverity, RepairResult, TimelineEvent};
use tidemill_core::run::{Export, RunState};
use tidemill_core::{Code, Revision};
use tidemill_engine::{ActivationResult, Cause};
use tidemill_store::records::{FeedEvent, IncidentFilter, PageRequest, RunFilter, RunRequestResult};

use crate::fixture::guests::{failure, output};
use crate::fixture::{TestHost, name};

const CHECKED: [Export; 2] = [Export::Workflow, Export::Health];

fn check(healthy: bool) -> ActivationResult {
    output(if healthy { r#"{"status":"healthy"}"# } else { r#"{"status":"unhealthy","reason":"no answer"}"# })
}

/// What the guests of a test do: the checks and the runs of each revision either work or fail.
#[derive(Clone, Default)]
struct Behaviour(Arc<AtomicBool>);

impl Behaviour {
    /// Makes all deployments work, or none.
    fn works(&self, works: bool) {
        self.0.store(works, Ordering::SeqCst);
    }
}

impl TestHost {
    /// Starts a host whose guests follow the behaviour.
    async fn with_behaviour() -> (Self, Behaviour) {
        let world = Self::new(&CHECKED, false).await;
        let behaviour = Behaviour::default();
        behaviour.works(true);
        let works = Arc::clone(&behaviour.0);
        world.guests.act(move |job| {
            let works = works.load(Ordering::SeqCst);
            async move {
                match job.export {
                    Export::Health => check(works),
                    _ if works => output("1"),
                    _ => failure(false, Cause::Trap),
                }
            }
        });
        (world, behaviour)
    }

    /// Moves the clock by one interval of observation, and lets every loop act on it.
    async fn observe_once(&self) {
        self.pass(15_000).await;
    }

    async fn pass(&self, millis: u64) {
        self.clock.advance(millis);
        self.settle().await;
    }

    /// Ticks until runs, checks and repairs have ended.
    async fn settle(&self) {
        for _ in 0..4 {
            self.tick().await;
            self.host.idle().await;
            self.host.health_idle().await;
        }
    }

    /// Deploys a manifest under the name `a`, and observes it until its revision is known to be
    /// healthy.
    async fn deploy_proven(&self, manifest: Value) {
        self.deploy(manifest).await;
        self.settle().await;
        for _ in 0..5 {
            self.observe_once().await;
        }
    }

    async fn incidents(&self) -> Vec<Incident> {
        self.host.incidents(IncidentFilter::default(), PageRequest::first(100)).await.unwrap().items
    }

    /// Returns the only incident.
    async fn incident(&self) -> Incident {
        let mut all = self.incidents().await;
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    async fn events(&self, number: u64) -> Vec<TimelineEvent> {
        self.host.incident(number).await.unwrap().timeline.into_iter().map(|entry| entry.event).collect()
    }

    async fn person(&self, number: u64, action: IncidentAction) -> Result<Incident, ControlError> {
        self.host.act_on_incident(number, action, "ann".to_owned(), "it was me".to_owned()).await
    }

    async fn revision(&self) -> Revision {
        self.store.deployment(&name("a")).await.unwrap().unwrap().revision
    }
}

fn steps(incident: &Incident) -> Vec<(String, RepairResult)> {
    incident.repairs.iter().map(|repair| (repair.step.to_string(), repair.result)).collect()
}

fn taken(all: &[(&str, RepairResult)]) -> Vec<(String, RepairResult)> {
    all.iter().map(|(step, result)| ((*step).to_owned(), *result)).collect()
}

#[tokio::test]
async fn a_step_that_helps_ends_the_incident() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy_proven(json!({ "name": "a" })).await;
    assert_eq!(world.incidents().await, []);
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    let incident = world.incident().await;
    assert_eq!((incident.phase, incident.severity), (IncidentPhase::Verifying, IncidentSeverity::Critical));
    assert_eq!(steps(&incident), taken(&[("retry", RepairResult::Pending)]));
    assert_eq!(incident.detected_at.millis_since(incident.began_at), 30_000);
    behaviour.works(true);
    world.observe_once().await;
    let incident = world.incident().await;
    assert_eq!(incident.phase, IncidentPhase::Resolved);
    assert_eq!(steps(&incident), taken(&[("retry", RepairResult::Effective)]));
    assert_eq!(
        world.events(1).await,
        [TimelineEvent::Detected, TimelineEvent::Assessed, TimelineEvent::Repaired, TimelineEvent::Resolved]
    );
    let feed = world.store.feed(0, 10_000).await.unwrap();
    let phases = feed.into_iter().filter_map(|entry| match entry.event {
        FeedEvent::Incident { number: 1, phase, .. } => Some(phase),
        _ => None,
    });
    let expected =
        [IncidentPhase::Detected, IncidentPhase::Recovering, IncidentPhase::Verifying, IncidentPhase::Resolved];
    assert_eq!(phases.collect::<Vec<_>>(), expected);
    let metrics = world.host.metrics_text().await.unwrap();
    for line in [
        "tidemill_incidents_total{severity=\"critical\"} 1",
        "tidemill_incidents_open 0",
        "tidemill_repairs_total{step=\"retry\",result=\"effective\"} 1",
        "tidemill_incident_recovery_seconds_count 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn the_ladder_is_climbed_step_by_step_and_ends_with_the_quarantine() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy_proven(json!({ "name": "a" })).await;
    behaviour.works(false);
    for _ in 0..40 {
        world.observe_once().await;
    }
    let incident = world.incident().await;
    assert_eq!(incident.phase, IncidentPhase::Escalated);
    let expected = [
        ("retry", RepairResult::Ineffective),
        ("recycle", RepairResult::Ineffective),
        ("quarantine", RepairResult::Effective),
    ];
    assert_eq!(steps(&incident), taken(&expected));
    for pair in incident.repairs.windows(2) {
        assert!(pair[1].at.millis_since(pair[0].at) >= 60_000, "{pair:?}");
    }
    assert_eq!(world.guests.evicted().len(), 1, "recycle drops the code once");
    let pause = world.store.deployment(&name("a")).await.unwrap().unwrap().paused.unwrap();
    assert_eq!(pause.note, "quarantined by incident 1: no answer");
    // A person undoes the quarantine once the cause is gone.
    behaviour.works(true);
    world.person(1, IncidentAction::Undo).await.unwrap();
    world.observe_once().await;
    let incident = world.incident().await;
    assert_eq!(incident.phase, IncidentPhase::Resolved);
    assert_eq!(incident.repairs[2].result, RepairResult::Undone);
    let timeline = world.host.incident(1).await.unwrap().timeline;
    let quarantine = timeline.iter().find(|entry| entry.change.as_deref() == Some("active → paused")).unwrap();
    assert!(quarantine.undone);
}

/// Lets the runs of all revisions but those fail.
fn only_work(world: &TestHost, works: impl Fn(u64) -> bool + Send + Sync + Copy + 'static) {
    world.guests.act(move |job| async move {
        let config: Value = serde_json::from_str(&job.run.config).unwrap();
        let works = works(config["v"].as_u64().unwrap());
        match job.export {
            Export::Health => check(works),
            _ if works => output("1"),
            _ => failure(false, Cause::Trap),
        }
    });
}

async fn deploy_version(world: &TestHost, version: u64) {
    world.deploy(json!({ "name": "a", "config": { "v": version } })).await;
    world.settle().await;
}

#[tokio::test]
async fn a_revision_that_never_worked_is_returned_to_the_last_one_that_did() {
    let world = TestHost::new(&CHECKED, false).await;
    only_work(&world, |version| version == 1);
    deploy_version(&world, 1).await;
    for _ in 0..5 {
        world.observe_once().await;
    }
    deploy_version(&world, 2).await;
    for _ in 0..12 {
        world.request("a").await;
    }
    world.settle().await;
    let incident = world.incident().await;
    assert_eq!(incident.repairs[0].step.kind(), "rollback", "{incident:#?}");
    assert_eq!((world.revision().await, incident.revision), (Revision::new(3), Some(Revision::new(2))));
    world.observe_once().await;
    let incident = world.incident().await;
    assert_eq!((incident.phase, incident.repairs[0].result), (IncidentPhase::Resolved, RepairResult::Effective));
    let timeline = world.host.incident(1).await.unwrap().timeline;
    let repaired = timeline.iter().find(|entry| entry.event == TimelineEvent::Repaired).unwrap();
    assert_eq!(repaired.change.as_deref(), Some("revision 2 → 3, which is as 1"));
    let detected = timeline.iter().find(|entry| entry.event == TimelineEvent::Assessed).unwrap();
    assert!(!detected.evidence.runs.is_empty() && detected.text.contains("never been healthy"), "{detected:?}");
    // A person decides otherwise.
    let undone = world.person(1, IncidentAction::Undo).await.unwrap();
    assert_eq!((world.revision().await, undone.repairs[0].result), (Revision::new(4), RepairResult::Undone));
    let again = world.person(1, IncidentAction::Undo).await.unwrap_err();
    assert_eq!(again.code(), Code::IncidentState);
}

#[tokio::test]
async fn a_rollback_that_does_not_help_is_undone() {
    let world = TestHost::new(&CHECKED, false).await;
    only_work(&world, |_| true);
    deploy_version(&world, 1).await;
    for _ in 0..5 {
        world.observe_once().await;
    }
    only_work(&world, |_| false);
    deploy_version(&world, 2).await;
    for _ in 0..9 {
        world.observe_once().await;
    }
    let incident = world.incident().await;
    assert_eq!(steps(&incident)[0], ("rollback".to_owned(), RepairResult::Undone), "{incident:#?}");
    assert_eq!(world.revision().await, Revision::new(4), "revision 3 was the rollback");
    let stored = world.store.deployment(&name("a")).await.unwrap().unwrap();
    assert!(stored.manifest.contains("\"v\":2"), "{}", stored.manifest);
}

#[tokio::test]
async fn trouble_that_returns_continues_with_the_next_step() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy_proven(json!({ "name": "a" })).await;
    for turn in 0..2 {
        behaviour.works(false);
        for _ in 0..3 {
            world.observe_once().await;
        }
        behaviour.works(true);
        for _ in 0..2 {
            world.observe_once().await;
        }
        let incident = world.incident().await;
        assert_eq!((incident.phase, incident.returns), (IncidentPhase::Resolved, turn));
    }
    let incident = world.incident().await;
    assert_eq!(
        steps(&incident),
        taken(&[("retry", RepairResult::Effective), ("recycle", RepairResult::Effective)]),
        "{incident:#?}"
    );
    // After ten minutes it is another incident.
    world.pass(600_000).await;
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    assert_eq!(world.incidents().await.len(), 2);
}

#[tokio::test]
async fn what_a_person_has_decided_is_left_alone() {
    for forced in [false, true] {
        let (world, behaviour) = TestHost::with_behaviour().await;
        world.deploy_proven(json!({ "name": "a" })).await;
        behaviour.works(false);
        for _ in 0..2 {
            world.observe_once().await;
        }
        if forced {
            let (mode, note) = (BreakerMode::ForcedClosed, "it must run".to_owned());
            world.host.decide_breaker(&name("a"), mode, note).await.unwrap();
            world.observe_once().await;
            let incident = world.incident().await;
            assert_eq!((incident.phase, steps(&incident)), (IncidentPhase::Escalated, vec![]));
        } else {
            world.host.pause(&name("a"), "maintenance".to_owned()).await.unwrap();
            for _ in 0..10 {
                world.observe_once().await;
            }
            assert_eq!(world.incidents().await, []);
        }
    }
}

#[tokio::test]
async fn a_pause_in_the_middle_of_a_repair_ends_the_repairs() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy_proven(json!({ "name": "a" })).await;
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    world.host.pause(&name("a"), "maintenance".to_owned()).await.unwrap();
    for _ in 0..10 {
        world.observe_once().await;
    }
    let incident = world.incident().await;
    assert_eq!((incident.phase, steps(&incident).len()), (IncidentPhase::Escalated, 1));
    let last = world.host.incident(1).await.unwrap().timeline.pop().unwrap();
    assert_eq!((last.event, last.text.as_str()), (TimelineEvent::Escalated, "the deployment is paused: maintenance"));
}

#[tokio::test]
async fn a_host_that_advises_changes_nothing() {
    for (mode, event) in [("advise", TimelineEvent::Advised), ("off", TimelineEvent::Escalated)] {
        let (world, behaviour) = TestHost::with_behaviour().await;
        world.deploy_proven(json!({ "name": "a", "healing": mode })).await;
        behaviour.works(false);
        for _ in 0..20 {
            world.observe_once().await;
        }
        let incident = world.incident().await;
        assert_eq!((incident.phase, steps(&incident)), (IncidentPhase::Escalated, vec![]));
        assert_eq!(world.events(1).await, [TimelineEvent::Detected, event]);
        assert_eq!(world.revision().await, Revision::new(1));
    }
    let cautious = TestHost::with(&CHECKED, false, |config| config.healing = HealingMode::Off).await;
    cautious.guests.act(|_| async { check(false) });
    cautious.deploy_proven(json!({ "name": "a" })).await;
    assert_eq!(cautious.events(1).await, [TimelineEvent::Detected, TimelineEvent::Escalated]);
}

#[tokio::test]
async fn deployments_that_fail_together_are_one_incident_of_the_host() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    for of in ["a", "b", "c", "d"] {
        world.deploy(json!({ "name": of })).await;
    }
    world.settle().await;
    world.observe_once().await;
    behaviour.works(false);
    for _ in 0..12 {
        world.observe_once().await;
    }
    let open: Vec<_> = world.incidents().await.into_iter().filter(|incident| incident.phase.is_open()).collect();
    assert_eq!(open.len(), 1, "{open:#?}");
    assert_eq!(open[0].deployment, None);
    let all = world.incidents().await;
    assert!(all.iter().all(|incident| incident.repairs.is_empty() || incident.part_of.is_none()), "{all:#?}");
    behaviour.works(true);
    world.observe_once().await;
    assert!(world.incidents().await.iter().all(|incident| !incident.phase.is_open()));
}

#[tokio::test]
async fn a_degraded_deployment_gets_a_warning_and_no_step() {
    let world = TestHost::new(&CHECKED, false).await;
    world.guests.act(|_| async { output(r#"{"status":"degraded","reason":"slow"}"#) });
    world.deploy(json!({ "name": "a" })).await;
    world.settle().await;
    world.observe_once().await;
    assert_eq!(world.incidents().await, [], "one observation may be a coincidence");
    for _ in 0..20 {
        world.observe_once().await;
    }
    let incident = world.incident().await;
    assert_eq!((incident.severity, steps(&incident)), (IncidentSeverity::Warning, vec![]));
    world.guests.act(|_| async { check(true) });
    world.observe_once().await;
    assert_eq!(world.incident().await.phase, IncidentPhase::Resolved);
}

#[tokio::test]
async fn a_standby_takes_new_runs_until_the_deployment_works_again() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy(json!({ "name": "spare", "health": false })).await;
    world.deploy_proven(json!({ "name": "a", "healing": { "standby": "spare", "ladder": ["standby"] } })).await;
    let keyed = || RunRequest { key: Some("order-1".to_owned()), ..RunRequest::new(name("a"), "{}") };
    let first = world.host.invoke(keyed(), Duration::from_secs(60)).await.unwrap().run;
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    assert_eq!(world.incident().await.phase, IncidentPhase::Escalated);
    let RunRequestResult::Created(run) = world.host.request(RunRequest::new(name("a"), "{}")).await.unwrap() else {
        panic!("a new run")
    };
    assert_eq!(run.deployment, name("spare"));
    let again = world.host.invoke(keyed(), Duration::from_secs(60)).await.unwrap().run;
    assert_eq!((again.id, again.deployment), (first.id, name("a")), "the key keeps its run");
    behaviour.works(true);
    world.observe_once().await;
    let incident = world.incident().await;
    assert_eq!((incident.phase, incident.repairs[0].result), (IncidentPhase::Resolved, RepairResult::Undone));
    assert_eq!(world.request("a").await.deployment, name("a"));
}

#[tokio::test]
async fn a_runbook_that_fails_ends_in_the_next_step() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy(json!({ "name": "fix", "health": false, "healing": "off" })).await;
    world.deploy_proven(json!({ "name": "a", "healing": { "ladder": ["runbook:fix", "recycle"] } })).await;
    behaviour.works(false);
    for _ in 0..9 {
        world.observe_once().await;
    }
    let incident = world.incidents().await.into_iter().find(|it| it.deployment == Some(name("a"))).unwrap();
    assert_eq!(incident.repairs[0].result, RepairResult::Ineffective);
    assert_eq!(incident.repairs[1].step.kind(), "recycle");
    let filter = RunFilter { deployment: Some(name("fix")), ..RunFilter::default() };
    let runs = world.runs(filter).await;
    assert_eq!((runs.len(), runs[0].key.as_deref()), (1, Some("incident-1-1")));
    assert!(matches!(runs[0].state, RunState::Parked { .. }));
    let input = world.store.input(runs[0].id).await.unwrap().unwrap();
    let input: Value = serde_json::from_slice(&input).unwrap();
    assert_eq!((&input["incident"], &input["deployment"]), (&json!(1), &json!("a")));
}

#[tokio::test]
async fn a_restart_at_any_moment_takes_no_step_twice_and_loses_none() {
    let mut expected = None;
    for restart in 0..14 {
        let (mut world, behaviour) = TestHost::with_behaviour().await;
        world.deploy_proven(json!({ "name": "a", "health": { "every": "15s" } })).await;
        behaviour.works(false);
        for turn in 1..=14 {
            if turn == restart {
                let old = world.next_epoch().await;
                drop(old);
            }
            world.observe_once().await;
        }
        let incident = world.incident().await;
        let done = (steps(&incident), world.revision().await, incident.phase);
        match &expected {
            None => expected = Some(done),
            // A restart ends the count of failures in a row, so that a step may come later.
            Some(expected) => {
                assert!(expected.0.starts_with(&done.0[..done.0.len().saturating_sub(1)]), "{restart}: {done:?}");
                assert_eq!(done.1, expected.1);
            }
        }
        let timeline = world.host.incident(1).await.unwrap().timeline;
        let repaired = timeline.iter().filter(|entry| entry.event == TimelineEvent::Repaired).count();
        assert_eq!(repaired, incident.repairs.len(), "{timeline:#?}");
    }
}

#[tokio::test]
async fn persons_take_an_incident_on_and_close_it() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy_proven(json!({ "name": "a", "healing": "off" })).await;
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    let incident = world.person(1, IncidentAction::Acknowledge).await.unwrap();
    assert_eq!(incident.acknowledged.unwrap().0, "ann");
    world.person(1, IncidentAction::Comment).await.unwrap();
    assert_eq!(world.person(1, IncidentAction::Undo).await.unwrap_err().code(), Code::IncidentState);
    let closed = world.person(1, IncidentAction::Close).await.unwrap();
    assert_eq!(closed.phase, IncidentPhase::Closed);
    assert_eq!(world.person(1, IncidentAction::Close).await.unwrap_err().code(), Code::IncidentState);
    assert_eq!(world.person(9, IncidentAction::Comment).await.unwrap_err().code(), Code::IncidentNotFound);
    for _ in 0..5 {
        world.observe_once().await;
    }
    assert_eq!(world.incidents().await.len(), 1, "it is not opened again while the same trouble lasts");
    behaviour.works(true);
    world.observe_once().await;
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    assert_eq!(world.incidents().await.len(), 2);
}

#[tokio::test]
async fn a_deleted_deployment_takes_its_incident_along() {
    let (world, behaviour) = TestHost::with_behaviour().await;
    world.deploy_proven(json!({ "name": "a", "healing": "off" })).await;
    behaviour.works(false);
    for _ in 0..3 {
        world.observe_once().await;
    }
    world.host.delete(&name("a"), true).await.unwrap();
    world.observe_once().await;
    assert_eq!(world.incident().await.phase, IncidentPhase::Closed);
}

#[tokio::test]
async fn a_manifest_cannot_name_itself_a_circle_or_an_unknown_runbook() {
    let world = TestHost::paused().await;
    let refused = async |manifest: Value| match world.try_deploy("1.0.0", manifest).await {
        Err(ControlError::Problems { problems, .. }) => (problems[0].pointer.clone(), problems[0].message.clone()),
        other => panic!("{other:?}"),
    };
    let (pointer, _) = refused(json!({ "name": "a", "healing": { "standby": "a" } })).await;
    assert_eq!(pointer, "/healing/standby");
    world.deploy(json!({ "name": "b", "healing": { "standby": "c" } })).await;
    world.deploy(json!({ "name": "c", "healing": { "standby": "a" } })).await;
    let (pointer, message) = refused(json!({ "name": "a", "healing": { "standby": "b" } })).await;
    assert_eq!((pointer.as_str(), message.as_str()), ("/healing/standby", "the standbys form a circle: a → b → c → a"));
    let (pointer, _) = refused(json!({ "name": "a", "healing": { "ladder": ["runbook:none"] } })).await;
    assert_eq!(pointer, "/healing/ladder/0");
}
