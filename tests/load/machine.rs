//! Pauses of the machine, measured by an empty loop. On a shared machine the hypervisor stops whole
//! processors for milliseconds. The percentiles of all other measurements contain these pauses.

use std::time::{Duration, Instant};

use crate::asleep::resident;
use crate::host::Host;
use crate::table::Table;

const DURATION: Duration = Duration::from_secs(3);
/// Minimum time between two readings of the clock that counts as a pause. An undisturbed loop takes
/// far less.
const PAUSE_MIN: Duration = Duration::from_micros(500);

/// Total and maximum length of the pauses of a loop.
#[derive(Default)]
struct LoopPauses {
    total: Duration,
    longest: Duration,
}

pub fn measure(table: &mut Table) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let loops: Vec<_> = (0..processors).map(|_| std::thread::spawn(spin)).collect();
    let pauses = loops.into_iter().map(|each| each.join().unwrap());
    let pauses = pauses.max_by_key(|pauses| pauses.total).unwrap_or_default();
    table.row(
        format!("the machine: an empty loop on each of {processors} processors, before anything else runs"),
        format!(
            "stopped for {:.1} % of the time, {:.1} ms at most",
            pauses.total.as_secs_f64() / DURATION.as_secs_f64() * 100.0,
            pauses.longest.as_secs_f64() * 1_000.0
        ),
        "none; every p99 below includes this",
    );
}

fn spin() -> LoopPauses {
    let begun = Instant::now();
    let (mut last, mut pauses) = (begun, LoopPauses::default());
    while last - begun < DURATION {
        let now = Instant::now();
        let gap = now - last;
        if gap > PAUSE_MIN {
            pauses.total += gap;
            pauses.longest = pauses.longest.max(gap);
        }
        last = now;
    }
    pauses
}

/// The part of a full measurement to make, from `TIDEMILL_LOAD_SHARE`: 100 means the hundredth
/// part.
#[derive(Clone, Copy)]
pub struct LoadShare(u32);

impl LoadShare {
    pub fn of_environment() -> Self {
        let share = std::env::var("TIDEMILL_LOAD_SHARE").ok().and_then(|text| text.parse().ok());
        Self(share.unwrap_or(1).max(1))
    }

    pub fn of(self, count: u64) -> u64 {
        (count / u64::from(self.0)).max(1)
    }

    pub fn of_time(self, time: Duration) -> Duration {
        time / self.0
    }
}

/// Returns the result of a future, and by how much the resident memory of the host grew at most
/// until then, in MiB.
pub async fn growth_during<T>(host: &Host, work: impl Future<Output = T>) -> (T, f64) {
    let before = resident(host);
    let mut most = before;
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(resident(host)) - before),
            () = tokio::time::sleep(Duration::from_millis(20)) => most = most.max(resident(host)),
        }
    }
}
