//! The tables of the embedded store and how their keys are built.
//!
//! Names hold no NUL, so `name NUL rest` sorts by name and then by the rest, and one name's keys are one range.

use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::Table;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $tree:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: Table = Table { id: $id, name: $tree };)*
        /// Every table, as the embedded store is opened with. Ids never change their meaning.
        pub(super) const ALL: &[Table] = &[$($name),*];
    };
}

tables! {
    /// `life/<node>` → the node's present epoch; `scrub` → the last scrub.
    META = 1, "meta";
    /// digest → component.
    COMPONENTS = 2, "components";
    /// module NUL version → module version.
    MODULES = 3, "modules";
    /// name → the present revision.
    DEPLOYMENTS = 4, "deployments";
    /// name NUL revision → that revision.
    REVISIONS = 5, "revisions";
    /// name → nothing: a deleted deployment whose state is still being removed.
    PURGES = 6, "purges";
    /// run → run.
    RUNS = 7, "runs";
    /// run → input.
    INPUTS = 8, "inputs";
    /// run → output.
    OUTPUTS = 9, "outputs";
    /// deployment NUL run → nothing.
    RUNS_BY_DEPLOYMENT = 10, "runs-by-deployment";
    /// deployment NUL run → nothing, while the run has not ended.
    OPEN = 11, "open-runs";
    /// deployment NUL (9 − priority) run → nothing, while it is queued and due.
    READY = 12, "ready-runs";
    /// time run → the key under READY that it gets when due.
    DELAYED = 13, "delayed-runs";
    /// run → the epoch it is running under.
    RUNNING = 14, "running-runs";
    /// deployment NUL schedule NUL run → nothing, while the run has neither ended nor is parked.
    FIRINGS = 15, "firings";
    /// deployment NUL idempotency key → what it reserved.
    KEYS = 16, "idempotency-keys";
    /// time deployment NUL idempotency key → nothing: when the key is forgotten.
    KEY_ENDS = 17, "idempotency-key-ends";
    /// run first-seq → log lines.
    LOGS = 18, "logs";
    /// deployment NUL schedule → schedule.
    SCHEDULES = 19, "schedules";
    /// time deployment NUL schedule → nothing, where neither is paused.
    DUE = 20, "due-schedules";
    /// stream → where its last successful collection ended.
    WATERMARKS = 21, "watermarks";
    /// deployment NUL key → version and value.
    STATE = 22, "state";
    /// posting → entry.
    ENTRIES = 23, "ledger-entries";
    /// stream NUL time posting → currency and net revenue.
    ENTRIES_BY_STREAM = 24, "ledger-entries-by-stream";
    /// stream NUL external id → posting.
    EXTERNAL_IDS = 25, "ledger-external-ids";
    /// stream NUL account NUL currency → balance.
    ACCOUNTS = 26, "ledger-accounts";
    /// stream NUL currency → net revenue and number of entries.
    STREAMS = 27, "ledger-streams";
    /// position → event.
    FEED = 28, "feed";
}

/// `name NUL rest`.
pub(super) fn under(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1 + rest.len());
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// `time rest`, sorting by time.
pub(super) fn at(time: Timestamp, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + rest.len());
    key.extend_from_slice(&time.as_millis().to_be_bytes());
    key.extend_from_slice(rest);
    key
}

/// The key of a run under its deployment.
pub(super) fn run_of(deployment: &DeploymentName, run: RunId) -> Vec<u8> {
    under(deployment.as_str(), &run.to_bytes())
}

/// The key under [`READY`]: higher priority first, then older runs.
pub(super) fn ready(deployment: &DeploymentName, priority: u8, run: RunId) -> Vec<u8> {
    let mut rest = [0; 17];
    rest[0] = 9u8.saturating_sub(priority);
    rest[1..].copy_from_slice(&run.to_bytes());
    under(deployment.as_str(), &rest)
}

/// The key of one chunk of log lines.
pub(super) fn log_chunk(run: RunId, first: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(&run.to_bytes());
    key.extend_from_slice(&first.to_be_bytes());
    key
}

/// The time at the head of a key.
pub(super) fn time_of(key: &[u8]) -> Option<Timestamp> {
    key.first_chunk::<8>().map(|bytes| Timestamp::from_millis(u64::from_be_bytes(*bytes)))
}

/// The run at the end of a key.
pub(super) fn run_at_end(key: &[u8]) -> Option<RunId> {
    key.last_chunk::<16>().map(|bytes| RunId::from_bytes(*bytes))
}

/// The name before the first NUL of a key.
pub(super) fn name_of(key: &[u8]) -> Option<DeploymentName> {
    let end = key.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&key[..end]).ok()?.parse().ok()
}

/// The first key behind every key that begins with `prefix`; none where there is no such key.
pub(super) fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_share_an_id_or_a_name() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert!(a.id != b.id && a.name != b.name, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn what_lies_behind_a_prefix_is_behind_all_that_begins_so() {
        assert_eq!(behind(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(behind(&[1, 255]), Some(vec![2]));
        assert_eq!(behind(&[255, 255]), None);
    }

    #[test]
    fn ready_runs_sort_by_priority_and_then_by_age() {
        let name: DeploymentName = "a".parse().unwrap();
        let run = |millis| RunId::new(Timestamp::from_millis(millis), 7);
        assert!(ready(&name, 9, run(5)) < ready(&name, 5, run(1)));
        assert!(ready(&name, 5, run(1)) < ready(&name, 5, run(2)));
        assert_eq!(run_at_end(&ready(&name, 5, run(2))), Some(run(2)));
        assert_eq!(name_of(&ready(&name, 5, run(2))), Some(name));
    }
}
