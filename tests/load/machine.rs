//! What the machine itself takes from a loop that does nothing: on a shared one, its owner stops whole processors for milliseconds at a
//! time, which no process sees coming and the percentiles of everything else contain.

use std::time::{Duration, Instant};

use crate::table::Table;

const LOOK: Duration = Duration::from_secs(3);
/// What lies between two looks at the clock where nobody stopped the loop is far less.
const STOPPED: Duration = Duration::from_micros(500);

/// How long a loop did not run, all in all and at most.
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
        "none; a p99 below has this in it",
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
