//! The tables of the embedded store and how their keys are built.
//!
//! A `resident` table is held in memory: it has at most a few records for each deployment, and
//! nearly every commit changes one.
//!
//! Names contain no NUL, so `name NUL rest` sorts by name and then by the rest, and the keys of one
//! name are one range.

use tidemill_core::run::Run;
use tidemill_core::{DeploymentName, RunId, Timestamp};

use crate::embedded::tx::Table;

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $kind:ident $id:literal, $tree:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: Table = Table::$kind($id, $tree);)*
        /// Every table, as the embedded store is opened with. Ids never change their meaning.
        pub(crate) const ALL: &[Table] = &[$($name),*];
    };
}

tables! {
    /// `life/<node>` → the current epoch of the node; `scrub` → the last scrub; `index-scrub` → the
    /// last scrub of the index alone; `zones` → marks of the time zone rules; `topics` → the number
    /// of topics; `usage-counted` → empty, if the usage was counted; `alive` → when the host was
    /// last known to run; `outages` → when it did not run; `incidents` → the number of the last
    /// incident.
    META = new 1, "meta";
    /// digest → component.
    COMPONENTS = new 2, "components";
    /// module NUL version → module version.
    MODULES = new 3, "modules";
    /// name → the current revision.
    DEPLOYMENTS = new 4, "deployments";
    /// name NUL revision → that revision.
    REVISIONS = new 5, "revisions";
    /// name → empty: a deleted deployment whose state is still being removed.
    PURGES = new 6, "purges";
    /// run → run.
    RUNS = new 7, "runs";
    /// run → input.
    INPUTS = new 8, "inputs";
    /// run → output.
    OUTPUTS = new 9, "outputs";
    /// deployment NUL run → empty.
    RUNS_BY_DEPLOYMENT = new 10, "runs-by-deployment";
    /// deployment NUL run → empty, while the run has not ended.
    OPEN = new 11, "open-runs";
    /// deployment NUL (0 if the run has started before, else 1) (9 − priority) run → empty, while
    /// the run can be claimed.
    READY = new 12, "ready-runs";
    /// time run → the key in READY that the run gets when it is due.
    DELAYED = new 13, "delayed-runs";
    /// run → the epoch that executes it.
    RUNNING = new 14, "running-runs";
    /// deployment NUL schedule NUL (0, or 1 and a ticket if it waits for its turn) run → empty,
    /// while the run has neither ended nor is parked.
    FIRINGS = new 15, "firings";
    /// deployment NUL idempotency key → its reservation.
    KEYS = new 16, "idempotency-keys";
    /// time deployment NUL idempotency key → empty: when the key expires.
    KEY_ENDS = new 17, "idempotency-key-ends";
    /// run first-seq → log lines.
    LOGS = new 18, "logs";
    /// deployment NUL schedule → schedule.
    SCHEDULES = new 19, "schedules";
    /// time deployment NUL schedule → empty, or the nominal time if it differs from the due time;
    /// absent while either is paused.
    DUE = new 20, "due-schedules";
    /// stream → where its last successful collection ended.
    WATERMARKS = new 21, "watermarks";
    /// deployment NUL key → version and value.
    STATE = new 22, "state";
    /// posting → entry of an earlier release. The next epoch converts all entries and empties this
    /// table and the next four.
    ENTRIES = new 23, "ledger-entries";
    /// stream NUL time posting → currency and net revenue, of an earlier release.
    ENTRIES_BY_STREAM = new 24, "ledger-entries-by-stream";
    /// stream NUL external id → posting of an earlier release.
    EXTERNAL_IDS = new 25, "ledger-external-ids";
    /// stream NUL account NUL currency → balance, of an earlier release.
    ACCOUNTS = new 26, "ledger-accounts";
    /// stream NUL currency → net revenue and number of entries, of an earlier release.
    STREAMS = new 27, "ledger-streams";
    /// position → event.
    FEED = new 28, "feed";
    /// run chunk → a chunk of its journal.
    JOURNAL = new 29, "journals";
    /// run → its replay snapshot.
    REPLAY_SNAPSHOTS = new 30, "heads";
    /// run position → a signal that the run has not taken.
    INBOX = new 31, "inboxes";
    /// run sender key → the fingerprint of a received signal; empty for the signals of runs.
    SIGNAL_KEYS = new 32, "signal-keys";
    /// parent child → whether the parent has recorded how the child ended.
    CHILDREN = new 33, "children";
    /// parent child → empty, while the child is attached and has not ended.
    OPEN_CHILDREN = new 34, "open-children";
    /// run → the progress of the cancellation of its children, if they exceed one commit.
    CANCELS = new 35, "cancels";
    /// id → operation.
    OPERATIONS = new 36, "operations";
    /// digest → the number of records that name the payload file.
    PAYLOADS = new 37, "payloads";
    /// digest → when the last reference to the file was removed. Only earlier versions wrote it;
    /// housekeeping empties it.
    UNNAMED = new 38, "unnamed-payloads";
    /// deployment NUL lane → capacity, and the numbers of runs in it and waiting for it; absent if
    /// both are 0.
    LANES = new 44, "lanes";
    /// deployment NUL lane NUL (0, or 1 and a ticket if it waits) run → empty.
    LANE_RUNS = new 45, "lane-runs";
    /// deployment NUL schedule NUL seen nominal fate → irregular firings.
    FIRING_LIST = new 39, "firing-list";
    /// deployment → the number of its queued runs; absent if 0.
    QUEUED = resident 46, "queued-runs";
    /// deployment NUL hash → the run that requests with the same debounce key join.
    DEBOUNCES = new 47, "debounces";
    /// deployment NUL time run → empty: the start of a run, for as long as a rate may count it.
    STARTS = new 48, "starts";
    /// deployment → the effect of its admissions on the next one.
    TURNS = resident 49, "turns";
    /// topic → its first and next position, and its counters.
    TOPICS = new 50, "topics";
    /// topic NUL position → event.
    EVENTS = new 51, "events";
    /// topic NUL idempotency key → the event that was published with it.
    EVENT_KEYS = new 52, "event-keys";
    /// time topic NUL idempotency key → empty: when the key expires.
    EVENT_KEY_ENDS = new 53, "event-key-ends";
    /// deployment NUL subscription → subscription.
    SUBSCRIPTIONS = new 54, "subscriptions";
    /// deployment NUL subscription NUL topic → the position of the first event that the
    /// subscription has not received.
    CURSORS = new 55, "subscription-cursors";
    /// operation NUL topic → the range of positions that is left to replay.
    REPLAYS = new 56, "replays";
    /// run → why it waits for a person: it is parked, or it was cancelled and could not undo its
    /// work.
    PARKED = new 57, "parked-runs";
    /// deployment → its usage.
    USAGE = resident 70, "usage";
    /// topic → the deployment whose run created it; absent if an operator created it.
    TOPIC_OWNERS = new 71, "topic-owners";
    /// run number → a failure.
    FAILURES = new 74, "failures";
    /// name → the newest version number that it ever had.
    SECRETS = new 80, "secrets";
    /// name NUL version → that version of the secret, sealed.
    SECRET_VERSIONS = new 81, "secret-versions";
    /// time name NUL version → empty: when the version ends.
    SECRET_ENDS = new 82, "secret-ends";
    /// id → a master key that sealed bytes may need, with its canary.
    MASTER_KEYS = new 83, "master-keys";
    /// `last` → the rotation of the master key that is in progress, or the last one.
    KEY_ROTATION = new 84, "key-rotation";
    /// delivery → delivery, without its body.
    DELIVERIES = new 90, "deliveries";
    /// delivery → length of the wrapped key, wrapped key, and its body.
    DELIVERY_BODIES = new 91, "delivery-bodies";
    /// deployment NUL delivery → its progress.
    DELIVERY_PROGRESS = new 92, "delivery-progress";
    /// deployment NUL hook NUL 0 key NUL (and the digest of the body if the key is not signed) →
    /// the delivery; deployment NUL hook NUL 1 digest → the last delivery with that body, and when
    /// it was received; deployment NUL hook NUL 2 transmission → the delivery, its digest, and the
    /// number of refused ones.
    DELIVERY_KEYS = new 93, "delivery-keys";
    /// deployment NUL ticket → a delivery that waits for its run.
    BACKLOG = new 94, "delivery-backlog";
    /// deployment → the number of its waiting deliveries; absent if 0.
    BACKLOG_LENGTH = resident 95, "delivery-backlog-length";
    /// time delivery → empty: when its outcome was settled.
    SETTLED_DELIVERIES = new 96, "settled-deliveries";
    /// delivery run → empty: a replay of the delivery.
    DELIVERY_REPLAYS = new 97, "delivery-replays";
    /// deployment NUL hash of the object, delivery → empty.
    DELIVERIES_BY_OBJECT = new 98, "deliveries-by-object";
    /// time delivery → empty: when it died, until that was announced again.
    DEAD_DELIVERIES = new 99, "dead-deliveries";
    /// sequence number of the first entry → up to 16 entries of the ledger.
    LEDGER_ENTRIES = new 100, "ledger-chain";
    /// stream NUL external id → sequence number.
    LEDGER_IDS = new 101, "ledger-ids";
    /// run, sequence number of the first entry → number of entries of the run in one commit.
    LEDGER_RUNS = new 102, "ledger-runs";
    /// stream NUL time sequence number → kind, currency and amounts.
    LEDGER_TIMES = new 103, "ledger-times";
    /// stream NUL external id NUL sequence number → empty: the entry answers the external id.
    LEDGER_OF = new 104, "ledger-of";
    /// stream NUL account NUL currency → posted and pending balance.
    LEDGER_ACCOUNTS = resident 105, "ledger-balances";
    /// stream NUL currency → net revenue, number of entries, and whether the stream is on paper.
    LEDGER_STREAMS = resident 106, "ledger-totals";
    /// stream NUL (0 booked, 1 posted) (0 quarter of an hour, 1 day, 2 month) start (1 if late,
    /// else 0) kind NUL currency → sums.
    LEDGER_BUCKETS = new 107, "ledger-buckets";
    /// 0 and the id of its entry → reservation; 1 and its sequence number, and 2 with the time of
    /// its end and its sequence number → id, while it is open.
    LEDGER_RESERVATIONS = new 108, "ledger-reservations";
    /// `head` → the last entry; `unit/` and a code → number of decimal places; `findings` → the
    /// numbers of findings.
    LEDGER_MARKS = resident 109, "ledger-marks";
    /// `until` → the end of the last closed period; 0 end name NUL zone → closed period.
    LEDGER_PERIODS = resident 110, "ledger-periods";
    /// stream NUL month currency NUL customer → number and net revenue of the entries booked in it.
    LEDGER_CUSTOMERS = new 111, "ledger-customers";
    /// stream NUL time of posting, sequence number → as in `ledger-times`, for late entries only.
    LEDGER_LATE = new 112, "ledger-late";
    /// 0 and its number → open finding; 1 and its number → finding that a person closed; 2 kind (1
    /// if on paper, else 0) stream NUL subject NUL currency → number; 3 time, the key of a subject
    /// → what opens or closes then.
    LEDGER_FINDINGS = new 113, "ledger-findings";
    /// 0 stream NUL external id NUL currency NUL kind → sum of the answers; 1 stream NUL conversion
    /// → sum for each currency; 2 (1 if on paper, else 0) invoice NUL currency → sum; 3 stream NUL
    /// currency NUL customer → the last entry that may have taken the account below its floor,
    /// while it is below.
    LEDGER_FINDING_SUMS = new 114, "ledger-finding-sums";
    /// stream NUL level, start of a range of time → fuel and number of the runs that ended in it.
    LEDGER_FUEL = new 116, "ledger-fuel";
    /// stream NUL month currency NUL customer → what posting in that month differs from what is
    /// booked in it: number and net revenue.
    LEDGER_CUSTOMERS_POSTED = new 117, "ledger-customers-posted";
    /// account, sequence number → the account after that entry: its sums, and the grants and open
    /// reservations with something left or held.
    CREDIT_CHECKPOINTS = new 118, "credit-checkpoints";
    /// 0 run, or 1 delivery → until when it is kept as evidence of entries, and the journal of a
    /// removed run; 2 time, either of both keys → empty: the evidence that is due then.
    LEDGER_EVIDENCE = new 119, "ledger-evidence";
    /// currency NUL day NUL other currency → rate from the other one.
    LEDGER_RATES = new 115, "ledger-rates";
    /// stream NUL currency NUL customer → number of the customer's account, which is the sequence
    /// number of its first entry, with the number of entries until its next checkpoint, its debt
    /// and what is held.
    CREDIT_ACCOUNTS = new 120, "credit-accounts";
    /// account, external id → grant.
    CREDIT_GRANTS = new 121, "credit-grants";
    /// account, external id → what an entry has used or holds.
    CREDIT_USES = new 122, "credit-uses";
    /// account, then 0 and the order of a grant with something left, 1 and the sequence number of
    /// an entry with debt, or 2 with the time of a hold's end and its sequence number → external
    /// id.
    CREDIT_ORDERS = new 123, "credit-orders";
    /// account, sequence number → empty: the entry moved the account.
    CREDIT_ENTRIES = new 124, "credit-entries";
    /// time sequence number → empty: the rest of the grant that the entry made lapses then.
    CREDIT_ENDS = new 125, "credit-ends";
    /// stream NUL currency NUL customer → floor of the customer's account.
    CREDIT_FLOORS = new 126, "credit-floors";
    /// stream NUL account NUL currency → what reservations take from the account.
    LEDGER_OUTGOING = resident 127, "ledger-outgoing";
    /// deployment NUL name → budget.
    BUDGETS = resident 140, "budgets";
    /// deployment NUL budget NUL number start customer → what was used and is held in the period.
    BUDGET_COUNTERS = new 141, "budget-counters";
    /// deployment NUL budget NUL number customer → the customer's own limit.
    BUDGET_LIMITS = new 142, "budget-limits";
    /// deployment → the last decision of an operator about its breaker.
    BREAKERS = new 145, "breakers";
    /// run → its customer, what it holds of budgets of fuel, and for which it waits.
    FUEL_RUNS = new 143, "fuel-runs";
    /// deployment NUL budget NUL number start, hash of the customer, (9 − priority) run → empty:
    /// the run waits for room.
    FUEL_WAITS = new 144, "fuel-waits";
    /// deployment NUL time, position of the commit → change of the health of the deployment.
    HEALTH = new 150, "health";
    /// number → incident.
    INCIDENTS = new 151, "incidents";
    /// incident, number → entry of its timeline.
    INCIDENT_TIMELINES = new 152, "incident-timelines";
    /// deployment (empty for the host) NUL incident → empty.
    INCIDENTS_BY_DEPLOYMENT = new 153, "incidents-by-deployment";
    /// deployment → its last healthy revisions.
    HEALTHY_REVISIONS = new 154, "healthy-revisions";
    /// deployment → where its new runs go instead.
    ROUTES = new 155, "standby-routes";
    /// id → alert.
    ALERTS = new 160, "alerts";
    /// rule NUL deployment, or nothing, NUL subject → the id of the alert that is not over.
    OPEN_ALERTS = new 161, "open-alerts";
    /// time id → empty: when the alert was over.
    RESOLVED_ALERTS = new 162, "resolved-alerts";
    /// alert notification → notification.
    NOTIFICATIONS = new 163, "notifications";
    /// channel NUL notification → its alert, while it waits.
    NOTIFICATION_QUEUE = new 164, "notification-queue";
    /// id → silence.
    SILENCES = new 165, "silences";
    /// deployment NUL → its attempts of the last 30 days, for its objectives.
    SERVICE_HISTORY = new 166, "service-history";
    /// run generation key → the answer of a call of the run that acted on another deployment.
    OPERATOR_CALLS = new 170, "operator-calls";
    /// deployment → the run that paused it; absent if a person did.
    PAUSING_RUNS = new 171, "pausing-runs";
}

/// Builds the key `name NUL rest`.
pub(crate) fn name_key(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1 + rest.len());
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key.extend_from_slice(rest);
    key
}

/// Builds the key `time rest`, which sorts by time.
pub(crate) fn time_key(time: Timestamp, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + rest.len());
    key.extend_from_slice(&time.as_millis().to_be_bytes());
    key.extend_from_slice(rest);
    key
}

/// Builds the key of a run under its deployment.
pub(crate) fn run_of(deployment: &DeploymentName, run: RunId) -> Vec<u8> {
    name_key(deployment.as_str(), &run.to_bytes())
}

/// Builds the key in [`READY`]: runs that have started before come first, then higher priority,
/// then older runs.
pub(crate) fn ready(run: &Run) -> Vec<u8> {
    let mut rest = [0; 18];
    rest[0] = u8::from(run.started_at.is_none());
    rest[1] = 9u8.saturating_sub(run.priority);
    rest[2..].copy_from_slice(&run.id.to_bytes());
    name_key(run.deployment.as_str(), &rest)
}

/// Builds the value in [`DELAYED`] of a run that must enter its lanes when it is due.
pub(crate) fn lane_request(run: &Run) -> Vec<u8> {
    name_key(run.deployment.as_str(), &[2])
}

/// Returns whether a value in [`DELAYED`] means that the run must enter its lanes.
pub(crate) fn is_lane_request(ready: &[u8]) -> bool {
    ready.iter().position(|byte| *byte == 0).is_some_and(|end| ready.len() == end + 2)
}

/// Builds the key of a child under its parent.
pub(crate) fn pair(parent: RunId, child: RunId) -> Vec<u8> {
    [parent.to_bytes(), child.to_bytes()].concat()
}

/// Builds the key of one chunk of a journal.
pub(crate) fn chunk(run: RunId, at: u32) -> Vec<u8> {
    let mut key = Vec::with_capacity(20);
    key.extend_from_slice(&run.to_bytes());
    key.extend_from_slice(&at.to_be_bytes());
    key
}

/// Builds the key of a numbered row of a run: a signal, a failure, or a chunk of log lines by its
/// first line.
pub(crate) fn placed(run: RunId, place: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(24);
    key.extend_from_slice(&run.to_bytes());
    key.extend_from_slice(&place.to_be_bytes());
    key
}

/// Reads the time at the start of a key.
pub(crate) fn time_of(key: &[u8]) -> Option<Timestamp> {
    key.first_chunk::<8>().map(|bytes| Timestamp::from_millis(u64::from_be_bytes(*bytes)))
}

/// Reads the run at the end of a key.
pub(crate) fn run_at_end(key: &[u8]) -> Option<RunId> {
    key.last_chunk::<16>().map(|bytes| RunId::from_bytes(*bytes))
}

/// Reads the name before the first NUL of a key.
pub(crate) fn name_of(key: &[u8]) -> Option<DeploymentName> {
    let end = key.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(&key[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::NewRun;

    #[test]
    fn no_two_tables_share_an_id_or_a_name() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert!(a.id != b.id && a.name != b.name, "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn ready_runs_sort_by_having_begun_then_priority_and_then_age() {
        let run = |millis, priority, started_at| {
            let new = NewRun {
                id: RunId::new(Timestamp::from_millis(millis), 7),
                priority,
                ..crate::embedded::fixture::new_run()
            };
            ready(&Run { started_at, ..new.to_run() })
        };
        assert!(run(5, 9, None) < run(1, 5, None));
        assert!(run(1, 5, None) < run(2, 5, None));
        assert!(run(5, 1, Some(Timestamp::default())) < run(1, 9, None));
        let key = run(2, 5, None);
        assert_eq!(run_at_end(&key), Some(RunId::new(Timestamp::from_millis(2), 7)));
        assert_eq!(name_of(&key), Some(crate::embedded::fixture::new_run().deployment));
    }
}
