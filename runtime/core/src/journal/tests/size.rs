//! The promised sizes of journals. The benchmark measures times.

use super::*;

/// Records steps of one level, each with its begin and its end.
fn steps(journal: &mut Journal, count: u32, name: impl Fn(u32) -> String) {
    for step in 0..count {
        let Ok(StepReplay::New { id }) = journal.begin_step(&name(step)) else { panic!() };
        journal.open_step(id, 1, at(step.into()), Fuel::new(u64::from(step) * 5_000));
        journal.record(call(Kind::Fetch, 1, &[1; 300]));
        journal.step_done(id, Ok(b"{\"ok\":true}"), at(step.into()), Fuel::new(u64::from(step) * 5_000 + 900)).unwrap();
    }
}

#[test]
fn a_flat_step_takes_less_than_64_bytes_besides_its_result_with_any_name() {
    let one_name = |_| "collect-item".to_owned();
    let own_name = |step| format!("collect-item-{step}");
    for (name, bound) in [(&one_name as &dyn Fn(u32) -> String, 16), (&own_name, 32)] {
        let mut journal = Journal::empty();
        steps(&mut journal, 100_000, name);
        let each = journal.bytes() / 100_000 - 11;
        assert!(each < bound, "{each} bytes a step");
        assert_eq!(journal.change().unwrap().bytes(), journal.bytes());
    }
}

#[test]
fn nested_steps_by_the_hundred_thousand_stay_below_a_mebibyte_all_the_way() {
    let (mut journal, mut most) = (Journal::empty(), 0);
    for _ in 0..100 {
        let Ok(StepReplay::New { id }) = journal.begin_step("page") else { panic!() };
        journal.open_step(id, 1, at(1), Fuel::new(1));
        steps(&mut journal, 1_000, |_| "item".to_owned());
        most = most.max(journal.bytes());
        journal.step_done(id, Ok(b"1000"), at(2), Fuel::new(2)).unwrap();
    }
    assert!(most < 1 << 20, "{most} bytes at most");
    assert_eq!(journal.entries(), 100);
    assert!(journal.bytes() < 4 * 1024, "{} bytes in the end", journal.bytes());
}

#[test]
fn a_step_that_commits_in_the_middle_rewrites_little() {
    let (mut journal, mut written, mut store) = (Journal::empty(), 0, Vec::new());
    for step in 0..1_000u32 {
        let Ok(StepReplay::New { id }) = journal.begin_step("charge") else { panic!() };
        journal.open_step(id, 1, at(step.into()), Fuel::new(step.into()));
        for result in [&[][..], &[2; 200]] {
            if !result.is_empty() {
                journal.record(call(Kind::Fetch, 1, result));
            }
            let change = journal.change().unwrap();
            written += change.bytes();
            store.truncate(change.from as usize);
            store.extend(change.chunks);
        }
        journal.step_done(id, Ok(b"\"ch_1\""), at(step.into()), Fuel::new(step.into())).unwrap();
    }
    assert!(written < 3_000 * 1_000, "{} bytes a step", written / 1_000);
    assert_eq!(Journal::load(store).unwrap().entries(), 1_001);
}
