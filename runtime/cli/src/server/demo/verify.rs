//! Verifies through the public API that every part of the demo did its job: the ledger against the
//! feed, and the states of modules against the runs that wrote them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidemill_core::Timestamp;

use super::expect::Prices;
use super::feed::DemoWorld;
use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::money::{Total, amount};
use crate::printer::Row;
use crate::wire::{Run, grouped};

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

impl Row for CheckResult {
    const HEADS: &'static [&'static str] = &["", "PART", "FOUND"];
    fn cells(&self) -> Vec<String> {
        vec![if self.good { "ok" } else { "!!" }.to_owned(), self.part.to_owned(), self.found.clone()]
    }
}

/// Verifies everything through one client.
pub struct Verifier<'a> {
    /// The host.
    pub client: &'a Client,
    /// The feed.
    pub world: &'a DemoWorld,
    /// The prices of the demo.
    pub prices: &'a Prices,
    /// A page that uptime watches and that is always up.
    pub steady: &'a str,
}

#[derive(Debug, Deserialize)]
struct Entry {
    external_id: String,
    minor_units: i64,
    currency: String,
}

#[derive(Debug, Deserialize)]
struct Revenue {
    totals: Vec<Total>,
}

impl Verifier<'_> {
    /// Checks that the ledger contains each record of the feed up to some point once, with the
    /// right amount, and that its total is their sum.
    pub async fn money(&self) -> Result<Vec<CheckResult>, CliError> {
        let runs = self.runs("usage-billing").await?;
        let entries: Vec<Entry> = self.client.list("/v1/ledger/entries?stream=usage-billing", usize::MAX).await?;
        let revenue: Revenue = self.client.get("/v1/ledger/revenue?stream=usage-billing").await?;
        let check = self.client.post("/v1/ledger/check").await?;

        let mut amounts = BTreeMap::new();
        let doubled = entries
            .iter()
            .filter(|entry| amounts.insert(entry.external_id.clone(), entry.minor_units).is_some())
            .count();
        let foreign = entries.iter().filter(|entry| entry.currency != self.prices.currency).count();
        let covered = amounts
            .keys()
            .next_back()
            .and_then(|id| id.strip_prefix("u-")?.parse::<u64>().ok())
            .map_or(0, |last| last + 1);
        let expected = self.prices.expect(self.world, covered);
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

        let total: i128 = revenue
            .totals
            .iter()
            .filter(|total| total.currency == self.prices.currency)
            .map(|total| total.net_revenue)
            .sum();
        let currency = &self.prices.currency;
        let sum = CheckResult {
            part: "ledger",
            good: total == expected.total && check["good"] == Value::Bool(true),
            found: format!(
                "{}, where the feed sums to {}; its own check is {}",
                amount(total, currency),
                amount(expected.total, currency),
                if check["good"] == Value::Bool(true) { "good" } else { "not good" }
            ),
        };

        // Runs were read before: everything that the last of them collected must be in the ledger.
        let collected = runs.iter().filter(|run| run.state == "succeeded").filter_map(nominal).max();
        let due = collected.map(|until| self.world.count_before(until.as_millis()));
        let missing = due.map_or(0, |due| {
            self.prices.expect(self.world, due).amounts.keys().filter(|id| !amounts.contains_key(*id)).count()
        });
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
        Ok(vec![posted, sum, until])
    }

    /// Checks that each firing of uptime's schedule ran once, at least `least` of them since
    /// `since`, and that its state counts them all.
    pub async fn uptime(&self, since: Timestamp, least: usize) -> Result<Vec<CheckResult>, CliError> {
        let runs = self.runs("uptime").await?;
        let times: Vec<_> = runs.iter().filter_map(nominal).collect();
        let distinct: BTreeSet<_> = times.iter().collect();
        let lately = |run: &&Run| Timestamp::parse_rfc3339(&run.created_at).is_some_and(|at| at >= since);
        let now = runs.iter().filter(lately).filter(|run| run.state == "succeeded").count();
        let failed = runs.iter().filter(lately).filter(|run| matches!(run.state.as_str(), "failed" | "parked")).count();
        let fired = CheckResult {
            part: "uptime",
            good: now >= least && failed == 0 && distinct.len() == times.len(),
            found: format!(
                "{now} runs since the start, {failed} failed; {} firings, {} of them twice",
                times.len(),
                times.len() - distinct.len()
            ),
        };
        let succeeded: Vec<_> = runs.iter().filter(|run| run.state == "succeeded").collect();
        let mut state = CheckResult { part: "uptime's state", good: least == 0, found: "no run yet".to_owned() };
        if let Some(last) = succeeded.first() {
            let last: Run = self.client.get(&format!("/v1/runs/{}", encoded(&last.id))).await?;
            let report = last.output.unwrap_or_default();
            let pages = report["urls"].as_array().cloned().unwrap_or_default();
            let steady = pages.iter().find(|page| page["url"] == self.steady);
            let checks = steady.and_then(|page| page["checks"].as_u64()).unwrap_or_default();
            state.good = checks == succeeded.len() as u64;
            state.found = format!(
                "{checks} checks of {}, {} runs; {} up, {} down now",
                self.steady,
                succeeded.len(),
                report["up"],
                report["down"]
            );
        }
        Ok(vec![fired, state])
    }

    /// Checks that hello answers, and that its state counts all of its runs.
    pub async fn hello(&self) -> Result<CheckResult, CliError> {
        let input = br#"{"name": "Tidemill"}"#.to_vec();
        let patience = std::time::Duration::from_secs(10);
        let answer = self
            .client
            .ask(reqwest::Method::POST, "/v1/deployments/hello/runs", input, &[("prefer", "wait=10")], patience)
            .await?;
        let run: Run = answer.json().unwrap_or_default();
        let counted = self.runs("hello").await?.iter().filter(|it| it.state == "succeeded" && it.id <= run.id).count();
        let output = run.output.unwrap_or_default();
        Ok(CheckResult {
            part: "hello",
            good: run.state == "succeeded" && output["total"].as_u64() == Some(counted as u64),
            found: format!("{}: {}; it counts {} of {counted} runs", run.state, output["message"], output["total"]),
        })
    }

    async fn runs(&self, deployment: &str) -> Result<Vec<Run>, CliError> {
        self.client.list(&format!("/v1/runs?deployment={deployment}"), usize::MAX).await
    }
}

/// Returns the nominal time of a run that a schedule started.
fn nominal(run: &Run) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(run.trigger["at"].as_str()?)
}
