//! Cancelling and terminating a run.

use serde_json::json;
use tidemill_core::Fuel;
use tidemill_engine::{Cause, Outcome};

use crate::support::{TestHost, failure};

#[tokio::test]
async fn the_next_call_that_can_fail_notifies_the_guest_once() {
    let host = TestHost::new();
    let job = host.hostile().await;
    job.cancel.cancel();
    let (failure, cause) = job.failure(json!({ "do": "get", "key": "k" })).await;
    assert_eq!((failure.code.as_str(), cause), ("host/cancelled", Cause::Guest));
    assert!(matches!(job.run(json!({ "do": "noop" })).await.outcome, Outcome::Output(_)));
}

#[tokio::test]
async fn a_notified_guest_may_use_a_tenth_of_its_fuel() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| limits.fuel = Fuel::new(20_000_000));
    job.cancel.cancel();
    let read = json!({ "do": "get", "key": "k" });
    let ended = job.run(json!({ "do": "regardless", "first": read, "then": { "do": "loop" } })).await;
    assert!((2_000_000..2_200_000).contains(&ended.fuel.get()), "{}", ended.fuel);
    let (failure, cause) = failure(ended);
    assert_eq!((failure.code.as_str(), cause), ("host/limit-grace", Cause::Limit));
}

#[tokio::test]
async fn a_guest_with_little_fuel_left_has_a_tenth_of_its_limit_to_clean_up() {
    let host = TestHost::new();
    let mut job = host.hostile().await.limit(|limits| limits.fuel = Fuel::new(20_000_000));
    job.fuel_used = Fuel::new(19_800_000);
    let spin = json!({ "do": "spin", "count": 100_000 });
    assert_eq!(job.code(spin.clone()).await, "host/limit-fuel");
    job.cancel.cancel();
    let read = json!({ "do": "get", "key": "k" });
    let ended = job.run(json!({ "do": "regardless", "first": read, "then": spin })).await;
    assert!((300_000..2_200_000).contains(&ended.fuel.get()), "{}", ended.fuel);
    assert!(matches!(ended.outcome, Outcome::Output(_)), "{:?}", ended.outcome);
}

#[tokio::test]
async fn a_terminated_guest_stops_while_spinning() {
    let host = TestHost::new();
    let job = host.hostile().await.limit(|limits| {
        limits.fuel = Fuel::new(u64::MAX);
        limits.active_millis = 600_000;
    });
    let run = job.spawn(&json!({ "do": "loop" }));
    while host.engine.stats().running == 0 {
        tokio::task::yield_now().await;
    }
    job.cancel.terminate();
    let (failure, cause) = failure(run.await.unwrap());
    assert_eq!((failure.code.as_str(), cause), ("host/cancelled", Cause::Cancelled));
}
