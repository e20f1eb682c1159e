//! Encodes and decodes one record of a call or a step. Format 1.
//!
//! A record begins with a tag. A call (`0x80 | kind`) continues with the request's hash, time,
//! fuel, the length of the shown request plus one (0: none), the length of the result, and both. A
//! step (`OPEN`, `DONE`, `GAVE_UP`) continues with its name, ordinal, time and fuel; then with
//! attempt and back-off if it is open, or with the length of the result and the result if it has
//! ended. Numbers are LEB128. Time and fuel are zigzag-coded differences from the record before in
//! the same chunk. A name is either 0, its length and itself, or its index among the names of its
//! chunk.
//!
//! The input may be arbitrary bytes: the decoder trusts no length and never panics.

use std::ops::Range;

use super::{Hash, Kind};

const OPEN: u8 = 1;
const DONE: u8 = 2;
const GAVE_UP: u8 = 3;
const CALL: u8 = 0x80;

/// Maximum number of names that one byte can refer to; 0 refers to none.
const NAMES: usize = 127;

/// A record without time and fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Call {
        kind: Kind,
        request: Hash,
        shown: Option<&'a [u8]>,
        result: &'a [u8],
    },
    /// A step that is being executed. `not_before` is in milliseconds; 0 is at once.
    Open {
        name: &'a str,
        ordinal: u32,
        attempt: u32,
        not_before: u64,
    },
    Done {
        name: &'a str,
        ordinal: u32,
        gave_up: bool,
        result: &'a [u8],
    },
}

impl Record<'_> {
    /// Minimum size of the record in bytes, without most of its numbers.
    pub(super) const fn weight(&self) -> usize {
        match self {
            Self::Call { shown, result, .. } => {
                result.len() + 16 + if let Some(shown) = shown { shown.len() } else { 0 }
            }
            Self::Open { .. } => 0,
            Self::Done { result, .. } => result.len(),
        }
    }
}

/// A decoded record.
#[derive(Debug, Clone)]
pub(super) struct ReadRecord<'a> {
    pub(super) record: Record<'a>,
    /// Range of its result in the chunk.
    pub(super) result: Range<usize>,
    /// Range of the shown request, if there is one.
    pub(super) shown: Option<Range<usize>>,
    /// Offset of the next record.
    pub(super) end: usize,
}

/// The state on which the coding of a record depends: the earlier records of its chunk.
#[derive(Debug, Clone, Default)]
pub(super) struct CodingContext {
    pub(super) at: u64,
    pub(super) fuel: u64,
    names: Vec<RecordName>,
}

#[derive(Debug, Clone, Copy)]
struct RecordName {
    from: u32,
    len: u8,
    hash: u32,
}

impl RecordName {
    fn bytes(self, chunk: &[u8]) -> Option<&[u8]> {
        let from = self.from as usize;
        chunk.get(from..from + usize::from(self.len))
    }
}

impl CodingContext {
    /// Number of names seen.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Restores the state of an earlier record.
    pub(super) fn back(&mut self, at: u64, fuel: u64, names: usize) {
        (self.at, self.fuel) = (at, fuel);
        self.names.truncate(names);
    }

    /// Adds a name. A name of more than 255 bytes is not added, so each record writes it in full.
    fn meet(&mut self, name: &[u8], from: usize) {
        if let (Ok(len), Ok(from)) = (u8::try_from(name.len()), u32::try_from(from))
            && self.names.len() < NAMES
        {
            self.names.push(RecordName { from, len, hash: quick(name) });
        }
    }

    /// Writes a record at the end of its chunk.
    pub(super) fn write(&mut self, chunk: &mut Vec<u8>, record: &Record<'_>, at: u64, fuel: u64) {
        match *record {
            Record::Call { kind, request, shown, result } => {
                chunk.push(CALL | kind as u8);
                chunk.extend_from_slice(&request);
                self.moment(chunk, at, fuel);
                number(chunk, shown.map_or(0, |shown| shown.len() as u64 + 1));
                number(chunk, result.len() as u64);
                chunk.extend_from_slice(shown.unwrap_or_default());
                chunk.extend_from_slice(result);
            }
            Record::Open { name, ordinal, attempt, not_before } => {
                chunk.push(OPEN);
                self.name(chunk, name);
                number(chunk, ordinal.into());
                self.moment(chunk, at, fuel);
                number(chunk, attempt.into());
                number(chunk, not_before);
            }
            Record::Done { name, ordinal, gave_up, result } => {
                chunk.push(if gave_up { GAVE_UP } else { DONE });
                self.name(chunk, name);
                number(chunk, ordinal.into());
                self.moment(chunk, at, fuel);
                number(chunk, result.len() as u64);
                chunk.extend_from_slice(result);
            }
        }
    }

    fn moment(&mut self, chunk: &mut Vec<u8>, at: u64, fuel: u64) {
        number(chunk, zigzag(at.wrapping_sub(self.at)));
        number(chunk, zigzag(fuel.wrapping_sub(self.fuel)));
        (self.at, self.fuel) = (at, fuel);
    }

    fn name(&mut self, chunk: &mut Vec<u8>, name: &str) {
        let name = name.as_bytes();
        let hash = quick(name);
        let met = self.names.iter().position(|met| met.hash == hash && met.bytes(chunk) == Some(name));
        if let Some(met) = met {
            number(chunk, met as u64 + 1);
        } else {
            number(chunk, 0);
            number(chunk, name.len() as u64);
            let from = chunk.len();
            chunk.extend_from_slice(name);
            self.meet(name, from);
        }
    }

    /// Reads the record that begins at `offset`; `None` if there is no valid record.
    pub(super) fn read<'a>(&mut self, chunk: &'a [u8], offset: usize) -> Option<ReadRecord<'a>> {
        let mut reader = RecordReader { bytes: chunk, at: offset };
        let tag = reader.byte()?;
        if tag & CALL != 0 {
            let kind = Kind::from_number(tag & !CALL)?;
            let request = Hash::try_from(reader.take(16)?).ok()?;
            self.pass(&mut reader)?;
            let (shown, result) = (reader.number()?, reader.length()?);
            let shown = match shown.checked_sub(1) {
                Some(len) => Some(reader.range(usize::try_from(len).ok()?)?),
                None => None,
            };
            let result = reader.range(result)?;
            let shown_bytes = match &shown {
                Some(range) => Some(chunk.get(range.clone())?),
                None => None,
            };
            let record = Record::Call { kind, request, shown: shown_bytes, result: chunk.get(result.clone())? };
            return Some(ReadRecord { record, result, shown, end: reader.at });
        }
        let name = match reader.length()?.checked_sub(1) {
            Some(met) => self.names.get(met)?.bytes(chunk)?,
            None => {
                let len = reader.length()?;
                let from = reader.at;
                let name = reader.take(len)?;
                self.meet(name, from);
                name
            }
        };
        let name = std::str::from_utf8(name).ok()?;
        let ordinal = u32::try_from(reader.number()?).ok()?;
        self.pass(&mut reader)?;
        match tag {
            OPEN => {
                let attempt = u32::try_from(reader.number()?).ok()?;
                let record = Record::Open { name, ordinal, attempt, not_before: reader.number()? };
                Some(ReadRecord { record, result: reader.at..reader.at, shown: None, end: reader.at })
            }
            DONE | GAVE_UP => {
                let len = reader.length()?;
                let result = reader.range(len)?;
                let bytes = chunk.get(result.clone())?;
                let record = Record::Done { name, ordinal, gave_up: tag == GAVE_UP, result: bytes };
                Some(ReadRecord { record, result, shown: None, end: reader.at })
            }
            _ => None,
        }
    }

    fn pass(&mut self, reader: &mut RecordReader<'_>) -> Option<()> {
        self.at = self.at.wrapping_add(unzigzag(reader.number()?));
        self.fuel = self.fuel.wrapping_add(unzigzag(reader.number()?));
        Some(())
    }
}

/// What the record at `offset` is, as far as that is known without the records before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordHint {
    Call { kind: Kind, request: Hash },
    Open,
    Done,
}

/// Peeks at a record without any context.
pub(super) fn glimpse(chunk: &[u8], offset: usize) -> Option<RecordHint> {
    let mut reader = RecordReader { bytes: chunk, at: offset };
    match reader.byte()? {
        OPEN => Some(RecordHint::Open),
        DONE | GAVE_UP => Some(RecordHint::Done),
        tag if tag & CALL != 0 => Some(RecordHint::Call {
            kind: Kind::from_number(tag & !CALL)?,
            request: Hash::try_from(reader.take(16)?).ok()?,
        }),
        _ => None,
    }
}

/// The result of the ended step whose record begins at `offset`, and whether it gave up.
pub(super) fn ended_step(chunk: &[u8], offset: usize) -> Option<(bool, Range<usize>)> {
    let mut reader = RecordReader { bytes: chunk, at: offset };
    let gave_up = match reader.byte()? {
        DONE => false,
        GAVE_UP => true,
        _ => return None,
    };
    if reader.number()? == 0 {
        let len = reader.length()?;
        reader.take(len)?;
    }
    for _ in ["ordinal", "time", "fuel"] {
        reader.number()?;
    }
    let len = reader.length()?;
    Some((gave_up, reader.range(len)?))
}

struct RecordReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> RecordReader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn range(&mut self, len: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        let range = self.at..end;
        self.at = end;
        Some(range)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let range = self.range(len)?;
        self.bytes.get(range)
    }

    fn number(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }
}

fn number(chunk: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        chunk.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    chunk.push(value as u8);
}

/// Encodes small differences of either sign as small numbers.
const fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ ((difference as i64 >> 63) as u64)
}

const fn unzigzag(coded: u64) -> u64 {
    (coded >> 1) ^ (coded & 1).wrapping_neg()
}

/// FNV-1a, which is enough to skip most names that differ.
fn quick(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
