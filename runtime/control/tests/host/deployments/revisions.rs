//! Deployments: revisions, pauses, deletion, and what a run keeps of the revision that it began
//! with.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::json;
use tidemill_control::{ControlError, HostConfig, RunRequest};
use tidemill_core::manifest::Manifest;
use tidemill_core::policy::PolicyInForce;
use tidemill_core::run::{Export, RunState};
use tidemill_core::{Code, Policy, Revision};
use tidemill_store::records::{PutVersion, RunFilter};
use tokio::sync::Semaphore;

use crate::fixture::guests::output;
use crate::fixture::{TestHost, name};

fn manifest(json: serde_json::Value) -> Manifest {
    Manifest::parse_json(json.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_change_creates_a_revision_and_lists_the_differences() {
    let world = TestHost::paused().await;
    let first = json!({ "name": "a", "module": "module@1.0.0" });
    let made = world.host.deploy(manifest(first.clone()), Some(None), false).await.unwrap();
    assert!(made.created && made.changes.is_empty());
    let same = world.host.deploy(manifest(first), None, false).await.unwrap();
    assert_eq!((same.created, same.deployment.revision, same.changes.len()), (false, Revision::new(1), 0));

    let second = json!({ "name": "a", "module": "module@1.0.0", "priority": 8 });
    let tried = world.host.deploy(manifest(second.clone()), None, true).await.unwrap();
    assert_eq!((tried.deployment.revision, tried.changes[0].pointer.as_str()), (Revision::new(2), "/priority"));
    assert_eq!(world.store.deployment(&name("a")).await.unwrap().unwrap().revision, Revision::new(1));
    let made = world.host.deploy(manifest(second.clone()), Some(Some(Revision::new(1))), false).await.unwrap();
    assert_eq!(made.deployment.revision, Revision::new(2));
    let late = world.host.deploy(manifest(second), Some(Some(Revision::new(1))), false).await.unwrap_err();
    assert_eq!(late.code(), Code::PreconditionFailed);
}

#[tokio::test]
async fn all_problems_are_reported_at_once() {
    let world = TestHost::paused().await;
    let wrong = json!({ "name": "a", "module": "module@1.0.0", "schedules": [
        { "name": "one", "cron": "@daily", "export": "revenue-stream" },
        { "name": "two", "cron": "@daily" },
        { "name": "three", "cron": "@daily", "export": "revenue-stream" },
    ], "subscriptions": [
        { "name": "one", "topic": "x", "export": "revenue-stream" },
        { "name": "two", "topic": "x", "export": "workflow" },
    ] });
    let ControlError::Problems { problems, .. } = world.host.deploy(manifest(wrong), None, false).await.unwrap_err()
    else {
        panic!()
    };
    let said: Vec<_> = problems.iter().map(|problem| (problem.pointer.as_str(), problem.code)).collect();
    let places = ["/schedules/0/export", "/schedules/2/export", "/subscriptions/0/export"];
    assert_eq!(said, places.map(|place| (place, Code::UnknownExport)));
    assert!(problems.iter().all(|problem| problem.message.contains("it has: workflow")), "{problems:?}");
    let unknown = json!({ "name": "a", "module": "module@2.0.0" });
    assert_eq!(world.host.deploy(manifest(unknown), None, false).await.unwrap_err().code(), Code::ModuleNotFound);
}

#[tokio::test]
async fn a_paused_deployment_admits_nothing_and_forgets_nothing() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    world.host.pause(&name("a"), "mending".to_owned()).await.unwrap();
    let invoked = world.host.invoke(RunRequest::new(name("a"), "{}"), Duration::from_millis(1)).await.unwrap();
    assert_eq!((invoked.run.state.is_settled(), invoked.run.state.name()), (false, "queued"));
    world.tick().await;
    assert_eq!(world.guests.begun(), 0);
    world.host.resume(&name("a")).await.unwrap();
    world.tick().await;
    assert_eq!(world.until_settled(invoked.run.id).await.state, RunState::Succeeded);
}

#[tokio::test]
async fn a_queued_run_keeps_the_config_of_its_request() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a", "config": { "rate": 1 } })).await;
    let old = world.request("a").await;
    world.deploy(json!({ "name": "a", "config": { "rate": 2 } })).await;
    let new = world.request("a").await;
    world.guests.act(|job| async move { output(&job.run.config) });
    world.tick().await;
    for (run, rate) in [(old, 1), (new, 2)] {
        world.until_settled(run.id).await;
        let output = world.store.output(run.id).await.unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&output).unwrap()["rate"], rate);
    }
}

#[tokio::test]
async fn a_deployment_with_runs_is_deleted_only_with_them() {
    let world = TestHost::paused().await;
    world.deploy(json!({ "name": "a" })).await;
    let _gate = world.guests.gated("1");
    let running = world.request("a").await;
    world.tick().await;
    world.guests.have_begun(1).await;
    let delayed = RunRequest { delay: Some(Duration::from_secs(60)), ..RunRequest::new(name("a"), "{}") };
    world.host.request(delayed).await.unwrap();
    let refused = world.host.delete(&name("a"), false).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeploymentInUse);
    // A refused deletion changes nothing: the deployment still admits runs.
    world.request("a").await;

    world.host.delete(&name("a"), true).await.unwrap();
    assert_eq!(world.run(running.id).await.state, RunState::Cancelled);
    assert!(world.runs(RunFilter::default()).await.iter().all(|run| run.state == RunState::Cancelled));
    let gone = world.host.request(RunRequest::new(name("a"), "{}")).await.unwrap_err();
    assert_eq!(gone.code(), Code::DeploymentNotFound);
}

#[tokio::test]
async fn other_deployments_change_while_the_runs_of_a_deleted_one_end() {
    let world = TestHost::running().await;
    world.deploy(json!({ "name": "a" })).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    // It ignores its cancellation.
    world.guests.act(move |_| {
        let gate = Arc::clone(&held);
        async move {
            gate.acquire().await.unwrap().forget();
            output("1")
        }
    });
    let running = world.request("a").await;
    world.guests.have_begun(1).await;
    let waiting: Vec<_> = futures_util::future::join_all((0..600).map(|_| {
        let delayed = RunRequest { delay: Some(Duration::from_secs(60)), ..RunRequest::new(name("a"), "{}") };
        world.host.request(delayed)
    }))
    .await;
    assert!(waiting.iter().all(Result::is_ok));
    let deleting = tokio::spawn({
        let host = world.host.clone();
        async move { host.delete(&name("a"), true).await }
    });
    world.until(running.id, |run| run.cancel.is_some()).await;
    world.deploy(json!({ "name": "b" })).await;
    let again = world.try_deploy("1.0.0", json!({ "name": "a", "config": { "n": 2 } })).await.unwrap_err();
    assert_eq!(again.code(), Code::DeploymentInUse);
    assert_eq!(world.host.delete(&name("a"), true).await.unwrap_err().code(), Code::DeploymentInUse);
    gate.add_permits(1);
    deleting.await.unwrap().unwrap();
    assert!(world.runs(RunFilter::default()).await.iter().all(|run| run.state.has_ended()));
    world.deploy(json!({ "name": "a" })).await;
}

#[tokio::test]
async fn uploaded_bytes_are_stored_before_a_version_names_them() {
    let world = TestHost::paused().await;
    let upload = async |bytes: &[u8]| {
        let file = tempfile::NamedTempFile::new_in(world.folder.path()).unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let digest = tidemill_core::ComponentDigest::of(bytes);
        let version = "0.1.0".parse().unwrap();
        world.host.upload("hello".parse().unwrap(), version, file.into_temp_path(), digest, bytes.len() as u64).await
    };
    let uploaded = upload(b"some bytes").await.unwrap();
    assert_eq!(uploaded.put, PutVersion::Created);
    let place = world.folder.path().join("components").join(format!("{}.wasm", uploaded.component.digest.hex()));
    assert_eq!(std::fs::read(&place).unwrap(), b"some bytes");
    assert_eq!(upload(b"some bytes").await.unwrap().put, PutVersion::Same);
    assert_eq!(upload(b"other bytes").await.unwrap_err().code(), Code::VersionHasOtherBytes);
    // Damaged bytes are repaired by the same upload.
    std::fs::write(&place, b"some bytez").unwrap();
    world.guests.damage(Some(uploaded.component.digest));
    assert_eq!(upload(b"some bytes").await.unwrap().put, PutVersion::Same);
    assert_eq!(std::fs::read(&place).unwrap(), b"some bytes");
    world.host.delete_component(uploaded.component.digest).await.unwrap();
    assert!(!place.exists());
    let busy = world.host.delete_component(crate::fixture::component()).await;
    assert!(busy.is_ok(), "nothing runs it: {busy:?}");
}

#[tokio::test]
async fn memory_above_the_hosts_maximum_is_refused() {
    let world = TestHost::paused_with(|config| config.memory_max = 64 << 20).await;
    let with_memory =
        |memory: &str| manifest(json!({ "name": "a", "module": "module@1.0.0", "limits": { "memory": memory } }));
    let ControlError::Problems { code, problems } =
        world.host.deploy(with_memory("65MiB"), None, true).await.unwrap_err()
    else {
        panic!()
    };
    assert_eq!((code, problems[0].pointer.as_str()), (Code::BadManifest, "/limits/memory"));
    assert!(problems[0].fix.contains("--memory-max"), "{problems:?}");
    world.host.deploy(with_memory("64MiB"), None, false).await.unwrap();
}

#[tokio::test]
async fn bytes_that_no_version_names_are_removed_at_the_next_start() {
    let mut world = TestHost::paused().await;
    let folder = world.folder.path().join("components");
    std::fs::create_dir_all(&folder).unwrap();
    let place = |of: &str| folder.join(of);
    let (named, unnamed) = (crate::fixture::component().hex(), tidemill_core::ComponentDigest::of(b"cut off").hex());
    for file in [format!("{named}.wasm"), format!("{unnamed}.wasm"), "notes.txt".to_owned()] {
        std::fs::write(place(&file), b"bytes").unwrap();
    }
    world.host.shutdown(std::time::Duration::from_secs(5)).await;
    world.open_again().await;
    world.next_epoch().await;
    assert!(place(&format!("{named}.wasm")).exists() && place("notes.txt").exists());
    assert!(!place(&format!("{unnamed}.wasm")).exists());
}

fn strict(config: &mut HostConfig) {
    let policy = "[limits]\nfuel = 2_000_000_000\nlifetime = \"1h\"\n[schedules]\nminimum_interval = \"1m\"";
    config.policy.replace(Policy::parse_toml(policy).unwrap());
}

#[tokio::test]
async fn a_deployment_beyond_the_operators_policy_is_refused_with_the_line_to_add() {
    let world = TestHost::paused_with(strict).await;
    let beyond = json!({ "name": "a", "module": "module@1.0.0",
        "limits": { "fuel": 3_000_000_000_u64, "lifetime": "10m" }, "grants": { "secrets": [{ "name": "key", "to": ["https://x.org"] }] },
        "schedules": [{ "name": "s", "every": "10s" }] });
    for dry_run in [true, false] {
        let refused = world.host.deploy(manifest(beyond.clone()), None, dry_run).await.unwrap_err();
        assert_eq!(refused.code(), Code::PolicyDenied);
        let ControlError::Problems { problems, .. } = refused else { panic!() };
        let places: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(places, ["/grants/secrets/0", "/limits/fuel", "/schedules/0"]);
        assert!(problems[1].fix.ends_with("deployments.a.limits.fuel = 3000000000"), "{problems:?}");
    }
    assert!(world.store.deployment(&name("a")).await.unwrap().is_none());
    let within = json!({ "name": "a", "module": "module@1.0.0", "limits": { "lifetime": "10m" } });
    world.host.deploy(manifest(within), None, false).await.unwrap();
}

#[tokio::test]
async fn a_policy_that_became_stricter_bounds_the_next_run() {
    static POLICY: LazyLock<PolicyInForce> = LazyLock::new(PolicyInForce::default);
    let change: fn(&mut HostConfig) = |config| config.policy = POLICY.clone();
    let world = TestHost::with(&[Export::Workflow], true, change).await;
    let wide = json!({ "name": "a", "module": "module@1.0.0", "limits": { "fuel": 9_000_000_000_u64 } });
    world.host.deploy(manifest(wide), None, false).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let fuel = Arc::clone(&seen);
    world.guests.act(move |job| {
        fuel.lock().unwrap().push(job.run.limits.fuel.get());
        async { output("null") }
    });
    let ask = || RunRequest::new(name("a"), "null");
    world.host.invoke(ask(), Duration::from_secs(60)).await.unwrap();
    POLICY.replace(Policy::parse_toml("limits.fuel = 2_000_000_000").unwrap());
    world.host.invoke(ask(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [9_000_000_000, 2_000_000_000]);
}
