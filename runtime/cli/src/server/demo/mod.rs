//! `tidemill demo`: runs a host with modules on real input, and verifies that each of them did its
//! job.
//!
//! The modules are uploaded and deployed through the public API. Their input is served here
//! (`feed`), and their results are read through the API (`verify`) and compared with the expected
//! ones (`expect`).

mod expect;
mod feed;
mod modules;
mod verify;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidemill_core::clock::SystemClock;
use tidemill_core::{Clock, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;

use self::feed::DemoWorld;
use self::verify::{CheckResult, Verifier};
use super::events::{self, Event};
use super::process::Process;
use super::settings::{SettingFlags, Settings};
use super::signals::Signals;
use super::{files, logging, serve};
use crate::cli::GlobalArgs;
use crate::client::Client;
use crate::error::CliError;
use crate::money::{Total, amount};
use crate::printer::Printer;
use crate::project::deploy::deploy;
use crate::schedule::upcoming::FEW_FIRINGS;
use crate::wire::{bytes, grouped};

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
    let (modules, prices) = modules::modules(&modules_folder(&args), &address, &args.pages)?;
    let settings = settings(&args, &address)?;

    files::keep_private();
    let process = Process::start(&settings).await?;
    let client = process.client()?;
    let steady = format!("{address}/steady");
    let verifier = Verifier { client: &client, world: &world, prices: &prices, steady: &steady };
    let work = async {
        ready(&client).await?;
        let happening = events::listen(&client);
        found_again(&verifier, printer).await?;
        for module in modules {
            let done = deploy(&module.project, Some(module.component), &client, printer).await?;
            printer.note(&done.text(FEW_FIRINGS));
        }
        let began = clock.now();
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

/// Serves the world of the data folder on loopback, at its previous address if that is free.
async fn open_world(args: &DemoArgs, clock: &Arc<dyn Clock>) -> Result<(DemoWorld, String), CliError> {
    let file = args.data.join("demo-world.json");
    let unkept = |cause: std::io::Error| {
        CliError::machine(format!("cannot keep the demo's world in {}", file.display()), &cause)
            .with_fix("choose another folder with --data")
    };
    let mut world = feed::world(&file, args.records, clock.now()).map_err(unkept)?;
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = match at(world.port).await {
        Ok(listener) => listener,
        Err(_) => at(0).await.map_err(|cause| CliError::machine("cannot listen on loopback", &cause))?,
    };
    let port = listener.local_addr().map_err(unkept)?.port();
    if port != world.port {
        world.port = port;
        feed::write(&file, &world).map_err(unkept)?;
    }
    let router = feed::router(world, Arc::clone(clock));
    tokio::spawn(async move {
        // Ends with the process. An error affects only its own connection.
        let _ = axum::serve(listener, router).await;
    });
    Ok((world, format!("http://127.0.0.1:{port}")))
}

fn modules_folder(args: &DemoArgs) -> PathBuf {
    let target = || std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    args.modules.clone().unwrap_or_else(|| target().join("guests"))
}

/// Returns the settings: loopback without a token. Of private addresses, modules reach only those
/// that the demo watches.
fn settings(args: &DemoArgs, world: &str) -> Result<Settings, CliError> {
    let mut private = vec![world.to_owned()];
    for page in &args.pages {
        private.push(modules::origin(page)?);
    }
    let flags = SettingFlags {
        addr: Some(args.addr.clone()),
        data: Some(args.data.to_string_lossy().into_owned()),
        shutdown: Some("10s".to_owned()),
        egress_private: Some(private.join(",")),
        ..SettingFlags::default()
    };
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

/// Verifies that everything from an earlier start is there exactly once; without that, continuing
/// has no use.
async fn found_again(verifier: &Verifier<'_>, printer: &Printer) -> Result<(), CliError> {
    let earlier: Vec<serde_json::Value> = verifier.client.list("/v1/runs", 1).await?;
    if earlier.is_empty() {
        printer.note("a fresh folder");
        return Ok(());
    }
    let findings = settle(|| verifier.money()).await?;
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
                let mut figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
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
    #[derive(serde::Deserialize)]
    struct Stream {
        totals: Vec<Total>,
    }
    let streams: Vec<Stream> = client.all("/v1/streams").await?;
    let totals: Vec<_> = streams.iter().flat_map(|stream| &stream.totals).collect();
    let earned: Vec<_> = totals.iter().map(|total| amount(total.net_revenue, &total.currency)).collect();
    let entries: u64 = totals.iter().map(|total| total.entries).sum();
    let figures = figures.lock().unwrap_or_else(PoisonError::into_inner);
    printer.note(&format!(
        "  since the start: {} runs, {} fuel, {} at most; earned in all: {} in {} entries",
        grouped(figures.runs),
        grouped(figures.fuel),
        bytes(figures.memory),
        if earned.is_empty() { "nothing yet".to_owned() } else { earned.join(", ") },
        grouped(entries),
    ));
    Ok(())
}

/// Shows the result of every part, and fails if a part did not do its job.
async fn judge(verifier: &Verifier<'_>, began: Timestamp, time: Duration, printer: &Printer) -> Result<(), CliError> {
    // Every ten seconds, and the first may be late by as much.
    let least = usize::try_from((time.as_secs() / 10).saturating_sub(1)).unwrap_or(usize::MAX);
    let findings = settle(|| async {
        let mut findings = verifier.uptime(began, least).await?;
        findings.extend(verifier.money().await?);
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
