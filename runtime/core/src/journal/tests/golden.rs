//! Every format that a release has written stays readable: files of each format, and their entries
//! for people.
//!
//! The files never change. The ignored test writes the files of a new format.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn chunks(format: u8) -> Vec<Bytes> {
    let file = |index: usize| folder().join(format!("journal-{format}.{index}"));
    (0..).map_while(|index| std::fs::read(file(index)).ok()).map(Bytes::from).collect()
}

/// The kinds of the first release.
const KINDS: [u8; 26] =
    [1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24, 30, 31, 32, 40, 50, 51, 52, 53, 54, 55, 56, 60];

/// A journal with everything that format 1 can hold.
fn sample() -> Journal {
    let mut journal = Journal::empty();
    for number in KINDS {
        let kind = Kind::from_number(number).unwrap();
        let shown = (number % 2 == 0).then_some(&b"what was asked"[..]);
        journal.record(NewEntry { shown, ..call(kind, number, &[number; 20]) });
    }
    for (name, good) in [("charge", true), ("charge", false), ("größer", true)] {
        let Ok(StepReplay::New { id }) = journal.begin_step(name) else { panic!() };
        journal.open_step(id, 1, at(1_000), Fuel::new(1_000));
        let result = if good { Ok(&b"\"yes\""[..]) } else { Err(&b"{}"[..]) };
        journal.step_done(id, result, at(1_001), Fuel::new(1_000_000)).unwrap();
    }
    let Ok(StepReplay::New { id: outer }) = journal.begin_step("order") else { panic!() };
    journal.open_step(outer, 1, at(2_000), Fuel::new(2_000_000));
    journal.record(call(Kind::StateGet, 1, &[7; 9_000]));
    let Ok(StepReplay::New { id: inner }) = journal.begin_step("charge") else { panic!() };
    journal.open_step(inner, 1, at(2_001), Fuel::new(2_000_001));
    journal.step_again(inner, 2, at(9_000), at(2_002), Fuel::new(2_000_002)).unwrap();
    journal.record(call(Kind::Fetch, 2, b"late"));
    journal
}

fn text(journal: &Journal) -> String {
    shown(journal).iter().fold(String::new(), |mut text, e| {
        let result =
            if e.result.len() > 40 { format!("{} bytes", e.size) } else { e.result.escape_ascii().to_string() };
        let request = e.request.as_deref().unwrap_or_default().escape_ascii();
        let (attempt, not_before) = (e.attempt.unwrap_or_default(), e.not_before.unwrap_or_default().as_millis());
        let hash = e.hash.map_or(0, |hash| hash[0]);
        let head = format!("{} {} `{}` {} {}", e.seq, e.kind, e.step, e.at.as_millis(), e.fuel);
        writeln!(text, "{head} {attempt} {not_before} {hash} [{request}] {result}").unwrap();
        text
    })
}

#[test]
#[ignore = "writes the files of a format that is new"]
fn writes_the_files_of_the_present_format() {
    let mut journal = sample();
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(folder().join("journal-1.txt"), text(&journal)).unwrap();
    for (index, chunk) in journal.change().unwrap().chunks.iter().enumerate() {
        std::fs::write(folder().join(format!("journal-1.{index}")), chunk).unwrap();
    }
}

#[test]
fn every_format_that_was_ever_written_is_read() {
    for format in 1..=1 {
        let journal = Journal::load(chunks(format)).unwrap();
        let expected = std::fs::read_to_string(folder().join(format!("journal-{format}.txt"))).unwrap();
        assert_eq!(text(&journal), expected, "format {format}");
    }
}

#[test]
fn the_present_format_is_written_as_it_was() {
    assert_eq!(sample().change().unwrap().chunks, chunks(1));
}

#[test]
fn an_old_journal_replays_and_continues() {
    let mut journal = Journal::load(chunks(1)).unwrap();
    for number in KINDS {
        let met = journal.call(Kind::from_number(number).unwrap(), [number; 16]).unwrap();
        assert!(matches!(met, CallReplay::Recorded(recorded) if recorded.result[..] == [number; 20]));
    }
    assert!(matches!(journal.begin_step("größer"), Ok(StepReplay::Completed { .. })));
    assert!(matches!(journal.begin_step("charge"), Ok(StepReplay::Completed { .. })));
    assert!(matches!(journal.begin_step("charge"), Ok(StepReplay::GaveUp { .. })));
    assert!(matches!(journal.begin_step("order"), Ok(StepReplay::Resumed { attempt: 1, .. })));
    assert!(matches!(journal.call(Kind::StateGet, [1; 16]), Ok(CallReplay::Recorded(r)) if r.result.len() == 9_000));
    let Ok(StepReplay::Resumed { id, attempt: 2, not_before }) = journal.begin_step("charge") else { panic!() };
    assert_eq!((not_before, journal.step_path().as_str()), (at(9_000), "order/charge"));
    assert!(matches!(journal.call(Kind::Fetch, [2; 16]), Ok(CallReplay::Recorded(_))));
    assert!(journal.is_live());
    journal.step_done(id, Ok(b"1"), at(9_001), Fuel::new(3_000_000)).unwrap();
    assert_eq!(journal.step_path(), "order");
}
