//! A run's transaction: its uncommitted reads and effects, overlaid on what the store has
//! committed.
//!
//! Effects are in layers: `kept` (what a retry of the run keeps), `since` (what came after) and one
//! for each open step. A failed attempt of a step drops the layer of that step. Reads have no
//! layers: a failed attempt also depends on what it read.
//!
//! A metric sample is not a journaled call. Samples taken before an entry belong to a layer, as any
//! effect does. Samples taken after the last entry are in no layer, because a run that resumes from
//! that entry takes them again.
//!
//! # Example
//! | call | `kept` | `since` | `steps` |
//! | --- | --- | --- | --- |
//! | write `a` | | `a` | |
//! | open a step, write `b` | | `a` | `[b]` |
//! | the attempt fails: [`Transaction::drop_attempt`] | | `a` | `[-]` |
//! | write `b` again | | `a` | `[b]` |
//! | close the step | | `a b` | |
//! | [`Transaction::savepoint`] | `a b` | | |
//! | write `c` | `a b` | `c` | |
//!
//! From the last row, a commit applies `a`, `b` and `c`. A failed attempt of the run commits `a`
//! and `b` and drops `c`. A read conflict drops all three and redoes the transaction from `first`.
//! If a commit point is inside an open step, the layers outside it take effect; the layer of the
//! step stays, with the versions that it relies on (`held_keys`, `held_ids`).
//!
//! # Invariants
//! - A read of a written key is answered from the innermost layer that holds it (open steps from
//!   the inside out, then `since`, then `kept`) and never from the store.
//! - Every other read is in `reads` with the version seen. If a key is seen at a second version,
//!   the transaction is void at once.
//! - A commit applies all layers outside open steps, or none.

pub(crate) mod earlier;
pub(crate) mod effects;
mod entries;
pub(crate) mod held;
mod layer;
mod own;

pub(crate) use self::layer::ReadConflict;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidemill_core::limits::{STATE_PAGE_BYTES, TRANSACTION_KEYS, TRANSACTION_WRITE_BYTES};
use tidemill_core::{RunId, Topic};
use tidemill_store::records::{
    BalanceCheck, BalanceQuestion, ExternalId, FloorAccount, NewEntry, NewEvent, NewSignal, OwnEntries, ScanPage,
    ScanRequest, VersionedValue,
};

use self::layer::{EffectLayer, ReadSet, ScanRead, note, size};
use self::own::OwnAccounts;
use crate::guest::metrics::Metric;
use crate::guest::metrics::MetricSamples;
use crate::transaction::effects::{Effects, StartRun};

/// The reads and effects since the last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    reads: ReadSet,
    /// Effects that a retry of the run keeps.
    kept: EffectLayer,
    /// Effects since the last savepoint.
    since: EffectLayer,
    /// One layer for each open step, the outermost first.
    steps: Vec<EffectLayer>,
    /// The layers of the open steps as a retry keeps them.
    kept_steps: Vec<EffectLayer>,
    /// The transaction as it was at its start. The start need not be at a commit: the answer that
    /// opens a transaction belongs to it.
    first: Option<Box<Self>>,
    /// SHA-256 of the answers that the transaction has read, and of those that a retry keeps.
    answers: Vec<[u8; 32]>,
    kept_answers: Vec<[u8; 32]>,
    /// Samples since the last journal entry. A run that resumes from that entry takes them again.
    #[serde(skip)]
    pending: MetricSamples,
    /// The entries by the accounts that were asked. Empty again whenever entries leave a layer
    /// other than for the enclosing one, which keeps their order.
    #[serde(skip)]
    own_accounts: OwnAccounts,
}

/// Maximum number of answers in the evidence of an entry: the last ones that its transaction read.
pub(crate) const EVIDENCE_ANSWERS: usize = 16;

/// A transaction exceeded one of its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransactionLimit {
    #[error(
        "a run may read, write, post, start, send and publish at most {TRANSACTION_KEYS} items between two commits"
    )]
    Keys,
    #[error("a run may write at most {TRANSACTION_WRITE_BYTES} bytes of state between two commits")]
    Bytes,
}

/// A page of a scan as the guest sees it, and as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatePage {
    /// Keys and values, sorted by the bytes of the keys.
    pub entries: Vec<(String, Bytes)>,
    /// The key after which the next page begins, if there is one.
    pub next: Option<String>,
}

impl Transaction {
    fn layers(&self) -> impl DoubleEndedIterator<Item = &EffectLayer> {
        [&self.kept, &self.since].into_iter().chain(&self.steps)
    }

    fn top(&mut self) -> &mut EffectLayer {
        self.steps.last_mut().unwrap_or(&mut self.since)
    }

    /// Returns the run's uncommitted value: `None` if not written, `Some(None)` if deleted.
    pub fn own(&self, key: &str) -> Option<Option<Bytes>> {
        let own = self.layers().rev().find_map(|layer| layer.written.get(key))?;
        Some(own.clone())
    }

    /// Notes the version of a key that was read from the store.
    pub fn note_read(&mut self, key: &str, seen: &VersionedValue) -> Result<(), ReadConflict> {
        note(&mut self.reads.keys, key, seen.version)
    }

    /// Checks that one more key or effect fits into the transaction.
    pub fn has_room(&self) -> Result<(), TransactionLimit> {
        let reads = self.reads.keys.len() + self.reads.scanned_keys;
        if reads + self.layers().map(EffectLayer::things).sum::<usize>() < TRANSACTION_KEYS {
            Ok(())
        } else {
            Err(TransactionLimit::Keys)
        }
    }

    /// Writes or deletes a key.
    pub fn write(&mut self, key: String, value: Option<Bytes>) -> Result<(), TransactionLimit> {
        let old = self.top().written.get(&key).map_or(0, |value| size(&key, value));
        let more = size(&key, &value);
        if self.layers().map(|layer| layer.written_bytes).sum::<usize>() - old + more > TRANSACTION_WRITE_BYTES {
            return Err(TransactionLimit::Bytes);
        }
        if old == 0 {
            self.has_room()?;
        }
        let top = self.top();
        top.written_bytes = top.written_bytes - old + more;
        top.written.insert(key, value);
        Ok(())
    }

    /// Notes that the innermost open step holds a compare-and-set, a reservation or a draw.
    pub fn note_claim(&mut self) {
        if let Some(step) = self.steps.last_mut() {
            step.claimed = true;
        }
    }

    /// Whether an open step holds an uncommitted compare-and-set, reservation or draw.
    pub fn has_claim_in_step(&self) -> bool {
        self.steps.iter().any(|step| step.claimed)
    }

    /// Overlays the run's own writes on a page from the store, and notes what was seen.
    ///
    /// The page covers all keys from `after` to its last key, or to the end of the prefix if there
    /// are no more. Only own writes in that range belong to it.
    pub fn overlay(&mut self, request: ScanRequest, page: ScanPage) -> StatePage {
        let covered_to = if page.more { page.entries.last().map(|(key, ..)| key.clone()) } else { None };
        let mut merged: BTreeMap<String, Option<Bytes>> = BTreeMap::new();
        let mut seen = Vec::with_capacity(page.entries.len());
        for (key, value, version) in page.entries {
            seen.push((key.clone(), version));
            merged.insert(key, Some(value));
        }
        let from = match &request.after {
            Some(after) if after.as_str() >= request.prefix.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(request.prefix.as_str()),
        };
        for layer in self.layers() {
            for (key, value) in layer.written.range::<str, _>((from, Bound::Unbounded)) {
                if !key.starts_with(&request.prefix) || covered_to.as_ref().is_some_and(|last| key > last) {
                    break;
                }
                merged.insert(key.clone(), value.clone());
            }
        }
        let mut entries: Vec<(String, Bytes)> = Vec::new();
        let mut bytes = 0;
        let mut cut = false;
        for (key, value) in merged.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            bytes += key.len() + value.len();
            if entries.len() >= request.limit || (bytes > STATE_PAGE_BYTES && !entries.is_empty()) {
                cut = true;
                break;
            }
            entries.push((key, value));
        }
        let next = if cut { entries.last().map(|(key, _)| key.clone()) } else { covered_to };
        self.reads.scanned_keys += seen.len();
        let ScanRequest { prefix, after, limit } = request;
        self.reads.scans.push(ScanRead { prefix, after, limit, seen, more: page.more });
        StatePage { entries, next }
    }

    /// Returns the run's own entry under an external id.
    pub fn own_entry(&self, external_id: &str) -> Option<&NewEntry> {
        self.layers().find_map(|layer| layer.entries.under(external_id))
    }

    /// Returns the run's own reservation with this id.
    pub fn own_reservation(&self, id: &str) -> Option<&NewEntry> {
        self.layers().find_map(|layer| layer.entries.reservation(id))
    }

    /// Returns the run's own entry that ends a reservation.
    pub fn own_end_of(&self, reservation: &str) -> Option<&NewEntry> {
        self.layers().find_map(|layer| layer.entries.end_of(reservation))
    }

    /// Takes out the transaction's own entries that may move an account, with what the store has
    /// derived from them. They have to be given back.
    pub fn take_own_entries(&mut self, account: &(String, FloorAccount)) -> OwnEntries {
        let mut own = std::mem::take(&mut self.own_accounts);
        let entries = own.take(self.layers(), account);
        self.own_accounts = own;
        entries
    }

    /// Gives back what [`Transaction::take_own_entries`] took out.
    pub fn give_back_own_entries(&mut self, account: (String, FloorAccount), own: OwnEntries) {
        self.own_accounts.give_back(account, own);
    }

    /// Notes what an account has answered. The commit decides again.
    pub fn note_decision(&mut self, question: BalanceQuestion, covered: Option<i64>) {
        let top = self.top();
        top.decisions.push(BalanceCheck { after: top.entries.len(), question, covered });
    }

    /// Notes the version seen of an external id.
    pub fn note_external_id(&mut self, external_id: &str, seen: &ExternalId) -> Result<(), ReadConflict> {
        note(&mut self.reads.ids, external_id, seen.version)
    }

    /// Adds an entry of the ledger.
    pub fn add_entry(&mut self, entry: NewEntry) {
        self.top().entries.push(entry);
    }

    /// Notes that other content came under the external id of an own entry, if there is room.
    pub fn note_id_conflict(&mut self, external_id: &str) {
        if self.has_room().is_ok() {
            self.top().id_conflicts.insert(external_id.to_owned());
        }
    }

    /// Notes the SHA-256 of the body of an answer, for the evidence of later entries. The last
    /// [`EVIDENCE_ANSWERS`] are kept.
    pub fn note_answer(&mut self, digest: [u8; 32]) {
        if self.answers.len() == EVIDENCE_ANSWERS {
            self.answers.remove(0);
        }
        self.answers.push(digest);
    }

    /// Returns the SHA-256 of the answers that the transaction has read.
    pub fn answers(&self) -> &[[u8; 32]] {
        &self.answers
    }

    pub fn start(&mut self, run: StartRun) {
        self.top().starts.push(run);
    }

    /// Returns the runs that this transaction starts.
    pub fn starts(&self) -> impl Iterator<Item = &StartRun> {
        self.layers().flat_map(|layer| &layer.starts)
    }

    /// Returns the topics that this transaction publishes to.
    pub fn topics(&self) -> BTreeSet<&Topic> {
        self.layers().flat_map(|layer| &layer.events).map(|event| &event.topic).collect()
    }

    /// Returns the run with this id if this transaction starts it.
    pub fn starting(&self, id: RunId) -> Option<&StartRun> {
        self.layers().find_map(|layer| layer.starts.iter().find(|start| start.id == id))
    }

    /// Returns the run with this deployment and key if this transaction starts it.
    pub fn starting_with(&self, deployment: &str, key: &str) -> Option<&StartRun> {
        let mut starts = self.layers().flat_map(|layer| &layer.starts);
        starts.find(|start| start.key == key && start.deployment.as_str() == deployment)
    }

    pub fn signal(&mut self, signal: NewSignal) {
        self.top().signals.push(signal);
    }

    pub fn publish(&mut self, event: NewEvent) {
        self.top().events.push(event);
    }

    /// Whether this transaction already publishes to a topic.
    pub fn publishes_to(&self, topic: &Topic) -> bool {
        self.layers().any(|layer| layer.events.iter().any(|event| event.topic == *topic))
    }

    /// Adds a cancellation request for another run.
    pub fn cancel(&mut self, run: RunId) {
        self.top().cancels.push(run);
    }

    /// Adds a sample of the guest's own metrics. It joins the transaction at the next journal
    /// entry, after which no replay takes it again.
    pub fn sample(&mut self, metric: Metric) {
        self.pending.add(metric);
    }

    /// Moves pending samples into a layer, at a journal entry or at the end.
    pub fn entry(&mut self) {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.top().samples.take_in(pending);
        }
    }

    /// Takes a signal out of the inbox.
    pub fn take(&mut self, name: &str, place: u64) {
        self.top().taken.push((name.to_owned(), place));
    }

    /// Returns the position of the last signal taken since the savepoint.
    pub fn last_taken(&self) -> Option<u64> {
        self.since.taken.last().map(|(_, place)| *place)
    }

    /// Notes that the run has observed the end of a child.
    pub fn observe(&mut self, run: RunId) {
        self.top().observed.push(run);
    }

    /// Returns the highest position of a taken signal of that name.
    pub fn last_taken_position(&self, name: &str) -> Option<u64> {
        self.layers().flat_map(|layer| &layer.taken).filter(|(taken, _)| taken == name).map(|(_, place)| *place).max()
    }

    /// Whether anything was read that another run could change.
    pub fn has_reads(&self) -> bool {
        !(self.reads.keys.is_empty() && self.reads.scans.is_empty() && self.reads.ids.is_empty())
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        !self.has_reads() && self.layers().all(EffectLayer::is_empty)
    }

    // --- steps ---

    /// Opens a step.
    pub fn open(&mut self) {
        self.entry();
        self.steps.push(EffectLayer::default());
    }

    /// Opens steps until `depth` steps are open.
    pub fn open_to(&mut self, depth: u32) {
        while self.steps.len() < depth as usize {
            self.open();
        }
    }

    /// Drops the effects of a failed attempt of the innermost step. The step stays open.
    pub fn drop_attempt(&mut self) {
        self.pending = MetricSamples::default();
        self.own_accounts = OwnAccounts::default();
        if let Some(step) = self.steps.last_mut() {
            *step = EffectLayer::default();
        }
    }

    /// Closes the innermost step: its effects join the enclosing layer if `good`, else they are
    /// dropped.
    pub fn close(&mut self, good: bool) {
        self.entry();
        let Some(step) = self.steps.pop() else { return };
        self.kept_steps.truncate(self.steps.len());
        if !good {
            self.own_accounts = OwnAccounts::default();
            return;
        }
        if self.steps.is_empty() {
            // From here on they are ordinary reads.
            for (key, version) in &step.held_keys {
                self.reads.keys.entry(key.clone()).or_insert(*version);
            }
            for (id, version) in &step.held_ids {
                self.reads.ids.entry(id.clone()).or_insert(*version);
            }
        }
        let outermost = self.steps.is_empty();
        let into = self.top();
        into.merge(step);
        if outermost {
            into.held_keys.clear();
            into.held_ids.clear();
            into.held_decisions = 0;
            into.claimed = false;
        }
    }

    // --- savepoints, commits and redo ---

    /// Makes a retry keep everything up to here.
    pub fn savepoint(&mut self) {
        let since = std::mem::take(&mut self.since);
        self.kept.merge(since);
        self.kept_steps.clone_from(&self.steps);
        self.kept_answers.clone_from(&self.answers);
    }

    /// Makes a retry keep the open steps as they are, after what it kept of them was dropped.
    pub fn keep_steps(&mut self) {
        self.kept_steps.clone_from(&self.steps);
    }

    /// Moves the start of the transaction here, so that a redo keeps everything before.
    pub fn begin_here(&mut self) {
        self.first = None;
        if !self.layers().all(EffectLayer::is_empty) || !self.steps.is_empty() || !self.answers.is_empty() {
            self.first =
                Some(Box::new(Self { reads: ReadSet::default(), pending: MetricSamples::default(), ..self.clone() }));
        }
    }

    /// Starts the next transaction, after everything outside the open steps was committed.
    pub fn committed(&mut self) {
        for step in &mut self.steps {
            step.hold(&self.reads);
        }
        self.reads = ReadSet::default();
        self.kept = EffectLayer::default();
        self.since = EffectLayer::default();
        self.answers = Vec::new();
        self.kept_answers = Vec::new();
        self.own_accounts = OwnAccounts::default();
        self.keep_steps();
        self.begin_here();
    }

    /// Returns the effects of a commit: everything outside the open steps.
    pub fn effects(&self) -> Effects {
        EffectLayer::effects(&self.reads, [&self.kept, &self.since])
    }

    /// Returns the effects that a retry keeps, with all reads.
    pub fn kept_effects(&self) -> Effects {
        EffectLayer::effects(&self.reads, [&self.kept])
    }

    /// Returns the transaction of the next attempt: the open steps as they were at the savepoint.
    pub fn after_retry(&self) -> Self {
        let mut next = Self::of_steps(&self.kept_steps);
        next.answers.clone_from(&self.kept_answers);
        next.kept_answers.clone_from(&self.kept_answers);
        next.begin_here();
        next
    }

    /// Returns the transaction to redo: its state at the start.
    pub fn after_redo(&self) -> Self {
        let mut first = self.first.as_deref().cloned().unwrap_or_default();
        first.begin_here();
        first
    }

    /// Returns the transaction after a commit, as [`Self::committed`] leaves it.
    pub fn after_commit(&self) -> Self {
        let mut steps = self.steps.clone();
        for step in &mut steps {
            step.hold(&self.reads);
        }
        Self::of_steps(&steps)
    }

    fn of_steps(steps: &[EffectLayer]) -> Self {
        let steps = steps.to_vec();
        let mut transaction = Self { kept_steps: steps.clone(), steps, ..Self::default() };
        transaction.begin_here();
        transaction
    }

    /// Whether the transaction has no reads, no effects, no answers and no open step.
    pub fn is_blank(&self) -> bool {
        self.is_empty() && self.steps.is_empty() && self.answers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidemill_store::records::Version;

    use super::*;

    fn request(prefix: &str, after: Option<&str>, limit: usize) -> ScanRequest {
        ScanRequest { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit }
    }

    /// The page of a store that holds `committed`.
    fn page(committed: &BTreeMap<String, Bytes>, request: &ScanRequest) -> ScanPage {
        let all: Vec<_> = committed
            .iter()
            .filter(|(key, _)| key.starts_with(&request.prefix))
            .filter(|(key, _)| request.after.as_ref().is_none_or(|after| *key > after))
            .collect();
        ScanPage {
            more: all.len() > request.limit,
            entries: all.into_iter().take(request.limit).map(|(k, v)| (k.clone(), v.clone(), Version(1))).collect(),
        }
    }

    proptest! {
        #[test]
        fn paged_scans_see_the_store_overlaid_with_own_writes(
            committed in prop::collection::btree_map("[ab]{1,4}", prop::collection::vec(any::<u8>(), 0..3), 0..20),
            own in prop::collection::btree_map("[ab]{1,4}", prop::option::of(prop::collection::vec(any::<u8>(), 0..3)), 0..20),
            prefix in "[ab]{0,2}",
            limit in 1usize..5,
        ) {
            let committed: BTreeMap<String, Bytes> = committed.into_iter().map(|(k, v)| (k, v.into())).collect();
            let mut transaction = Transaction::default();
            let mut expected = committed.clone();
            for (key, value) in own {
                let value: Option<Bytes> = value.map(Into::into);
                match &value {
                    Some(value) => { expected.insert(key.clone(), value.clone()); }
                    None => { expected.remove(&key); }
                }
                transaction.write(key, value).unwrap();
            }
            expected.retain(|key, _| key.starts_with(&prefix));
            let mut found = BTreeMap::new();
            let mut after: Option<String> = None;
            for _ in 0..100 {
                let request = request(&prefix, after.as_deref(), limit);
                let page = page(&committed, &request);
                let seen = transaction.overlay(request, page);
                prop_assert!(seen.entries.len() <= limit);
                found.extend(seen.entries);
                match seen.next {
                    None => { after = None; break; }
                    Some(next) => { prop_assert!(Some(&next) > after.as_ref()); after = Some(next); }
                }
            }
            prop_assert_eq!(after, None);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_key_seen_at_two_versions_voids_the_transaction() {
        let mut transaction = Transaction::default();
        let at = |version| VersionedValue { value: None, version: Version(version) };
        assert_eq!(transaction.note_read("k", &at(1)), Ok(()));
        assert_eq!(transaction.note_read("k", &at(1)), Ok(()));
        assert_eq!(transaction.note_read("k", &at(2)), Err(ReadConflict));
    }

    #[test]
    fn transaction_limits_have_their_own_code() {
        for much in [TransactionLimit::Keys, TransactionLimit::Bytes] {
            assert_eq!(tidemill_core::Failure::from(much).code, "host/limit-commit");
        }
    }

    #[test]
    fn written_bytes_are_limited_and_overwritten_values_do_not_count() {
        let mut transaction = Transaction::default();
        let value = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..40 {
            transaction.write("k".to_owned(), Some(value.clone())).unwrap();
        }
        for n in 0..14 {
            transaction.write(format!("k{n}"), Some(value.clone())).unwrap();
        }
        let full: Result<Vec<_>, _> = (0..3).map(|n| transaction.write(format!("x{n}"), Some(value.clone()))).collect();
        assert_eq!(full.unwrap_err(), TransactionLimit::Bytes);
    }
}
