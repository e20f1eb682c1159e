//! `kill -9` at random times while many runs are active: transfers never change a sum, and no order
//! is charged twice.

use std::time::Duration;

use serde_json::json;

use crate::crashable_host::{AcknowledgedRun, CrashableHost, HostDeath};
use crate::facts::{self, Facts};
use crate::host::pseudo_random;
use crate::workload::{self, PlannedRun};

/// Minimum number of kills, and the maximum.
const KILLS: std::ops::Range<u32> = 3..9;

/// Completes `all` while the host is killed repeatedly, and returns the outcome. The first kill is
/// at most `pause` after the host is ready; each later maximum is longer by `pause`.
async fn killed(all: &[PlannedRun], seed: u64, pause: Duration) -> (CrashableHost, Vec<AcknowledgedRun>, Facts) {
    let dir = tempfile::tempdir().unwrap();
    CrashableHost::prepare(dir.path()).await;
    let mut host = CrashableHost::on(dir.path()).await;
    host.process.set_env(CrashableHost::env([]));
    let mut random = pseudo_random(seed);
    let mut kills = 0;
    loop {
        host.process.resume().await;
        let work = async {
            let known = host.work(all).await?;
            let facts = facts::collect(&host, &known).await?;
            Ok::<_, HostDeath>((known, facts))
        };
        // The maximum life of a process grows, so that the work ends on a slow machine.
        let most = u64::try_from(pause.as_millis()).unwrap() * u64::from(kills + 1);
        let pause = Duration::from_millis(most / 2 + random(most / 2));
        let lived = if kills < KILLS.end { tokio::time::timeout(pause, work).await.ok() } else { Some(work.await) };
        match lived {
            Some(Ok((known, facts))) => {
                assert!(kills >= KILLS.start, "all work was done after {kills} kills, too few for a test");
                eprintln!("killed {kills} times");
                return (host, known, facts);
            }
            Some(Err(HostDeath)) => panic!("the host died without a kill:\n{}", host.process.output()),
            None => {
                host.process.kill();
                kills += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_transfers_never_change_the_sum_though_some_fail_and_the_host_is_killed() {
    let all = workload::transfers(64, 5);
    let (_host, known, facts) = killed(&all, 1, Duration::from_millis(60)).await;
    for (AcknowledgedRun { key, run }, PlannedRun { input, .. }) in known.iter().zip(&all) {
        let expected = match input["fails"].as_str().unwrap() {
            "never" | "in-step" => ("succeeded", json!(null)),
            _ => ("failed", json!("on-purpose")),
        };
        assert_eq!(
            (run["state"].as_str().unwrap(), &run["failure"]["code"]),
            (expected.0, &expected.1),
            "{key}: {run}"
        );
    }
    let balances = facts::balances(&facts);
    assert_eq!(balances, workload::balances(&all));
    assert_eq!(balances.iter().sum::<i64>(), 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_charged_once_though_the_host_is_killed() {
    let all = workload::orders(42);
    let (host, known, facts) = killed(&all, 2, Duration::from_millis(80)).await;
    for AcknowledgedRun { key, run } in &known {
        assert_eq!(run["state"], "succeeded", "{key}: {run}");
    }
    for order in 0..42_u32 {
        let effects = host.provider.effects();
        let of = |what: &str| effects.get(&format!("{what} {order}")).copied().unwrap_or(0);
        let expected = match (order % 7 == 5, order.is_multiple_of(4)) {
            (true, _) => (0, 0, 0),
            (false, true) => (1, 0, 1),
            (false, false) => (1, 1, 0),
        };
        assert_eq!((of("charge"), of("mail"), of("refund")), expected, "order {order}: charged, written to, refunded");
        assert_eq!(of("slip"), of("mail"), "order {order}: in the books");
        let entry = facts.contains_key(&format!("entry \"order-{order}\""));
        assert_eq!(entry, expected.0 == 1, "order {order} is in the ledger where it was charged");
    }
}
