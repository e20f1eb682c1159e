//! `tidemill-fuzz`: checks mutated inputs for all parsers, or the named ones, on all processors.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use clap::Parser;
use tidemill_core::clock::Stopwatch;
use tidemill_fuzz::{Report, Target, run, targets};

/// Number of iterations that a thread takes at a time.
const BATCH: u64 = 100_000;

/// Check mutated inputs of every parser that reads bytes from outside the host
#[derive(Debug, Parser)]
struct Args {
    /// Only these targets
    targets: Vec<String>,
    /// Iterations in all, shared out among the targets
    #[arg(long, default_value_t = 10_000_000)]
    iterations: u64,
    /// The seed: the same seed gives the same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for an input that breaks a law
    #[arg(long, default_value = "target/fuzz")]
    findings: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut chosen = targets::all();
    if let Some(name) = args.targets.iter().find(|name| !chosen.iter().any(|(target, _)| target.name() == **name)) {
        let known: Vec<_> = chosen.iter().map(|(target, _)| target.name()).collect();
        bail!("there is no target `{name}`; the targets are {}", known.join(", "));
    }
    chosen.retain(|(target, _)| args.targets.is_empty() || args.targets.iter().any(|name| target.name() == name));
    let shares: u64 = chosen.iter().map(|(_, share)| share).sum();
    // The message of a finding is printed below, with the input.
    std::panic::set_hook(Box::new(|_| {}));
    let mut total = 0;
    for (target, share) in &chosen {
        let iterations = args.iterations * share / shares;
        let watch = Stopwatch::start();
        let report = fuzz(target.as_ref(), &args, iterations)?;
        total += report.accepted + report.rejected;
        println!(
            "{:13} {:>11} accepted {:>11} rejected {:>7.1} s",
            target.name(),
            report.accepted,
            report.rejected,
            watch.elapsed().as_secs_f64()
        );
    }
    println!("{total} iterations, no finding");
    Ok(())
}

fn fuzz(target: &dyn Target, args: &Args, iterations: u64) -> anyhow::Result<Report> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicU64::new(0);
    let batches = iterations.div_ceil(BATCH);
    let work = || -> anyhow::Result<Report> {
        let mut sum = Report::default();
        loop {
            let batch = next.fetch_add(1, Ordering::Relaxed);
            if batch >= batches {
                return Ok(sum);
            }
            let size = BATCH.min(iterations - batch * BATCH);
            match run(target, args.seed.wrapping_mul(1_000_003).wrapping_add(batch), size) {
                Ok(report) => {
                    sum.accepted += report.accepted;
                    sum.rejected += report.rejected;
                }
                Err(finding) => {
                    next.store(batches, Ordering::Relaxed);
                    std::fs::create_dir_all(&args.findings)?;
                    let file = args.findings.join(target.name());
                    std::fs::write(&file, &finding.input).with_context(|| file.display().to_string())?;
                    bail!("{}: {}; the input is in {}", target.name(), finding.message, file.display());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut sum = Report::default();
        for worker in workers {
            let report = worker.join().map_err(|_| anyhow::anyhow!("a worker panicked outside the target"))??;
            sum.accepted += report.accepted;
            sum.rejected += report.rejected;
        }
        Ok(sum)
    })
}
