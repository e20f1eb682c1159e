//! Reads transactions as earlier releases stored them, in replay snapshots of format 1. Their
//! entries had no call, content or evidence.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::Deserialize;
use tidemill_core::money::{EntryCall, EntryContent, EntryKind, EntryLinks, LedgerStream};
use tidemill_core::{DeploymentName, RunId, Timestamp};
use tidemill_store::records::{Evidence, LedgerLeg, NewEntry, NewEvent, NewSignal, Version};

use crate::guest::metrics::MetricSamples;
use crate::transaction::Transaction;
use crate::transaction::effects::StartRun;
use crate::transaction::entries::LayerEntries;
use crate::transaction::layer::{EffectLayer, ReadSet};

/// A transaction of format 1.
#[derive(Deserialize)]
pub(crate) struct EarlierTransaction {
    reads: ReadSet,
    kept: EarlierLayer,
    since: EarlierLayer,
    steps: Vec<EarlierLayer>,
    kept_steps: Vec<EarlierLayer>,
    first: Option<Box<Self>>,
}

#[derive(Deserialize)]
struct EarlierLayer {
    written: BTreeMap<String, Option<Bytes>>,
    written_bytes: usize,
    postings: Vec<EarlierEntry>,
    /// Positions of the postings, which the new form makes itself.
    #[serde(rename = "posted")]
    _posted: HashMap<String, usize>,
    starts: Vec<StartRun>,
    signals: Vec<NewSignal>,
    events: Vec<NewEvent>,
    taken: Vec<(String, u64)>,
    cancels: Vec<RunId>,
    observed: Vec<RunId>,
    samples: MetricSamples,
    held_keys: BTreeMap<String, Version>,
    held_ids: BTreeMap<String, Version>,
    claimed: bool,
}

#[derive(Deserialize)]
struct EarlierEntry {
    id: String,
    stream: DeploymentName,
    run: RunId,
    external_id: String,
    kind: String,
    minor_units: i64,
    currency: String,
    net_revenue: i64,
    occurred_at: Timestamp,
    /// When it was made; the commit sets the time of posting.
    #[serde(rename = "posted_at")]
    _posted_at: Timestamp,
    customer: Option<String>,
    description: String,
    metadata: String,
    legs: Vec<LedgerLeg>,
    /// A hash that later releases do not store.
    #[serde(rename = "fingerprint")]
    _fingerprint: [u8; 16],
}

impl EarlierTransaction {
    /// Returns the transaction in its present form.
    pub(crate) fn into_present(self) -> Transaction {
        let layers = |layers: Vec<EarlierLayer>| layers.into_iter().map(EarlierLayer::into_present).collect();
        Transaction {
            reads: self.reads,
            kept: self.kept.into_present(),
            since: self.since.into_present(),
            steps: layers(self.steps),
            kept_steps: layers(self.kept_steps),
            first: self.first.map(|first| Box::new(first.into_present())),
            ..Transaction::default()
        }
    }
}

impl EarlierLayer {
    fn into_present(self) -> EffectLayer {
        let mut entries = LayerEntries::default();
        self.postings.into_iter().for_each(|entry| entries.push(entry.into_present()));
        EffectLayer {
            written: self.written,
            written_bytes: self.written_bytes,
            entries,
            id_conflicts: <_>::default(),
            starts: self.starts,
            signals: self.signals,
            events: self.events,
            taken: self.taken,
            cancels: self.cancels,
            observed: self.observed,
            samples: self.samples,
            held_keys: self.held_keys,
            held_ids: self.held_ids,
            claimed: self.claimed,
            decisions: Vec::new(),
            held_decisions: 0,
        }
    }
}

impl EarlierEntry {
    fn into_present(self) -> NewEntry {
        let of = EntryLinks::stored_of(&self.metadata);
        let content = EntryContent {
            // An earlier release accepted only kinds that this one knows.
            kind: EntryKind::parse(&self.kind).unwrap_or(EntryKind::Adjustment),
            minor_units: self.minor_units,
            currency: &self.currency,
            occurred_at: self.occurred_at,
            of: of.as_deref(),
            call: EntryCall::Post,
            customer: self.customer.as_deref(),
        };
        NewEntry {
            content: content.hash(),
            id: self.id,
            stream: LedgerStream::of(&self.stream),
            run: Some(self.run),
            external_id: self.external_id,
            call: EntryCall::Post,
            kind: self.kind,
            minor_units: self.minor_units,
            exponent: None,
            currency: self.currency,
            net_revenue: self.net_revenue,
            occurred_at: self.occurred_at,
            customer: self.customer,
            description: self.description,
            metadata: self.metadata,
            of,
            legs: self.legs,
            pending: Vec::new(),
            reservation: None,
            expires_at: None,
            evidence: Evidence::default(),
            paper: false,
            late_usage_millis: 0,
            customer_floor: None,
        }
    }
}
