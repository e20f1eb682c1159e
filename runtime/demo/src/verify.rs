//! Compares what a host answers with what the modules must have done: the ledger with the feed, and
//! the states of modules with the runs that wrote them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use tidemill_api_types::{LedgerCheck, LedgerEntry, Revenue, Run, StoredJson};
use tidemill_core::Timestamp;
use tidemill_core::wire::grouped;

use crate::expect::Prices;
use crate::feed::DemoWorld;

/// The result of one check.
#[derive(Debug, Clone, Serialize)]
pub struct CheckResult {
    /// The part that was checked.
    pub part: &'static str,
    /// Whether the check passed.
    pub good: bool,
    /// A description of the result.
    pub found: String,
}

/// What a host answers about the billing of usage. The runs must be read first: everything that the
/// last of them collected is in the ledger.
#[derive(Debug)]
pub struct LedgerEvidence {
    /// The runs of usage-billing.
    pub runs: Vec<Run<'static>>,
    /// The entries of its stream.
    pub entries: Vec<LedgerEntry<'static>>,
    /// The revenue of its stream.
    pub revenue: Revenue<'static>,
    /// The ledger's own check.
    pub check: LedgerCheck<'static>,
}

/// Checks that the ledger contains each record of the feed up to some point once, with the right
/// amount, and that its total is their sum.
#[must_use]
pub fn ledger(world: &DemoWorld, prices: &Prices, evidence: &LedgerEvidence) -> Vec<CheckResult> {
    let LedgerEvidence { runs, entries, revenue, check } = evidence;
    let mut amounts = BTreeMap::new();
    let doubled = entries
        .iter()
        .filter(|entry| amounts.insert(entry.external_id.to_string(), entry.minor_units).is_some())
        .count();
    let foreign = entries.iter().filter(|entry| entry.currency != prices.currency).count();
    let covered =
        amounts.keys().next_back().and_then(|id| id.strip_prefix("u-")?.parse::<u64>().ok()).map_or(0, |last| last + 1);
    let expected = prices.expect(world, covered);
    let differing = expected.amounts.iter().filter(|(id, due)| amounts.get(*id) != Some(due)).count()
        + amounts.keys().filter(|id| !expected.amounts.contains_key(*id)).count();
    let posted = CheckResult {
        part: "usage-billing",
        good: doubled == 0 && foreign == 0 && differing == 0,
        found: format!(
            "{} entries for the feed's first {} records; {doubled} doubled, {differing} missing or different from the feed",
            grouped(entries.len() as u64),
            grouped(covered),
        ),
    };

    let total: i128 =
        revenue.totals.iter().filter(|total| total.currency == prices.currency).map(|total| total.net_revenue).sum();
    let sum = CheckResult {
        part: "ledger",
        good: total == expected.total && check.good,
        found: format!(
            "{}, where the feed sums to {}; its own check is {}",
            prices.amount(total),
            prices.amount(expected.total),
            if check.good { "good" } else { "not good" }
        ),
    };

    // Runs were read before: everything that the last of them collected must be in the ledger.
    let collected = runs.iter().filter(|run| run.state == "succeeded").filter_map(nominal).max();
    let due = collected.map(|until| world.count_before(until.as_millis()));
    let missing =
        due.map_or(0, |due| prices.expect(world, due).amounts.keys().filter(|id| !amounts.contains_key(*id)).count());
    let until = CheckResult {
        part: "collections",
        good: collected.is_some() && missing == 0,
        found: match (collected, due) {
            (Some(until), Some(due)) => {
                format!("up to {until} there were {} records; {missing} are missing", grouped(due))
            }
            _ => "none has succeeded yet".to_owned(),
        },
    };
    vec![posted, sum, until]
}

/// What a host answers about uptime.
#[derive(Debug)]
pub struct UptimeEvidence {
    /// The runs of uptime, newest first.
    pub runs: Vec<Run<'static>>,
    /// The output of the newest run that succeeded.
    pub report: Value,
}

/// Checks that each firing of uptime's schedule ran once, at least `least` of them since `since`,
/// and that its state counts them all. `steady` is a page that it watches and that is always up.
#[must_use]
pub fn uptime(steady: &str, evidence: &UptimeEvidence, since: Timestamp, least: usize) -> Vec<CheckResult> {
    let UptimeEvidence { runs, report } = evidence;
    let times: Vec<_> = runs.iter().filter_map(nominal).collect();
    let distinct: BTreeSet<_> = times.iter().collect();
    let lately = |run: &&Run<'_>| run.created_at.0 >= since;
    let now = runs.iter().filter(lately).filter(|run| run.state == "succeeded").count();
    let failed = runs.iter().filter(lately).filter(|run| matches!(&*run.state, "failed" | "parked")).count();
    let fired = CheckResult {
        part: "uptime",
        good: now >= least && failed == 0 && distinct.len() == times.len(),
        found: format!(
            "{now} runs since the start, {failed} failed; {} firings, {} of them twice",
            times.len(),
            times.len() - distinct.len()
        ),
    };
    let succeeded = runs.iter().filter(|run| run.state == "succeeded").count();
    let mut state = CheckResult { part: "uptime's state", good: least == 0, found: "no run yet".to_owned() };
    if succeeded > 0 {
        let pages = report["urls"].as_array().cloned().unwrap_or_default();
        let watched = pages.iter().find(|page| page["url"] == steady);
        let checks = watched.and_then(|page| page["checks"].as_u64()).unwrap_or_default();
        state.good = checks == succeeded as u64;
        state.found =
            format!("{checks} checks of {steady}, {succeeded} runs; {} up, {} down now", report["up"], report["down"]);
    }
    vec![fired, state]
}

/// Checks that a run of hello answered, and that its state counts all of its runs.
#[must_use]
pub fn hello(run: &Run<'_>, runs: &[Run<'_>]) -> CheckResult {
    let counted = runs.iter().filter(|it| it.state == "succeeded" && it.id <= run.id).count();
    let output = run.output.as_ref().map(StoredJson::to_value).unwrap_or_default();
    CheckResult {
        part: "hello",
        good: run.state == "succeeded" && output["total"].as_u64() == Some(counted as u64),
        found: format!("{}: {}; it counts {} of {counted} runs", run.state, output["message"], output["total"]),
    }
}

/// Returns the nominal time of a run that a schedule started.
fn nominal(run: &Run<'_>) -> Option<Timestamp> {
    Some(run.trigger.at?.0)
}
