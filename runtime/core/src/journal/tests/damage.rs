//! Chunks that differ from what was written cause an error or are read as they are; they never
//! cause a panic.

use proptest::prelude::*;

use super::super::stored::sealed_chunk;
use super::*;

/// A journal of several chunks with every kind of entry.
fn sample() -> Vec<Bytes> {
    let mut journal = Journal::empty();
    for round in 0..60u8 {
        journal
            .record(NewEntry { shown: Some(b"GET https://example.com/"), ..call(Kind::Fetch, round, &[round; 150]) });
        for name in ["charge", "ship"] {
            let Ok(StepReplay::New { id }) = journal.begin_step(name) else { panic!() };
            journal.open_step(id, 1, at(round.into()), Fuel::new(5));
            let result = if round % 7 == 0 { Err(&b"failed"[..]) } else { Ok(&b"done"[..]) };
            journal.step_done(id, result, at(round.into()), Fuel::new(9)).unwrap();
        }
    }
    let Ok(StepReplay::New { id }) = journal.begin_step("outer") else { panic!() };
    journal.open_step(id, 3, at(100), Fuel::new(100));
    journal.record(call(Kind::StateGet, 1, &[0; 9000]));
    journal.record(call(Kind::Now, 1, b"0"));
    journal.change().unwrap().chunks
}

/// Calls all methods that read.
fn drive(mut journal: Journal) {
    for entry in shown(&journal) {
        if let Some(hash) = entry.hash
            && let Some(kind) = Kind::ALL.iter().find(|kind| kind.name() == entry.kind)
        {
            let _ = journal.call(*kind, hash);
        } else {
            let name = entry.step.rsplit('/').next().unwrap_or_default();
            let _ = journal.begin_step(name.split('#').next().unwrap_or_default());
        }
    }
    if let Some(id) = journal.innermost() {
        let _ = journal.step_done(id, Ok(b""), at(1), Fuel::new(1));
    }
    let _ = (journal.end(), journal.call(Kind::Now, [0; 16]));
    journal.record(call(Kind::Now, 1, b"1"));
    journal.truncate(Position::new(journal.entries() / 2));
    let _ = (journal.change(), shown(&journal));
}

#[test]
fn a_lost_moved_doubled_or_foreign_chunk_is_detected() {
    let good = sample();
    assert!(good.len() > 3 && Journal::load(good.clone()).is_ok());
    let with = |change: fn(&mut Vec<Bytes>)| {
        let mut chunks = good.clone();
        change(&mut chunks);
        Journal::load(chunks)
    };
    assert!(with(|c| drop(c.remove(0))).is_err());
    assert!(with(|c| drop(c.remove(1))).is_err());
    assert!(with(|c| c.swap(0, 1)).is_err());
    assert!(with(|c| c.insert(1, c[1].clone())).is_err());
    assert!(with(|c| c.push(Bytes::new())).is_err());
    let mut other = Journal::empty();
    other.record(call(Kind::Now, 1, b"other"));
    let mut foreign = good.clone();
    foreign[1] = other.change().unwrap().chunks.remove(0);
    assert_eq!(Journal::load(foreign).unwrap_err().chunk, 1);
}

#[test]
fn a_newer_format_is_named_in_the_error() {
    let mut chunk = sample()[0].to_vec();
    chunk[0] = 2;
    let error = Journal::load(vec![chunk.into()]).unwrap_err();
    assert!(error.to_string().contains("chunk 0") && error.to_string().contains("format"));
}

#[test]
fn a_step_that_ends_twice_is_damage() {
    let mut journal = Journal::empty();
    for _ in 0..2 {
        let Ok(StepReplay::New { id }) = journal.begin_step("a") else { panic!() };
        journal.open_step(id, 1, at(1), Fuel::new(1));
        journal.step_done(id, Ok(b""), at(1), Fuel::new(1)).unwrap();
        journal.rewind();
        journal.truncate(Position::new(1));
        let Ok(StepReplay::Completed { .. }) = journal.begin_step("a") else { panic!() };
        journal.truncate(Position::new(0));
    }
    let once = {
        let Ok(StepReplay::New { id }) = journal.begin_step("a") else { panic!() };
        journal.step_done(id, Ok(b""), at(1), Fuel::new(1)).unwrap();
        journal.change().unwrap().chunks.remove(0)
    };
    let twice = [&once[5..], &once[5..]].concat();
    assert_eq!(Journal::load(vec![sealed_chunk(&twice)]).unwrap_err().what, "a step ends twice");
}

proptest! {
    #[test]
    fn a_flipped_bit_or_a_cut_is_an_error(chunk in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0..8u8, cuts in any::<bool>()) {
        let mut chunks = sample();
        let index = chunk.index(chunks.len());
        let mut bytes = chunks[index].to_vec();
        let place = at.index(bytes.len());
        if cuts { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
        chunks[index] = bytes.into();
        prop_assert_eq!(Journal::load(chunks).unwrap_err().chunk, u32::try_from(index).unwrap());
    }

    #[test]
    fn garbage_is_an_error(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..3)) {
        prop_assert!(Journal::load(chunks.into_iter().map(Bytes::from).collect()).is_err());
    }

    #[test]
    fn garbage_under_a_right_checksum_never_panics(records in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(journal) = Journal::load(vec![sealed_chunk(&records)]) { drive(journal); }
    }

    #[test]
    fn changed_records_under_a_right_checksum_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut records = sample()[0][5..].to_vec();
        for (at, byte) in changes {
            let at = at.index(records.len().min(1500));
            records[at] = byte;
        }
        if let Some(cut) = cut { records.truncate(cut.index(records.len())); }
        if let Ok(journal) = Journal::load(vec![sealed_chunk(&records)]) { drive(journal); }
    }
}
