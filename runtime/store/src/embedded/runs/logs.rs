//! The log lines of runs.

use tidemill_core::limits::LOG_PAGE_BYTES;
use tidemill_core::run::Run;
use tidemill_core::{RunId, batch};

use crate::embedded::codec::{decode, encode};
use crate::embedded::tables::{LOGS, placed};
use crate::embedded::tx::{ReadTx, WriteTx, prefix_range};
use crate::embedded::usage::{UsageDelta, signed};
use crate::error::Result;
use crate::records::{LogLine, LogPage};

/// Maximum number of log lines in one record, and the text size in bytes at which a record is full.
/// A page of a log reads few records, each as a whole.
const CHUNK_LINES: usize = 200;
const CHUNK_BYTES: usize = 32 << 10;

pub(crate) fn put_logs(commit: &mut WriteTx<'_, '_>, run: &Run, mut logs: &[LogLine]) -> Result<()> {
    while let Some(first) = logs.first() {
        let (chunk, rest) = logs.split_at(batch::head(logs, CHUNK_LINES, CHUNK_BYTES, LogLine::size));
        let (key, bytes) = (placed(run.id, first.seq), encode(&chunk)?);
        let before = commit.bytes(LOGS, &key)?.map_or(0, |before| signed(before.len()));
        commit.changes.note(&run.deployment, UsageDelta::bytes(LOGS, signed(bytes.len()) - before));
        commit.put(LOGS, &key, &bytes);
        logs = rest;
    }
    Ok(())
}

pub(crate) fn logs(store: &impl ReadTx, id: RunId, seq: u64, limit: usize) -> Result<LogPage> {
    // The chunk that contains `seq` may start before it.
    let prefix = id.to_bytes();
    let before = store.range(LOGS, prefix.to_vec()..placed(id, seq.saturating_add(1)), true, 1)?;
    let start = before.first().map_or_else(|| prefix.to_vec(), |(key, _)| key.to_vec());
    let mut page = LogPage::default();
    let mut bytes = 0;
    let mut range = start..prefix_range(&prefix).end;
    loop {
        let chunks = store.range(LOGS, range.clone(), false, 4)?;
        let Some((last, _)) = chunks.last() else { return Ok(page) };
        range.start = [last.as_ref(), &[0]].concat();
        for (_, chunk) in &chunks {
            let chunk: Vec<LogLine> = decode(LOGS, chunk)?;
            for line in chunk.into_iter().filter(|line| line.seq >= seq) {
                bytes += line.size();
                if page.lines.len() >= limit || (bytes > LOG_PAGE_BYTES && !page.lines.is_empty()) {
                    page.next = Some(line.seq);
                    return Ok(page);
                }
                page.lines.push(line);
            }
        }
    }
}
