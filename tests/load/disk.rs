//! The baseline: the time to append 4 KiB to a file and sync it.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const APPENDS: usize = 2_000;

/// Measures the median of many appends of 4 KiB, each with fdatasync, to a file in `dir`.
pub fn bare_append(dir: &Path) -> Duration {
    let mut file = std::fs::File::create(dir.join("bare-append")).unwrap();
    let block = [1_u8; 4096];
    let mut times: Vec<Duration> = (0..APPENDS)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&block).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[APPENDS / 2]
}
