//! Guests that exceed or misuse their limits: each ends with its own code, within its own limit.

use serde_json::{Value, json};
use tidemill_core::Fuel;
use tidemill_core::clock::Stopwatch;
use tidemill_engine::{Cause, Outcome};

use crate::support::{TestHost, failure};

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn an_endless_loop_ends_with_its_fuel() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| limits.fuel = Fuel::new(20_000_000));
    for act in ["loop", "loop-calls"] {
        let ended = job.run(json!({ "do": act })).await;
        assert_eq!(ended.fuel, Fuel::new(20_000_000), "{act}");
        let (failure, cause) = failure(ended);
        assert_eq!((failure.code.as_str(), cause), ("host/limit-fuel", Cause::Limit), "{act}");
        assert!(failure.message.contains("fuel = 40000000"), "{}", failure.message);
    }
}

#[tokio::test]
async fn wasi_calls_cost_as_much_as_other_calls() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let fuel = async |calls: u64| {
        let ended = job.run(json!({ "do": "call-wasi", "calls": calls })).await;
        assert!(matches!(ended.outcome, Outcome::Output(_)), "{:?}", ended.outcome);
        ended.fuel.get()
    };
    let (none, some) = (fuel(0).await, fuel(1_000).await);
    assert!(some - none >= 2 * 1_000 * 500, "{}", some - none);
    assert_eq!(fuel(1_000).await, some, "fuel is the same each time");
    let exact = job.clone().limit(|limits| limits.fuel = Fuel::new(some));
    assert!(matches!(exact.run(json!({ "do": "call-wasi", "calls": 1_000 })).await.outcome, Outcome::Output(_)));
    let short = job.clone().limit(|limits| limits.fuel = Fuel::new(some - 1));
    assert_eq!(short.code(json!({ "do": "call-wasi", "calls": 1_000 })).await, "host/limit-fuel");
}

#[tokio::test]
async fn endless_wasi_calls_end_with_their_fuel() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| limits.fuel = Fuel::new(20_000_000));
    let ended = job.run(json!({ "do": "call-wasi", "calls": u64::MAX })).await;
    assert_eq!(ended.fuel, Fuel::new(20_000_000));
    assert_eq!(failure(ended).0.code, "host/limit-fuel");
}

#[tokio::test]
async fn fuel_of_earlier_attempts_counts() {
    let host = TestHost::new();
    let mut job = host.hostile().await.limit(|limits| limits.fuel = Fuel::new(20_000_000));
    job.fuel_used = Fuel::new(19_999_000);
    let ended = job.run(json!({ "do": "loop" })).await;
    assert_eq!(ended.fuel, Fuel::new(1_000));
    job.fuel_used = Fuel::new(30_000_000);
    assert_eq!(job.code(json!({ "do": "noop" })).await, "host/limit-fuel");
}

#[tokio::test]
async fn an_endless_loop_with_unlimited_fuel_ends_with_its_active_time() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| {
        limits.fuel = Fuel::new(u64::MAX);
        limits.active_millis = 200;
    });
    let watch = Stopwatch::start();
    let (failure, cause) = job.failure(json!({ "do": "loop" })).await;
    assert_eq!((failure.code.as_str(), cause), ("host/limit-active", Cause::Limit));
    assert!(watch.elapsed().as_secs() < 20, "{:?}", watch.elapsed());
    assert_eq!(host.engine.stats().moved, 1);
}

#[tokio::test]
async fn unbounded_memory_ends_at_the_limit_and_the_peak_is_known() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| limits.memory = 16 * MIB);
    let ended = job.run(json!({ "do": "allocate" })).await;
    assert!((8 * MIB..=16 * MIB).contains(&ended.peak_memory), "{}", ended.peak_memory);
    let (failure, cause) = failure(ended);
    assert_eq!((failure.code.as_str(), cause), ("host/limit-memory", Cause::Limit));
    assert!(failure.message.contains("memory = \""), "{}", failure.message);
    let tiny = host.hostile().await.limit(|limits| limits.memory = 64 * 1024);
    assert_eq!(tiny.code(json!({ "do": "noop" })).await, "host/limit-memory");
}

#[tokio::test]
async fn endless_recursion_overflows_the_guests_own_stack() {
    let host = TestHost::new();
    let job = host.hostile().await;
    assert_eq!(job.code(json!({ "do": "recurse" })).await, "host/stack-overflow");
}

#[tokio::test]
async fn traps_name_their_cause_and_stack() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let panicked = "the guest panicked at src/lib.rs:";
    for (act, words) in [("trap", "unreachable"), ("out-of-bounds", "out of bounds"), ("panic", panicked)] {
        let (failure, cause) = job.failure(json!({ "do": act })).await;
        assert_eq!((failure.code.as_str(), cause), ("host/trap", Cause::Trap), "{act}");
        assert!(failure.message.contains(words), "{act}: {}", failure.message);
        let stack: Value = serde_json::from_str(&failure.details.unwrap()).unwrap();
        assert!(stack["stack"].to_string().contains("hostile"), "{stack}");
    }
    assert!(job.channel.messages().iter().any(|line| line.contains("panicked on request")));
}

#[tokio::test]
async fn a_panic_has_its_text_while_replaying_too() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let recorded = job.run(json!({ "do": "now" })).await.journal.unwrap();
    let replay =
        || tidemill_engine::Activation { journal: recorded.clone(), ..job.activation(&json!({ "do": "panic" })) };
    let module = || std::sync::Arc::clone(&job.module);
    let (fails, _) = failure(host.engine.run(module(), replay()).await);
    assert!(fails.message.contains("panicked on request"), "{}", fails.message);
    match host.engine.dry_run(module(), replay()).await {
        tidemill_engine::DryRun::Failed(fails) => assert!(fails.message.contains("panicked on request")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn exit_ends_the_run() {
    let host = TestHost::new();
    let job = host.hostile().await;
    for code in [0, 3] {
        assert_eq!(job.code(json!({ "do": "exit", "code": code })).await, "host/exited");
    }
}

#[tokio::test]
async fn excess_log_is_cut_counted_and_charged() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| {
        limits.fuel = Fuel::new(50_000_000);
        limits.log = 100_000;
    });
    for act in ["log", "print"] {
        assert_eq!(job.code(json!({ "do": act })).await, "host/limit-fuel", "{act}");
        let messages = job.channel.messages();
        assert!(messages.last().unwrap().contains("log lines were dropped"), "{act}");
        job.channel.lines.lock().unwrap().clear();
    }
    job.output(json!({ "do": "log", "bytes": 200_000, "total_bytes": 200_000 })).await;
    let lines = job.channel.lines.lock().unwrap();
    assert!(lines[0].message.len() <= 64 * 1024);
    assert!(lines[0].fields.iter().any(|(name, _)| name == "tidemill.cut-bytes"));
}

#[tokio::test]
async fn oversized_values_are_refused_with_their_own_code() {
    let host = TestHost::new();
    let job = host.hostile().await;
    for (act, code, cause) in [
        (json!({ "do": "big-state" }), "host/limit-state-value", Cause::Guest),
        (json!({ "do": "long-key" }), "host/limit-state-key", Cause::Guest),
        (json!({ "do": "big-random" }), "host/limit-random", Cause::Limit),
        (json!({ "do": "big-output" }), "host/limit-output", Cause::Limit),
    ] {
        let (failure, blamed) = job.failure(act).await;
        assert_eq!((failure.code.as_str(), blamed), (code, cause));
    }
}

/// wasmtime's error for this has no public type: the test pins the text by which the engine
/// recognises it.
#[tokio::test]
async fn oversized_arguments_are_refused_before_they_are_copied() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| limits.memory = 256 * MIB);
    let (failure, cause) = job.failure(json!({ "do": "huge-state" })).await;
    assert_eq!((failure.code.as_str(), cause), ("host/limit-host-call", Cause::Limit));
}

#[tokio::test]
async fn a_run_ends_with_its_lifetime() {
    let host = TestHost::new();
    host.clock.advance(10_000);
    let job = host.hostile().await.limit(|limits| limits.lifetime_millis = Some(5_000));
    assert_eq!(job.code(json!({ "do": "loop" })).await, "host/limit-lifetime");
}

#[tokio::test]
async fn healthy_runs_succeed_next_to_hostile_ones() {
    let host = TestHost::new();
    let hostile = host.hostile().await.limit(|limits| {
        limits.fuel = Fuel::new(u64::MAX);
        limits.active_millis = 500;
    });
    let noop = host.job(host.module(tidemill_artifacts::noop()).await);
    let spinning: Vec<_> = (0..4).map(|_| hostile.spawn(&json!({ "do": "loop" }))).collect();
    for n in 0..50 {
        assert_eq!(noop.output(json!(n)).await, json!(n));
    }
    for one in spinning {
        assert_eq!(failure(one.await.unwrap()).0.code, "host/limit-active");
    }
    let stats = host.engine.stats();
    assert_eq!((stats.running, stats.waiting), (0, 0));
}

#[tokio::test]
async fn runs_beyond_the_pool_wait() {
    let host = TestHost::with(|config| config.concurrency = 2);
    let job = host.job(host.module(tidemill_artifacts::noop()).await);
    let runs = (0..40).map(|n| job.spawn(&json!(n)));
    for run in runs.collect::<Vec<_>>() {
        assert!(matches!(run.await.unwrap().outcome, Outcome::Output(_)));
    }
}

fn nested(levels: usize) -> String {
    "[".repeat(levels) + &"]".repeat(levels)
}

#[tokio::test]
async fn json_that_a_reader_might_refuse_is_refused() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let surrogate = r#"{"name": "\ud83d"}"#.to_owned();
    for bad in [nested(65), surrogate, "1e400".to_owned(), "[-1e999]".to_owned()] {
        let code = async |to: &str| job.code(json!({ "do": "raw", "text": bad, "to": to })).await;
        assert_eq!(code("output").await, "host/output-invalid", "{bad}");
        for to in ["status", "event", "step", "start", "signal"] {
            assert_eq!(code(to).await, "host/bad-argument", "{bad} to {to}");
        }
    }
    assert!(job.channel.status.lock().unwrap().is_empty());
    let deepest = job.output(json!({ "do": "raw", "text": nested(64) })).await;
    assert_eq!(deepest.to_string(), nested(64));
    job.output(json!({ "do": "raw", "text": nested(64), "to": "status" })).await;
    assert_eq!(*job.channel.status.lock().unwrap(), [nested(64)]);
}

#[tokio::test]
async fn details_nested_too_deeply_are_replaced_by_the_reason() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let details: Value = serde_json::from_str(&nested(100)).unwrap();
    let (failure, _) = job.failure(json!({ "do": "fail", "details": details })).await;
    assert!(failure.details.unwrap().contains("nested deeper than 64 levels"));
}

#[tokio::test]
async fn a_guest_can_forward_a_host_code_but_not_forge_one() {
    let host = TestHost::new();
    let job = host.hostile().await;
    let fail = |code: &str| json!({ "do": "fail", "code": code, "message": "send money", "retryable": true });
    let (forged, cause) = job.failure(fail("host/store-damaged")).await;
    assert_eq!((forged.code.as_str(), forged.retryable, cause), ("host/forged-code", true, Cause::Guest));
    assert!(forged.message.contains("`host/store-damaged`") && forged.message.ends_with("send money"));
    assert_eq!(job.code(fail("HOST/limit-fuel")).await, "host/forged-code");
    assert_eq!(job.code(fail("paid\u{1b}]0;x\u{7}\u{202e}")).await, "paid--0-x--");
    assert_eq!(job.code(json!({ "do": "long-key" })).await, "host/limit-state-key");
    let later = json!({ "do": "regardless", "first": { "do": "long-key" }, "then": fail("host/limit-state-key") });
    assert_eq!(job.code(later).await, "host/limit-state-key", "a call has answered it before");
}

#[tokio::test]
async fn empty_log_fields_are_bounded_counted_and_charged() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| limits.log = 1 << 20);
    let ended = job.run(json!({ "do": "log-fields", "lines": 2_000, "fields": 1_000 })).await;
    assert!(ended.fuel.get() > 2_000 * 1_000 * 10, "{}", ended.fuel);
    {
        let lines = job.channel.lines.lock().unwrap();
        assert!(lines.iter().all(|line| line.fields.len() <= 64));
        assert!(lines.len() < (1 << 20) / (64 * 32) + 2, "{}", lines.len());
        assert!(lines.last().unwrap().message.contains("log lines were dropped"));
    }
    let job = job.limit(|limits| limits.fuel = Fuel::new(10_000_000));
    assert_eq!(job.code(json!({ "do": "log-fields", "lines": 2_000, "fields": 150_000 })).await, "host/limit-fuel");
}
