//! Tests of the journal: its purpose here; laws against a model, damage, old files, pages and
//! sizes in the modules.
#![allow(clippy::unwrap_used, reason = "tests")]

mod damage;
mod golden;
mod model;
mod pages;
mod size;

use super::stored::all_for_tests;
use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn call<'a>(kind: Kind, request: u8, result: &'a [u8]) -> NewEntry<'a> {
    NewEntry {
        kind,
        request: [request; 16],
        result,
        at: at(request.into()),
        fuel: Fuel::new(u64::from(request) * 10),
        shown: None,
    }
}

/// Returns all entries for people.
fn shown(journal: &Journal) -> Vec<DisplayEntry> {
    pages::read(&all_for_tests(&journal.chunks), PageStart::after(0), usize::MAX, usize::MAX).unwrap().entries
}

/// Stores and loads the journal.
fn stored(journal: &mut Journal) -> Journal {
    let change = journal.change().unwrap_or_default();
    assert_eq!(change.from, 0);
    Journal::load(change.chunks).unwrap()
}

#[test]
fn recorded_calls_are_answered_again_and_later_calls_are_live() {
    let mut journal = Journal::empty();
    assert!(journal.is_live());
    assert_eq!(journal.call(Kind::Now, [1; 16]), Ok(CallReplay::Live));
    journal.record(call(Kind::Now, 1, b"12"));
    let mut again = stored(&mut journal);
    assert!(!again.is_live());
    let recorded = RecordedAnswer { result: Bytes::from_static(b"12"), at: at(1), fuel: Fuel::new(10) };
    assert_eq!(again.call(Kind::Now, [1; 16]), Ok(CallReplay::Recorded(recorded)));
    assert!(again.is_live());
    assert_eq!(again.call(Kind::Now, [1; 16]), Ok(CallReplay::Live));
}

#[test]
fn an_open_step_resumes_with_its_entries_and_an_ended_step_is_skipped() {
    let mut journal = Journal::empty();
    let Ok(StepReplay::New { id }) = journal.begin_step("charge") else { panic!() };
    journal.open_step(id, 1, at(1), Fuel::new(1));
    assert_eq!(journal.call(Kind::Fetch, [2; 16]), Ok(CallReplay::Live));
    journal.record(call(Kind::Fetch, 2, b"200"));
    let mut again = stored(&mut journal);
    let not_before = Timestamp::default();
    assert_eq!(again.begin_step("charge"), Ok(StepReplay::Resumed { id, attempt: 1, not_before }));
    assert_eq!(again.step_path(), "charge");
    assert!(again.step_done(id, Ok(b"no"), at(3), Fuel::new(3)).is_err(), "records follow inside the step");
    assert!(matches!(again.call(Kind::Fetch, [2; 16]), Ok(CallReplay::Recorded(_))));
    again.step_again(id, 2, at(50), at(4), Fuel::new(4)).unwrap();
    assert_eq!(again.entries(), 1);
    let mut third = Journal::load(again.change().unwrap().chunks).unwrap();
    assert_eq!(third.begin_step("charge"), Ok(StepReplay::Resumed { id, attempt: 2, not_before: at(50) }));
    third.step_done(id, Ok(b"paid"), at(60), Fuel::new(6)).unwrap();
    third.rewind();
    assert_eq!(third.begin_step("charge"), Ok(StepReplay::Completed { id, result: Bytes::from_static(b"paid") }));
    assert!(matches!(third.begin_step("charge"), Ok(StepReplay::New { id: second }) if second != id));
}

#[test]
fn a_call_that_differs_from_the_record_is_refused_with_both_calls() {
    let mut journal = Journal::empty();
    journal.record(NewEntry { shown: Some(b"GET /a"), ..call(Kind::Fetch, 1, b"") });
    journal.rewind();
    let mismatch = journal.call(Kind::StateGet, [2; 16]).unwrap_err();
    let text = "the journal holds http.fetch 01010101…, but the run called state.get 02020202… (entry 1)";
    assert_eq!(mismatch.to_string(), text);
    assert_eq!(mismatch.recorded.shown.as_deref(), Some(&b"GET /a"[..]));
    let mismatch = journal.begin_step("a").unwrap_err();
    assert!(mismatch.to_string().contains("durable.begin-step") && mismatch.to_string().contains("in step `a`"));
    assert!(journal.end().unwrap_err().to_string().contains("the end of the run"));
    assert!(matches!(journal.call(Kind::Fetch, [1; 16]), Ok(CallReplay::Recorded(_))), "a refusal consumes nothing");
}

#[test]
fn next_if_waits_for_the_steps_before_the_entry() {
    let mut journal = Journal::empty();
    for name in ["a", "b"] {
        let Ok(StepReplay::New { id }) = journal.begin_step(name) else { panic!() };
        journal.step_done(id, Ok(b"1"), at(1), Fuel::new(1)).unwrap();
    }
    journal.record(call(Kind::Cancel, 3, b"sent"));
    for order in [["a", "b"], ["b", "a"]] {
        journal.rewind();
        for name in order {
            assert_eq!(journal.next_if(Kind::Cancel, [3; 16]), None, "before {name}");
            assert!(matches!(journal.begin_step(name), Ok(StepReplay::Completed { .. })));
        }
        assert_eq!(journal.next_if(Kind::Cancel, [4; 16]), None);
        assert_eq!(journal.next_if(Kind::Cancel, [3; 16]).unwrap().result, "sent");
        assert!(journal.is_live() && journal.next_if(Kind::Cancel, [3; 16]).is_none());
    }
}
