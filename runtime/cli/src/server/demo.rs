//! `tidemill demo`: runs a host with modules on real input, and verifies that each of them did its
//! job.
//!
//! The modules are uploaded and deployed through the public API, and their results are read through
//! it. Their input, and what they must have done, is in `tidemill-demo`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Method;
use tidemill_api_types::{CustomerBalance, Run, StoredJson, Stream};
use tidemill_core::clock::SystemClock;
use tidemill_core::wire::grouped;
use tidemill_core::{Clock, Timestamp};
use tidemill_demo::{CheckResult, DemoModule, DemoWorld, LedgerEvidence, PrepaidEvidence, Prices, UptimeEvidence};
use tokio::sync::mpsc::UnboundedReceiver;

use super::events::{self, Event};
use super::process::Process;
use super::settings::{SettingFlags, Settings};
use super::signals::Signals;
use super::{files, logging, serve};
use crate::client::Client;
use crate::error::CliError;
use crate::globals::GlobalArgs;
use crate::printer::{Printer, Row};
use crate::project::deploy::deploy;
use crate::project::{Project, read_component};
use crate::schedule::upcoming::FEW_FIRINGS;
use crate::text::bytes;

/// Interval between two lines of figures.
const SUMMARY: Duration = Duration::from_secs(15);
/// Maximum number of verifications. A check during running work may combine two moments, so a
/// failed one is repeated.
const LOOKS: u32 = 6;
/// Maximum time to wait until the host is ready.
const READY: Duration = Duration::from_secs(30);

/// Arguments of `tidemill demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A second start with the same folder continues where the first ended, even after a crash.\n\
    With --for, the exit code is 0 only if every part did its job.")]
pub struct DemoArgs {
    /// End after this time, e.g. 30s, and show whether every part did its job
    #[arg(long = "for", value_name = "TIME", value_parser = tidemill_core::wire::parse_span)]
    time: Option<Duration>,

    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "./tidemill-data/demo")]
    data: PathBuf,

    /// The address on which the host listens
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7077")]
    addr: String,

    /// A page to watch in addition to the demo's own; may be repeated
    #[arg(long = "watch", visible_alias = "page", value_name = "URL")]
    pages: Vec<String>,

    /// Number of usage records at the first start
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    records: u64,

    /// The folder of the built modules [default: guests in cargo's target folder]
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(args: DemoArgs, _: &GlobalArgs, printer: &Printer) -> Result<(), CliError> {
    logging::start(&std::env::var("TIDEMILL_LOG").unwrap_or_else(|_| "warn".to_owned()), false, printer)?;
    let mut signals = Signals::new()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (world, address) = open_world(&args, &clock).await?;
    let origins = args.pages.iter().map(|page| origin(page)).collect::<Result<Vec<_>, _>>()?;
    let (modules, prices) = tidemill_demo::modules(&address, &args.pages, &origins).map_err(CliError::failed)?;
    let folder = modules_folder(&args);
    let modules: Vec<_> =
        modules.into_iter().map(|module| project(&folder, module)).collect::<Result<_, CliError>>()?;
    let settings = settings(&args, &[std::slice::from_ref(&address), &*origins].concat())?;

    files::keep_private();
    let process = Process::start(&settings).await?;
    let client = process.client()?;
    let steady = format!("{address}/steady");
    let verifier = Verifier { client: &client, world: &world, prices: &prices, steady: &steady };
    let work = async {
        ready(&client).await?;
        let happening = events::listen(&client);
        verify_recovered(&verifier, printer).await?;
        for (project, component) in modules {
            let done = deploy(&project, Some(component), &client, printer).await?;
            printer.note(&done.text(FEW_FIRINGS));
        }
        let began = clock.now();
        grant_credit(&client, clock.now()).await?;
        let hello = verifier.hello().await?;
        printer.note(&format!("hello: {}", hello.found));
        addresses(&process.url(), &address, printer);
        watch(&client, happening, args.time, printer).await?;
        match args.time {
            Some(time) => judge(&verifier, began, time, printer).await,
            None => Ok(()),
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = signals.next() => Ok(()),
    };
    printer.note("shutting down; start again to continue from here");
    serve::end(process, &mut signals).await;
    ended
}

/// Grants the customers of the prepaid service credit: one by hand, and one by a delivery to its
/// hook.
async fn grant_credit(client: &Client, now: Timestamp) -> Result<(), CliError> {
    let _: serde_json::Value = client.post_json("/v1/ledger/grants", &tidemill_demo::grant_by_hand()).await?;
    let _: serde_json::Value = client.post_json("/hooks/prepaid/top-ups", &tidemill_demo::top_up(now)).await?;
    Ok(())
}

/// Serves the world of the data folder on loopback.
async fn open_world(args: &DemoArgs, clock: &Arc<dyn Clock>) -> Result<(DemoWorld, String), CliError> {
    let file = args.data.join("demo-world.json");
    tidemill_demo::serve(&file, args.records, Arc::clone(clock)).await.map_err(|cause| {
        CliError::machine(format!("cannot serve the demo's world of {}", file.display()), &cause)
            .with_fix("choose another folder with --data")
    })
}

/// Reads a module's component.
fn project(folder: &Path, DemoModule { name, text, file }: DemoModule) -> Result<(Project, Vec<u8>), CliError> {
    let component = read_component(&folder.join(format!("{name}.wasm"))).map_err(|error| {
        error.with_fix("build the modules with `make guests` in a checkout, and name their folder with --modules")
    })?;
    let mut project = Project { folder: folder.to_owned(), file, text };
    super::dev::mark_version(&mut project, &component)?;
    Ok((project, component))
}

/// Returns the origin of a URL, in the form that grants use.
fn origin(url: &str) -> Result<String, CliError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.map(|url| url.origin().ascii_serialization()).ok_or_else(|| {
        CliError::usage(format!("`{url}` is not a url that can be watched"), "give one such as https://example.org/")
    })
}

fn modules_folder(args: &DemoArgs) -> PathBuf {
    let target = || std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    args.modules.clone().unwrap_or_else(|| target().join("guests"))
}

/// Returns the settings: loopback without a token. Of private addresses, modules reach only those
/// that the demo watches.
fn settings(args: &DemoArgs, private: &[String]) -> Result<Settings, CliError> {
    let flags = SettingFlags::default()
        .with("addr", &*args.addr)
        .with("data", args.data.to_string_lossy())
        .with("shutdown", "10s")
        .with("egress-private", private.join(","));
    let settings = Settings::read(&flags, None, &|_| None)?;
    if settings.addr.ip().is_loopback() {
        Ok(settings)
    } else {
        Err(CliError::usage(
            format!("{} is not loopback", settings.addr),
            "listen on 127.0.0.1, as the demo has no token",
        ))
    }
}

async fn ready(client: &Client) -> Result<(), CliError> {
    let asking = async {
        while !client.answers("/readyz").await.is_ok_and(|answer| answer.status.is_success()) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(READY, asking).await.map_err(|_| {
        CliError::failed("the host was not ready within 30 s").with_fix("read its log, with TIDEMILL_LOG=debug")
    })
}

/// Reads through one client what the modules did, and verifies it.
struct Verifier<'a> {
    client: &'a Client,
    world: &'a DemoWorld,
    prices: &'a Prices,
    /// A page that uptime watches and that is always up.
    steady: &'a str,
}

impl Verifier<'_> {
    async fn ledger(&self) -> Result<Vec<CheckResult>, CliError> {
        let evidence = LedgerEvidence {
            runs: self.runs("usage-billing").await?,
            entries: self.client.list("/v1/ledger/entries?stream=usage-billing", usize::MAX).await?,
            revenue: self.client.get("/v1/ledger/revenue?stream=usage-billing").await?,
            check: self.client.post("/v1/ledger/check").await?,
        };
        Ok(tidemill_demo::ledger(self.world, self.prices, &evidence))
    }

    async fn uptime(&self, since: Timestamp, least: usize) -> Result<Vec<CheckResult>, CliError> {
        let runs = self.runs("uptime").await?;
        let report = match runs.iter().find(|run| run.state == "succeeded") {
            Some(last) => self.client.get::<Run<'static>>(&format!("/v1/runs/{}", last.id)).await?.output,
            None => None,
        };
        let report = report.as_ref().map(StoredJson::to_value).unwrap_or_default();
        Ok(tidemill_demo::uptime(self.steady, &UptimeEvidence { runs, report }, since, least))
    }

    /// Nothing if the service was never deployed.
    async fn prepaid(&self) -> Result<Vec<CheckResult>, CliError> {
        if !self.client.answers("/v1/deployments/prepaid").await?.status.is_success() {
            return Ok(Vec::new());
        }
        let runs = self.runs("prepaid").await?;
        let served = runs.iter().find(|run| run.state == "succeeded" && run.trigger.kind == "schedule");
        let report = match served {
            Some(run) => self.client.get::<Run<'static>>(&format!("/v1/runs/{}", run.id)).await?.output,
            None => None,
        };
        let report = report.as_ref().map(StoredJson::to_value).unwrap_or_default();
        let entries = self.client.list("/v1/ledger/entries?stream=prepaid", usize::MAX).await?;
        let balances = self.client.list("/v1/ledger/balances?stream=prepaid", usize::MAX).await?;
        Ok(tidemill_demo::prepaid(&PrepaidEvidence { report, entries, balances }))
    }

    async fn hello(&self) -> Result<CheckResult, CliError> {
        let (path, input) = ("/v1/deployments/hello/runs", br#"{"name": "Tidemill"}"#.to_vec());
        let run: Run<'static> = self.client.ask(Method::POST, path, input, &[("prefer", "wait=10")]).await?;
        Ok(tidemill_demo::hello(&run, &self.runs("hello").await?))
    }

    async fn runs(&self, deployment: &str) -> Result<Vec<Run<'static>>, CliError> {
        self.client.list(&format!("/v1/runs?deployment={deployment}"), usize::MAX).await
    }
}

impl Row for CheckResult {
    const HEADS: &'static [&'static str] = &["", "PART", "FOUND"];

    fn cells(&self) -> Vec<String> {
        vec![if self.good { "ok" } else { "!!" }.to_owned(), self.part.to_owned(), self.found.clone()]
    }
}

/// Verifies that everything from an earlier start is there exactly once; without that, continuing
/// has no use.
async fn verify_recovered(verifier: &Verifier<'_>, printer: &Printer) -> Result<(), CliError> {
    let earlier: Vec<serde_json::Value> = verifier.client.list("/v1/runs", 1).await?;
    if earlier.is_empty() {
        printer.note("a fresh folder");
        return Ok(());
    }
    let findings = settle(|| async {
        let mut findings = verifier.ledger().await?;
        findings.extend(verifier.prepaid().await?);
        Ok(findings)
    })
    .await?;
    // Collections that were interrupted before their first success leave nothing to check.
    let (bad, good): (Vec<_>, Vec<_>) = findings.into_iter().partition(|it| !it.good && it.part != "collections");
    good.iter().for_each(|finding| printer.note(&format!("found again: {}: {}", finding.part, finding.found)));
    match bad.first() {
        None => Ok(()),
        Some(finding) => {
            Err(CliError::failed(format!("data of the earlier start differs: {}: {}", finding.part, finding.found)))
        }
    }
}

/// Repeats the verification, a second apart, while a check fails.
async fn settle<F: Future<Output = Result<Vec<CheckResult>, CliError>>>(
    look: impl Fn() -> F,
) -> Result<Vec<CheckResult>, CliError> {
    let mut findings = look().await?;
    for _ in 1..LOOKS {
        if findings.iter().all(|finding| finding.good) {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        findings = look().await?;
    }
    Ok(findings)
}

fn addresses(host: &str, world: &str, printer: &Printer) {
    let lines = [
        format!("{host}/               the status page"),
        format!("{host}/v1/runs        every run"),
        format!("{host}/v1/streams     what was earned"),
        format!("{host}/v1/ledger/balances?stream=prepaid  the prepaid credit of each customer"),
        format!("{host}/metrics        for Prometheus"),
        format!("{host}/openapi.json   the API"),
        format!("{world}/usage         the feed that is billed"),
        format!("{world}/shop          a page that goes down now and then"),
    ];
    printer.note(&format!("\nlook at\n  {}\n", lines.join("\n  ")));
}

/// Counters of the events seen so far.
#[derive(Debug, Default)]
struct DemoFigures {
    runs: u64,
    fuel: u64,
    memory: u64,
}

/// Shows past and current events for that time, or without end.
async fn watch(
    client: &Client,
    mut happening: UnboundedReceiver<Event>,
    time: Option<Duration>,
    printer: &Printer,
) -> Result<(), CliError> {
    let figures = Mutex::new(DemoFigures::default());
    let following = async {
        while let Some(event) = happening.recv().await {
            if event.is_end_of_run() {
                let mut figures = figures.lock();
                figures.runs += 1;
                figures.fuel = figures.fuel.saturating_add(event.number("fuel"));
                figures.memory = figures.memory.max(event.number("peak_memory"));
            }
            if let Some(line) = event.line() {
                printer.item(&event.data, &line);
            }
        }
        Err(CliError::failed("the host's event feed ended"))
    };
    let summing = async {
        loop {
            tokio::time::sleep(SUMMARY).await;
            summary(client, &figures, printer).await?;
        }
    };
    let ending = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = following => ended,
        ended = summing => ended,
        () = ending => Ok(()),
    }?;
    summary(client, &figures, printer).await
}

async fn summary(client: &Client, figures: &Mutex<DemoFigures>, printer: &Printer) -> Result<(), CliError> {
    let streams: Vec<Stream> = client.all("/v1/streams").await?;
    let totals: Vec<_> = streams.iter().flat_map(|stream| &stream.totals).collect();
    let earned: Vec<_> = totals.iter().map(|total| format!("{} {}", total.amount, total.currency)).collect();
    let entries: u64 = totals.iter().map(|total| total.entries).sum();
    let balances: Vec<CustomerBalance<'static>> = client.all("/v1/ledger/balances?stream=prepaid").await?;
    let balances: Vec<_> =
        balances.iter().map(|one| format!("{} {} {}", one.customer, one.available.amount, one.currency)).collect();
    let figures = figures.lock();
    printer.note(&format!(
        "  since the start: {} runs, {} fuel, {} at most; earned in all: {} in {} entries; prepaid: {}",
        grouped(figures.runs),
        grouped(figures.fuel),
        bytes(figures.memory),
        if earned.is_empty() { "nothing yet".to_owned() } else { earned.join(", ") },
        grouped(entries),
        if balances.is_empty() { "nothing".to_owned() } else { balances.join(", ") },
    ));
    Ok(())
}

/// Shows the result of every part, and fails if a part did not do its job.
async fn judge(verifier: &Verifier<'_>, began: Timestamp, time: Duration, printer: &Printer) -> Result<(), CliError> {
    // Every ten seconds, and the first may be late by as much.
    let least = usize::try_from((time.as_secs() / 10).saturating_sub(1)).unwrap_or(usize::MAX);
    let findings = settle(|| async {
        let mut findings = verifier.uptime(began, least).await?;
        findings.extend(verifier.ledger().await?);
        findings.extend(verifier.prepaid().await?);
        findings.push(verifier.hello().await?);
        Ok(findings)
    })
    .await?;
    printer.rows(&findings, "");
    match findings.iter().filter(|finding| !finding.good).count() {
        0 => Ok(()),
        bad => Err(CliError::failed(format!("{bad} of {} parts failed", findings.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_watched_is_wrong_usage() {
        assert_eq!(origin("https://a.example:8443/x?y").unwrap(), "https://a.example:8443");
        assert_eq!(origin("file:///etc/passwd").unwrap_err().exit_code(), 2);
    }
}
