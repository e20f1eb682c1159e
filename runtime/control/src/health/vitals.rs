//! The vitals of the host itself: signals that show a person why a host that works may soon not.
//!
//! They are read at most every [`INTERVAL_MILLIS`]. Nothing acts on them, and no deployment is
//! unhealthy because of them.

use std::fs;
use std::io::Read as _;

use parking_lot::Mutex;
use tidemill_core::Timestamp;

use crate::state::HostState;

/// Minimum time between two readings, in milliseconds.
const INTERVAL_MILLIS: u64 = 15_000;
/// Mean time of a commit that is abnormal, in seconds.
const COMMIT_SECONDS: f64 = 0.25;
/// Lateness of a loop that is abnormal, in seconds.
const LATE_SECONDS: f64 = 1.0;
/// Share of the machine's memory that is abnormal.
const MEMORY_SHARE: f64 = 0.9;
/// Free disk space that is abnormal, as a multiple of the space below which the store refuses to
/// write.
const FREE_DISK_FACTOR: u64 = 4;
/// Number of readings in a row with all places taken that is abnormal.
const FULL_READINGS: u32 = 4;
/// Maximum number of bytes that are read of a file of the kernel.
const PROC_BYTES: u64 = 64 << 10;

/// A signal about the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Vital {
    /// Its name in the API.
    pub name: &'static str,
    /// Its value at the last reading.
    pub value: f64,
    /// The value from which it is abnormal, or below which if it is free space.
    pub limit: Option<f64>,
    /// What is wrong, if it is abnormal.
    pub problem: Option<String>,
    /// The number of readings in a row at which it was abnormal.
    pub readings: u32,
}

/// The vitals of the host, and what they are compared with.
#[derive(Debug, Default)]
pub(crate) struct VitalMonitor(Mutex<VitalSnapshot>);

#[derive(Debug, Default)]
struct VitalSnapshot {
    at: Option<Timestamp>,
    commits: (u64, u64),
    store_errors: u64,
    full_readings: u32,
    /// The maximum lateness of the loop since the last reading, in milliseconds.
    late_millis: u64,
    vitals: Vec<Vital>,
}

impl VitalMonitor {
    /// Returns the vitals at the last reading.
    pub(crate) fn last(&self) -> Vec<Vital> {
        self.0.lock().vitals.clone()
    }

    /// Records how late a tick of the loop was, and reads the vitals if it is time to.
    pub(crate) fn observe(&self, host: &HostState, late_millis: u64, now: Timestamp) {
        {
            let mut reading = self.0.lock();
            reading.late_millis = reading.late_millis.max(late_millis);
            // The clock may have been set back.
            if reading.at.is_some_and(|at| now.as_millis().abs_diff(at.as_millis()) < INTERVAL_MILLIS) {
                return;
            }
            reading.at = Some(now);
        }
        // Reads files, so it holds no lock.
        let (space, memory) = (host.store.space(), memory());
        let mut reading = self.0.lock();
        let errors = host.metrics.store_errors.get();
        let (node, commits) = (&host.admission.node, host.metrics.commit_time.read());
        reading.full_readings = if node.used() >= node.most() { reading.full_readings + 1 } else { 0 };
        let mut vitals = vec![
            commit_seconds(reading.commits, commits),
            store_failures(errors.saturating_sub(reading.store_errors)),
            saturation(node.used(), node.most(), reading.full_readings),
            loop_lateness(reading.late_millis),
        ];
        vitals.extend(space.and_then(|space| Some(free_disk(space.free_bytes?, space.reserve_bytes))));
        vitals.extend(memory.map(|(resident, most)| resident_memory(resident, most)));
        vitals.push(store_damage(host.metrics.host.store_damaged.get() > 0));
        for vital in vitals.iter_mut().filter(|vital| vital.problem.is_some()) {
            let before = reading.vitals.iter().find(|before| before.name == vital.name);
            vital.readings = before.map_or(0, |before| before.readings) + 1;
            if vital.readings == 1 {
                tracing::warn!(name = vital.name, detail = vital.problem, "a vital sign of the host is abnormal");
            }
        }
        (reading.commits, reading.store_errors, reading.late_millis, reading.vitals) = (commits, errors, 0, vitals);
    }
}

fn commit_seconds(before: (u64, u64), now: (u64, u64)) -> Vital {
    let commits = now.0.saturating_sub(before.0);
    let seconds = if commits == 0 { 0.0 } else { figure(now.1.saturating_sub(before.1)) / 1e6 / figure(commits) };
    let problem = (seconds >= COMMIT_SECONDS).then(|| format!("a commit takes {seconds:.3} s on average"));
    Vital { name: "commit-seconds", value: seconds, limit: Some(COMMIT_SECONDS), problem, readings: 0 }
}

fn store_failures(failures: u64) -> Vital {
    let problem = (failures > 0).then(|| format!("the store failed {failures} times since the last reading"));
    Vital { name: "store-failures", value: figure(failures), limit: Some(1.0), problem, readings: 0 }
}

fn saturation(used: u32, most: u32, full_readings: u32) -> Vital {
    let problem = (full_readings >= FULL_READINGS)
        .then(|| format!("all {most} places for runs were taken at the last {full_readings} readings"));
    Vital { name: "run-slots", value: f64::from(used) / f64::from(most), limit: Some(1.0), problem, readings: 0 }
}

fn loop_lateness(millis: u64) -> Vital {
    let seconds = figure(millis) / 1e3;
    let problem = (seconds >= LATE_SECONDS).then(|| format!("a loop of the host was {seconds:.1} s late"));
    Vital { name: "loop-lateness", value: seconds, limit: Some(LATE_SECONDS), problem, readings: 0 }
}

fn free_disk(free: u64, reserve: u64) -> Vital {
    let limit = reserve.saturating_mul(FREE_DISK_FACTOR);
    let problem = (free < limit)
        .then(|| format!("the disk has {} MiB free; writes are refused below {} MiB", free >> 20, reserve >> 20));
    Vital { name: "free-disk", value: figure(free), limit: Some(figure(limit)), problem, readings: 0 }
}

fn resident_memory(resident: u64, most: u64) -> Vital {
    let limit = figure(most) * MEMORY_SHARE;
    let problem = (figure(resident) >= limit)
        .then(|| format!("the host uses {} MiB of memory; the machine has {} MiB", resident >> 20, most >> 20));
    Vital { name: "resident-memory", value: figure(resident), limit: Some(limit), problem, readings: 0 }
}

fn store_damage(damaged: bool) -> Vital {
    let problem = damaged.then(|| "the last scrub found damage".to_owned());
    Vital { name: "store-damage", value: f64::from(u8::from(damaged)), limit: Some(1.0), problem, readings: 0 }
}

/// Returns the memory that the process uses and that the machine, or its container, has.
fn memory() -> Option<(u64, u64)> {
    let resident = kilobytes(&read("/proc/self/status")?, "VmRSS:")?;
    let machine = kilobytes(&read("/proc/meminfo")?, "MemTotal:")?;
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    Some((resident, container.map_or(machine, |container: u64| container.min(machine))))
}

fn read(path: &str) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(PROC_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Reads a line such as `VmRSS:  1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people needs no more than 15 digits")]
fn figure(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_the_kernels_files() {
        assert_eq!(kilobytes("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12_288));
        assert_eq!(kilobytes("VmRSS:\n", "VmRSS:"), None);
        assert_eq!(kilobytes("VmRSS: 18446744073709551615 kB", "VmRSS:"), None);
    }

    #[test]
    fn a_vital_is_abnormal_from_its_limit_on() {
        assert_eq!(commit_seconds((5, 5), (5, 5)).value, 0.0);
        assert!(commit_seconds((0, 0), (10, 2_500_000)).problem.is_some());
        assert!(commit_seconds((0, 0), (10, 2_400_000)).problem.is_none());
        assert!(store_failures(1).problem.is_some() && store_failures(0).problem.is_none());
        assert!(saturation(4, 4, FULL_READINGS).problem.is_some() && saturation(4, 4, 1).problem.is_none());
        assert!(loop_lateness(1_000).problem.is_some() && loop_lateness(999).problem.is_none());
        assert!(free_disk(399, 100).problem.is_some() && free_disk(400, 100).problem.is_none());
        assert!(resident_memory(90, 100).problem.is_some() && resident_memory(89, 100).problem.is_none());
        assert!(store_damage(true).problem.is_some() && store_damage(false).problem.is_none());
    }
}
