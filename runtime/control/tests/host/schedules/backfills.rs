//! Backfills and bulk pauses: operations on schedules, also over restarts.

use serde_json::{Value, json};
use tidemill_control::{BackfillRequest, ScheduleFilter};
use tidemill_core::schedule::Overlap;
use tidemill_core::{Code, ScheduleName, Timestamp};
use tidemill_store::records::{Operation, OperationState, RunFilter};

use crate::fixture::guests::output;
use crate::fixture::{START, TestHost, name};

const MINUTE: u64 = 60_000;

fn often() -> ScheduleName {
    "often".parse().unwrap()
}

fn manifest(deployment: &str, labels: Value) -> Value {
    json!({
        "name": deployment, "concurrency": 50, "labels": labels,
        "schedules": [{ "name": "often", "cron": "* * * * *", "start": START.plus_millis(600 * MINUTE).to_rfc3339() }],
    })
}

/// Creates a schedule ten hours old, a day later.
async fn world() -> TestHost {
    let world = TestHost::paused().await;
    world.clock.set(START.plus_millis(24 * 60 * MINUTE));
    world.deploy(manifest("a", json!({}))).await;
    world.guests.act(|_| async { output("1") });
    world
}

fn ask(start: u64, end: u64, overlap: Option<Overlap>) -> BackfillRequest {
    BackfillRequest {
        deployment: name("a"),
        schedule: often(),
        start: START.plus_millis(start * MINUTE),
        end: START.plus_millis(end * MINUTE),
        overlap,
        key: None,
    }
}

async fn nominal(world: &TestHost) -> Vec<u64> {
    let runs = world.runs(RunFilter::default()).await;
    let minute = |at: Option<Timestamp>| at.unwrap().millis_since(START) / MINUTE;
    let mut times: Vec<_> = runs.iter().map(|run| minute(run.trigger.at)).collect();
    times.sort_unstable();
    times
}

async fn until_done(world: &TestHost, id: &str) -> Operation {
    loop {
        world.tick().await;
        world.host.idle().await;
        let operation = world.host.operation(id).await.unwrap();
        if operation.state == OperationState::Done {
            return operation;
        }
    }
}

#[tokio::test]
async fn a_backfill_creates_one_run_per_nominal_time_over_a_restart() {
    let mut world = world().await;
    let asked = world.host.backfill(ask(500, 1_051, Some(Overlap::Allow))).await.unwrap();
    assert_eq!((asked.total, asked.state), (Some(451), OperationState::Running));
    // The host crashes before the first part. The next epoch executes it, while the old one still
    // acts.
    let old = world.next_epoch().await;
    let (_, turned) = tokio::join!(old.tick_all(), world.host.tick_all());
    turned.unwrap();
    let done = until_done(&world, &asked.id).await;
    assert_eq!((done.matched, done.done, done.failed), (451, 451, 0));
    assert_eq!(nominal(&world).await, (600..1_051).collect::<Vec<_>>());
    let run = world.first_in("succeeded").await;
    assert!(run.trigger.is_backfill() && run.trigger.id.as_deref() == Some(asked.id.as_str()));
    let schedule = world.store.schedule(&name("a"), &often()).await.unwrap().unwrap();
    assert_eq!((schedule.fired, schedule.missed), (0, 0), "its own count is of its own times");
}

#[tokio::test]
async fn repeated_keys_return_the_same_backfill() {
    let world = world().await;
    let keyed = |start, end| BackfillRequest { key: Some("k".to_owned()), ..ask(start, end, Some(Overlap::Allow)) };
    let asked = world.host.backfill(keyed(600, 620)).await.unwrap();
    until_done(&world, &asked.id).await;
    let again = world.host.backfill(keyed(600, 620)).await.unwrap();
    assert_eq!((again.id, again.state), (asked.id, OperationState::Done));
    assert_eq!(world.host.backfill(keyed(600, 621)).await.unwrap_err().code(), Code::IdempotencyMismatch);
    world.tick().await;
    assert_eq!(nominal(&world).await.len(), 20);
}

#[tokio::test]
async fn a_backfill_has_its_own_overlap_policy() {
    for (overlap, made, left_out) in
        [(None, 5, 0), (Some(Overlap::Skip), 1, 4), (Some(Overlap::QueueOne), 2, 3), (Some(Overlap::CancelOther), 5, 0)]
    {
        let world = world().await;
        let asked = world.host.backfill(ask(600, 605, overlap)).await.unwrap();
        let done = until_done(&world, &asked.id).await;
        assert_eq!((done.matched, done.done, done.failed), (5, made, left_out), "{overlap:?}");
        while world.runs(RunFilter::default()).await.iter().any(|run| !run.state.is_settled()) {
            world.tick().await;
            world.host.idle().await;
        }
        assert!(overlap == Some(Overlap::CancelOther) || world.guests.most() == 1, "{overlap:?}");
        assert_eq!(nominal(&world).await.len() as u64, made, "{overlap:?}");
    }
}

#[tokio::test]
async fn a_backfill_waits_while_the_queue_is_full() {
    let world = TestHost::paused_with(|config| config.queue_max = 7).await;
    world.clock.set(START.plus_millis(24 * 60 * MINUTE));
    world.deploy(manifest("a", json!({}))).await;
    world.host.pause(&name("a"), String::new()).await.unwrap();
    let asked = world.host.backfill(ask(600, 620, None)).await.unwrap();
    world.tick().await;
    assert_eq!((world.host.operation(&asked.id).await.unwrap().done, nominal(&world).await.len()), (7, 7));
    world.host.resume(&name("a")).await.unwrap();
    let done = until_done(&world, &asked.id).await;
    assert_eq!((done.done, done.failed), (20, 0));
}

#[tokio::test]
async fn a_cancelled_backfill_creates_no_more_runs() {
    let mut world = TestHost::paused_with(|config| config.queue_max = 7).await;
    world.clock.set(START.plus_millis(24 * 60 * MINUTE));
    world.deploy(manifest("a", json!({}))).await;
    world.guests.act(|_| async { output("1") });
    world.host.pause(&name("a"), String::new()).await.unwrap();
    let asked = world.host.backfill(ask(600, 620, None)).await.unwrap();
    world.tick().await;
    let cancelled = world.host.cancel_operation(&asked.id).await.unwrap();
    assert_eq!((cancelled.state, cancelled.done, cancelled.total), (OperationState::Cancelled, 7, Some(20)));
    world.host.resume(&name("a")).await.unwrap();
    drop(world.next_epoch().await);
    for _ in 0..20 {
        world.tick().await;
        world.host.idle().await;
    }
    assert_eq!(nominal(&world).await, (600..607).collect::<Vec<_>>());
    assert_eq!(world.host.operation(&asked.id).await.unwrap(), cancelled);
}

#[tokio::test]
async fn ranges_must_be_past_nonempty_and_bounded() {
    let world = world().await;
    for (start, end) in [(700, 700), (700, 600), (600, 24 * 60 + 1), (0, 600)] {
        assert_eq!(
            world.host.backfill(ask(start, end, None)).await.unwrap_err().code(),
            Code::BadField,
            "{start}..{end}"
        );
    }
    assert_eq!(world.host.backfill_span(&ask(0, 600, None)).await.unwrap(), None);
    let span = world.host.backfill_span(&ask(0, 660, None)).await.unwrap().unwrap();
    assert_eq!((span.count, span.first), (60, START.plus_millis(600 * MINUTE)));
    world.clock.set(START.plus_millis(200_000 * MINUTE));
    let endless = world.host.backfill(ask(0, 200_000, None)).await.unwrap_err();
    assert!(endless.to_string().contains("100000"), "{endless}");
    let other = BackfillRequest { schedule: "other".parse().unwrap(), ..ask(600, 700, None) };
    assert_eq!(world.host.backfill(other).await.unwrap_err().code(), Code::ScheduleNotFound);
}

#[tokio::test]
async fn a_backfill_ends_if_its_schedule_is_deleted() {
    let world = world().await;
    let asked = world.host.backfill(ask(600, 1_051, Some(Overlap::Allow))).await.unwrap();
    world.deploy(json!({ "name": "a" })).await;
    let done = until_done(&world, &asked.id).await;
    assert_eq!((done.matched, done.done, done.failed), (451, 0, 451));
}

#[tokio::test]
async fn many_schedules_are_paused_and_resumed_at_once() {
    let world = world().await;
    for n in 0..3 {
        world.deploy(manifest(&format!("x{n}"), json!({ "team": "x" }))).await;
    }
    world.host.pause_schedule(&name("x0"), &often(), "its own reason".to_owned()).await.unwrap();
    let filter = ScheduleFilter { deployment: None, labels: vec![("team".to_owned(), "x".to_owned())] };
    let asked = world.host.update_schedules(filter.clone(), Some("moving".to_owned()), None).await.unwrap();
    let done = until_done(&world, &asked.id).await;
    assert_eq!((done.matched, done.done, done.failed), (3, 2, 1));
    let note = async |deployment: &str| {
        let schedule = world.store.schedule(&name(deployment), &often()).await.unwrap().unwrap();
        schedule.paused.map(|pause| pause.note)
    };
    assert_eq!(note("x0").await.as_deref(), Some("its own reason"));
    assert_eq!((note("x2").await.as_deref(), note("a").await), (Some("moving"), None));
    let asked = world.host.update_schedules(ScheduleFilter::default(), None, None).await.unwrap();
    let done = until_done(&world, &asked.id).await;
    assert_eq!((done.matched, done.done, done.failed), (4, 3, 1));
    assert_eq!(note("x0").await, None);
}
