//! The journal of a run as the store returns it.

use bytes::Bytes;
use tidemill_core::journal::{Journal, Kind, NewEntry, PageReader, PageStart, Position, StepReplay, sealed_chunk};
use tidemill_core::{Fuel, Timestamp};

use crate::Target;

/// Size of a chunk's header in bytes: the format and the checksum.
const HEADER: usize = 5;

pub struct Chunks;

impl Target for Chunks {
    fn name(&self) -> &'static str {
        "journal"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut journal = Journal::empty();
        journal.record(entry(Kind::Fetch, b"{\"status\":200}"));
        for name in ["charge", "ship"] {
            if let Ok(StepReplay::New { id }) = journal.begin_step(name) {
                journal.open_step(id, 1, Timestamp::from_millis(5), Fuel::new(5));
                journal.record(entry(Kind::StateGet, b"7"));
                let _ = journal.step_done(id, Ok(b"done"), Timestamp::from_millis(9), Fuel::new(90));
            }
        }
        if let Ok(StepReplay::New { id }) = journal.begin_step("open") {
            journal.open_step(id, 2, Timestamp::from_millis(20), Fuel::new(100));
        }
        journal.record(entry(Kind::Now, b"1"));
        let chunks = journal.change().map(|change| change.chunks).unwrap_or_default();
        chunks.iter().filter_map(|chunk| chunk.get(HEADER..)).map(<[u8]>::to_vec).collect()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[&[0x80, 0x01], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[0; 16], b"charge"]
    }

    fn max_bytes(&self) -> usize {
        1_200
    }

    /// Seals the input with a correct checksum, because a wrong one hides the records.
    fn check(&self, input: &[u8]) -> bool {
        let chunk = sealed_chunk(input);
        let _ = PageStart::from_bytes(input);
        let mut page = PageReader::new(PageStart::after(1), 3, 500);
        let _ = page.read(&chunk);
        let _ = page.page();
        let Ok(mut journal) = Journal::load(vec![chunk]) else { return false };
        let _ = (journal.begin_step("charge"), journal.call(Kind::Now, [0; 16]), journal.end());
        journal.record(entry(Kind::Now, b"2"));
        let entries = journal.entries();
        journal.truncate(Position::new(entries / 2));
        assert!(journal.entries() <= entries, "a truncated journal is no longer than before");
        let chunks: Vec<Bytes> = journal.change().map(|change| change.chunks).unwrap_or_default();
        assert!(chunks.iter().all(|chunk| chunk.len() >= HEADER), "a chunk has its header");
        true
    }
}

fn entry(kind: Kind, result: &[u8]) -> NewEntry<'_> {
    NewEntry {
        kind,
        request: [7; 16],
        result,
        at: Timestamp::from_millis(1),
        fuel: Fuel::new(1),
        shown: Some(b"shown"),
    }
}
