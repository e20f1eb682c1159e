//! Reads the log back when the store opens. The whole log after the checkpoint is verified before
//! any of it is applied. A torn end of the newest segment is what a crash leaves; it was never
//! acknowledged. Any other mismatch is damage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;
use crate::kv::error::KvError;
use crate::kv::log::header::LogPoint;
use crate::kv::log::record::{self, Payload};
use crate::kv::log::segment::{self, FIRST_RECORD};
use crate::kv::log::{DIR, LogEnd, tail_mark};
use crate::kv::table_checksum::TableSum;

/// The verified part of the log after a checkpoint.
pub(in crate::kv) struct Replay {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    seed: u64,
    /// For each segment: its number, and where its records begin and end.
    parts: Vec<(u64, u64, u64)>,
    end: LogEnd,
    sums: Vec<(u8, TableSum)>,
    newest: u64,
    older: Vec<u64>,
}

impl Replay {
    /// Verifies the log after `from`.
    ///
    /// # Errors
    /// [`KvError::Damaged`] for a gap, a broken chain before the end, a missing segment, or an end
    /// before the last acknowledged group.
    pub fn verify(disk: Arc<dyn Disk>, data: &Path, seed: u64, from: &LogPoint) -> Result<Self, KvError> {
        let dir = data.join(DIR);
        let mut numbers: Vec<u64> = std::fs::read_dir(&dir)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(segment::number_of(&entry?.file_name().to_string_lossy())))
                    .filter_map(Result::transpose)
                    .collect()
            })
            .map_err(|error| KvError::unreadable("the log's folder cannot be read", &error))?;
        numbers.sort_unstable();
        let (older, live): (Vec<u64>, Vec<u64>) = numbers.into_iter().partition(|number| *number < from.segment);
        let newest = live.last().copied().unwrap_or(from.segment);

        // The first segment need not exist if no record follows the checkpoint: the store is new.
        let end = LogEnd {
            generation: from.generation,
            position: from.position,
            segment: from.segment,
            offset: from.offset,
            chain: from.chain,
        };
        let mut replay = Self { disk, dir, seed, parts: Vec::new(), end, sums: from.sums.clone(), newest, older };
        if live.is_empty() && from.generation == 0 {
            replay.newest = from.segment.saturating_sub(1);
            replay.check_tail(data)?;
            return Ok(replay);
        }
        if let Some(missing) = (from.segment..=newest).find(|number| live.binary_search(number).is_err()) {
            return Err(KvError::damaged(format!("log segment {} is missing", segment::name(missing))));
        }
        let mut next: Option<Vec<u8>> = None;
        for number in live.iter().copied() {
            let bytes = match next.take() {
                Some(bytes) => bytes,
                None => replay.read(number)?,
            };
            let later = (number + 1..=newest).next();
            let stop = match later {
                Some(later) => {
                    let ahead = replay.read(later)?;
                    let first = replay.first_generation(later, &ahead)?;
                    next = Some(ahead);
                    first
                }
                None => None,
            };
            let begin = if number == from.segment { from.offset } else { FIRST_RECORD };
            replay.follow(number, &bytes, begin, stop)?;
        }
        replay.check_tail(data)?;
        Ok(replay)
    }

    fn read(&self, number: u64) -> Result<Vec<u8>, KvError> {
        segment::read_whole(&*self.disk, &self.dir, number, self.seed)
    }

    /// Returns the first generation of segment `number`, or of the first later segment that has a
    /// record.
    fn first_generation(&self, number: u64, bytes: &[u8]) -> Result<Option<u64>, KvError> {
        let first = |number, bytes: &[u8]| {
            record::read(bytes, offset(FIRST_RECORD), self.seed, number).map(|(header, _)| header.generation)
        };
        if let Some(generation) = first(number, bytes) {
            return Ok(Some(generation));
        }
        for number in number + 1..=self.newest {
            if let Some(generation) = first(number, &self.read(number)?) {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }

    fn follow(&mut self, number: u64, bytes: &[u8], begin: u64, stop: Option<u64>) -> Result<(), KvError> {
        let mut at = begin;
        loop {
            let expected = self.end.generation + 1;
            if stop == Some(expected) {
                break;
            }
            match record::read(bytes, offset(at), self.seed, number) {
                Some((header, payload)) if header.generation == expected && header.before == self.end.chain => {
                    let payload = record::decode(payload).ok_or_else(|| broken(number, expected))?;
                    for (table, sum) in payload.sums {
                        match self.sums.iter_mut().find(|(id, _)| *id == table) {
                            Some((_, known)) => *known = sum,
                            None => self.sums.push((table, sum)),
                        }
                    }
                    at += header.length();
                    self.end = LogEnd {
                        generation: expected,
                        position: header.position,
                        segment: number,
                        offset: at,
                        chain: header.checksum,
                    };
                }
                _ if stop.is_some() || record::any_after(bytes, offset(at), self.seed, number, expected).is_some() => {
                    return Err(broken(number, expected));
                }
                _ => break,
            }
        }
        if at > begin {
            self.parts.push((number, begin, at));
        }
        Ok(())
    }

    fn check_tail(&self, data: &Path) -> Result<(), KvError> {
        match tail_mark::read(&*self.disk, data, self.seed) {
            Some(acknowledged) if acknowledged > self.end.generation => Err(KvError::damaged(format!(
                "the log ends with group {} but group {acknowledged} was acknowledged",
                self.end.generation
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the end of the log.
    pub fn end(&self) -> LogEnd {
        self.end
    }

    /// Returns the number and sum of each table's records after the last group.
    pub fn sums(&self) -> &[(u8, TableSum)] {
        &self.sums
    }

    /// Returns the verified bytes of the log.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, begin, end)| end - begin).sum()
    }

    /// Returns the highest segment number in use.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Returns the segments that are completely before the checkpoint.
    pub fn older(&self) -> &[u64] {
        &self.older
    }

    /// Passes each verified group to `apply`, oldest first.
    ///
    /// # Errors
    /// The error of `apply`; [`KvError::Damaged`] if the log has changed since it was verified.
    pub fn each(&self, mut apply: impl FnMut(Payload<'_>) -> Result<(), KvError>) -> Result<(), KvError> {
        for &(number, begin, end) in &self.parts {
            let bytes = self.read(number)?;
            let mut at = begin;
            while at < end {
                let (header, payload) =
                    record::read(&bytes, offset(at), self.seed, number).ok_or_else(|| broken(number, 0))?;
                apply(record::decode(payload).ok_or_else(|| broken(number, header.generation))?)?;
                at += header.length();
            }
        }
        Ok(())
    }
}

fn broken(number: u64, generation: u64) -> KvError {
    KvError::damaged(format!(
        "the chain of log segment {} is broken at group {generation}, before its end",
        segment::name(number)
    ))
}

fn offset(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
