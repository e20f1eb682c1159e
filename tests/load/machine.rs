//! Pauses of the machine, measured by an empty loop. On a shared machine the hypervisor stops whole
//! processors for milliseconds. The percentiles of all other measurements contain these pauses.

use std::time::{Duration, Instant};

use crate::table::Table;

const LOOK: Duration = Duration::from_secs(3);
/// Minimum time between two readings of the clock that counts as a pause. An undisturbed loop takes
/// far less.
const STOPPED: Duration = Duration::from_micros(500);

/// Total and maximum length of the pauses of a loop.
#[derive(Default)]
struct Stopped {
    all: Duration,
    longest: Duration,
}

pub fn measure(table: &mut Table) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let loops: Vec<_> = (0..processors).map(|_| std::thread::spawn(spin)).collect();
    let stopped = loops.into_iter().map(|each| each.join().unwrap());
    let stopped = stopped.max_by_key(|stopped| stopped.all).unwrap_or_default();
    table.row(
        format!("the machine: an empty loop on each of {processors} processors, before anything else runs"),
        format!(
            "stopped for {:.1} % of the time, {:.1} ms at most",
            stopped.all.as_secs_f64() / LOOK.as_secs_f64() * 100.0,
            stopped.longest.as_secs_f64() * 1_000.0
        ),
        "none; every p99 below includes this",
    );
}

fn spin() -> Stopped {
    let begun = Instant::now();
    let (mut last, mut stopped) = (begun, Stopped::default());
    while last - begun < LOOK {
        let now = Instant::now();
        let gap = now - last;
        if gap > STOPPED {
            stopped.all += gap;
            stopped.longest = stopped.longest.max(gap);
        }
        last = now;
    }
    stopped
}
