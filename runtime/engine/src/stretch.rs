//! What a run has read, written and posted and nobody else can see yet: its buffered effects, laid over what the store
//! has committed.
//!
//! Invariants: a key that was written is answered from here and never from the store; all else that was read is in
//! the reads with the version that was seen, and seen again at another version it makes the stretch void at once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use bytes::Bytes;
use tidemill_core::limits::{STATE_PAGE_BYTES, STRETCH_KEYS, STRETCH_WRITE_BYTES};
use tidemill_store::records::{
    ExternalId, NewPosting, ReadCheck, ScanPage, ScanRequest, StateWrite, Version, Versioned,
};

use crate::activation::Effects;

/// The effects of the present stretch.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    read: BTreeMap<String, Version>,
    scans: Vec<ReadCheck>,
    ids: BTreeMap<String, Version>,
    written: BTreeMap<String, Option<Bytes>>,
    written_bytes: usize,
    postings: Vec<NewPosting>,
    posted: HashMap<String, usize>,
    scanned_keys: usize,
}

/// A stretch grew beyond its bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    /// Too many keys.
    #[error("one run may read and write {STRETCH_KEYS} keys between two commits")]
    Keys,
    /// Too many bytes.
    #[error("one run may write {STRETCH_WRITE_BYTES} bytes of state between two commits")]
    Bytes,
}

/// What was read has been changed by another run meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed;

/// A page of a scan as the guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Keys and values, in order of the keys' bytes.
    pub entries: Vec<(String, Bytes)>,
    /// Where to go on.
    pub next: Option<String>,
}

impl Stretch {
    /// The run's own value of a key: outer none where it has not written it.
    pub fn own(&self, key: &str) -> Option<Option<Bytes>> {
        self.written.get(key).cloned()
    }

    /// Notes that a key was read from the store.
    pub fn note_read(&mut self, key: &str, seen: &Versioned) -> Result<(), Changed> {
        match self.read.get(key) {
            Some(before) if *before != seen.version => Err(Changed),
            Some(_) => Ok(()),
            None => {
                self.read.insert(key.to_owned(), seen.version);
                Ok(())
            }
        }
    }

    /// Whether one more key may be touched.
    pub fn has_room(&self) -> Result<(), TooMuch> {
        if self.read.len() + self.written.len() + self.scanned_keys + self.postings.len() < STRETCH_KEYS {
            Ok(())
        } else {
            Err(TooMuch::Keys)
        }
    }

    /// Writes a key, or deletes it.
    pub fn write(&mut self, key: String, value: Option<Bytes>) -> Result<(), TooMuch> {
        let size = |value: &Option<Bytes>| key.len() + value.as_ref().map_or(0, Bytes::len);
        let old = self.written.get(&key).map_or(0, size);
        let bytes = self.written_bytes - old + size(&value);
        if bytes > STRETCH_WRITE_BYTES {
            return Err(TooMuch::Bytes);
        }
        if old == 0 {
            self.has_room()?;
        }
        self.written_bytes = bytes;
        self.written.insert(key, value);
        Ok(())
    }

    /// Lays the run's own writes over a page that the store gave, and notes what was seen.
    ///
    /// The page covers all keys from `after` to its last one, or to the end of the prefix where there are no more; only
    /// own writes in that range belong to it.
    pub fn overlay(&mut self, request: ScanRequest, page: ScanPage) -> Seen {
        let covered_to = if page.more { page.entries.last().map(|(key, ..)| key.clone()) } else { None };
        let mut merged: BTreeMap<String, Bytes> = BTreeMap::new();
        let mut seen = Vec::with_capacity(page.entries.len());
        for (key, value, version) in page.entries {
            seen.push((key.clone(), version));
            if !self.written.contains_key(&key) {
                merged.insert(key, value);
            }
        }
        let from = match &request.after {
            Some(after) if after.as_str() >= request.prefix.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(request.prefix.as_str()),
        };
        for (key, value) in self.written.range::<str, _>((from, Bound::Unbounded)) {
            if !key.starts_with(&request.prefix) || covered_to.as_ref().is_some_and(|last| key > last) {
                break;
            }
            if let Some(value) = value {
                merged.insert(key.clone(), value.clone());
            }
        }
        let mut entries: Vec<(String, Bytes)> = Vec::new();
        let mut bytes = 0;
        let mut cut = false;
        for (key, value) in merged {
            bytes += key.len() + value.len();
            if entries.len() >= request.limit || (bytes > STATE_PAGE_BYTES && !entries.is_empty()) {
                cut = true;
                break;
            }
            entries.push((key, value));
        }
        let next = if cut { entries.last().map(|(key, _)| key.clone()) } else { covered_to };
        self.scanned_keys += seen.len();
        self.scans.push(ReadCheck::Scan { request, seen, more: page.more });
        Seen { entries, next }
    }

    /// The run's own posting under an external id.
    pub fn own_posting(&self, external_id: &str) -> Option<&NewPosting> {
        self.posted.get(external_id).and_then(|at| self.postings.get(*at))
    }

    /// Notes what is known under an external id.
    pub fn note_external_id(&mut self, external_id: &str, seen: &ExternalId) -> Result<(), Changed> {
        match self.ids.get(external_id) {
            Some(before) if *before != seen.version => Err(Changed),
            Some(_) => Ok(()),
            None => {
                self.ids.insert(external_id.to_owned(), seen.version);
                Ok(())
            }
        }
    }

    /// Adds a posting and answers its place in the stretch.
    pub fn post(&mut self, posting: NewPosting) -> usize {
        let at = self.postings.len();
        self.posted.insert(posting.entry.external_id.clone(), at);
        self.postings.push(posting);
        at
    }

    /// How many postings there are.
    pub fn postings(&self) -> usize {
        self.postings.len()
    }

    /// What the stretch leaves to be committed.
    pub fn into_effects(self) -> Effects {
        let mut reads: Vec<ReadCheck> =
            self.read.into_iter().map(|(key, version)| ReadCheck::State { key, version }).collect();
        reads.extend(self.scans);
        reads.extend(self.ids.into_iter().map(|(external_id, version)| ReadCheck::ExternalId { external_id, version }));
        Effects {
            reads,
            writes: self.written.into_iter().map(|(key, value)| StateWrite { key, value }).collect(),
            postings: self.postings,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(prefix: &str, after: Option<&str>, limit: usize) -> ScanRequest {
        ScanRequest { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit }
    }

    /// What a store that holds `committed` answers.
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
        fn scanning_page_by_page_sees_the_store_with_own_writes_over_it(
            committed in prop::collection::btree_map("[ab]{1,4}", prop::collection::vec(any::<u8>(), 0..3), 0..20),
            own in prop::collection::btree_map("[ab]{1,4}", prop::option::of(prop::collection::vec(any::<u8>(), 0..3)), 0..20),
            prefix in "[ab]{0,2}",
            limit in 1usize..5,
        ) {
            let committed: BTreeMap<String, Bytes> = committed.into_iter().map(|(k, v)| (k, v.into())).collect();
            let mut stretch = Stretch::default();
            let mut expected = committed.clone();
            for (key, value) in own {
                let value: Option<Bytes> = value.map(Into::into);
                match &value {
                    Some(value) => { expected.insert(key.clone(), value.clone()); }
                    None => { expected.remove(&key); }
                }
                stretch.write(key, value).unwrap();
            }
            expected.retain(|key, _| key.starts_with(&prefix));
            let mut found = BTreeMap::new();
            let mut after: Option<String> = None;
            for _ in 0..100 {
                let request = request(&prefix, after.as_deref(), limit);
                let page = page(&committed, &request);
                let seen = stretch.overlay(request, page);
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
    fn a_key_seen_at_two_versions_makes_the_stretch_void() {
        let mut stretch = Stretch::default();
        let at = |version| Versioned { value: None, version: Version(version) };
        assert_eq!(stretch.note_read("k", &at(1)), Ok(()));
        assert_eq!(stretch.note_read("k", &at(1)), Ok(()));
        assert_eq!(stretch.note_read("k", &at(2)), Err(Changed));
    }

    #[test]
    fn writes_are_bounded_and_an_overwritten_value_does_not_count() {
        let mut stretch = Stretch::default();
        let value = Bytes::from(vec![0; 1 << 20]);
        for _ in 0..40 {
            stretch.write("k".to_owned(), Some(value.clone())).unwrap();
        }
        for n in 0..14 {
            stretch.write(format!("k{n}"), Some(value.clone())).unwrap();
        }
        let full: Result<Vec<_>, _> = (0..3).map(|n| stretch.write(format!("x{n}"), Some(value.clone()))).collect();
        assert_eq!(full.unwrap_err(), TooMuch::Bytes);
    }
}
