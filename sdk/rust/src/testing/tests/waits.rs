//! Sleeps, signals, other runs and cancellation.

use crate::durable::{self, WaitFor};
use crate::testing::{End, Harness};
use crate::{Error, Result, clock, join_all, select, signal, sleep, spawn, state};
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_signal_is_waited_for_and_taken_once() {
    let work = |(): ()| -> Result<(Option<u8>, Option<u8>, u8)> {
        let early = signal("n").wait_for(DAY)?;
        let first = signal("n").wait_for(DAY * 2)?;
        Ok((early, first, signal("n").wait()?))
    };
    let harness = Harness::new().signal(DAY * 2, "n", 1).signal(DAY * 2, "other", 9).signal(DAY * 5, "n", 2);
    let ran = harness.crash_everywhere(work, ());
    assert_eq!((*ran.succeeded(), ran.elapsed()), ((None, Some(1), 2), DAY * 5));
}

#[test]
fn a_wait_that_never_ends_is_reported() {
    let ran = Harness::new().run(|(): ()| signal::<u8>("never").wait(), ());
    assert_eq!(*ran.end(), End::Waits(vec![WaitFor::Signal("never".to_owned())]));
}

fn square(n: u64) -> Result<u64> {
    sleep(Duration::from_secs(n))?;
    let runs = state::get_or_default::<u64>("runs")? + 1;
    state::set("runs", &runs)?;
    if n == 13 { Err(Error::new("unlucky", "thirteen")) } else { Ok(n * n) }
}

#[test]
fn children_run_each_in_its_own_time_and_their_outcomes_come_in_order() {
    let work = |(): ()| -> Result<(Vec<String>, Vec<u64>, u64)> {
        let mut runs = vec![spawn::<u64>("square", &5)?, spawn("square", &13)?, spawn("square", &2)?];
        let all = join_all(&runs)?.into_iter().map(|outcome| format!("{outcome:?}")).collect();
        let mut order = Vec::new();
        while let Some((_, outcome)) = durable::join_next(&mut runs)? {
            order.extend(outcome);
        }
        Ok((all, order, clock::now().as_millis()))
    };
    let harness = Harness::new().deployment("square", square);
    let ran = harness.crash_everywhere(work, ());
    let (all, order, _) = ran.succeeded();
    assert!(all[0] == "Ok(25)" && all[1].contains("unlucky") && all[2] == "Ok(4)", "{all:?}");
    assert_eq!((order.as_slice(), ran.elapsed()), ([4, 25].as_slice(), Duration::from_secs(13)));
    assert_eq!(ran.state_of("square")["runs"], b"2", "its own state; what failed left nothing");
}

#[test]
fn a_fan_out_goes_in_batches_and_equal_starts_are_runs_of_their_own() {
    let work = |(): ()| -> Result<u64> {
        let sums = durable::fan_out::<u64>("square", vec![3_u64; 10], 4)?;
        sums.into_iter().sum()
    };
    let ran = Harness::new().deployment("square", square).crash_everywhere(work, ());
    assert_eq!((*ran.succeeded(), ran.children().count(), ran.elapsed().as_secs()), (90, 10, 9));
}

/// A child with a large output.
fn large(bytes: usize) -> Result<String> {
    Ok("x".repeat(bytes))
}

#[test]
fn more_runs_and_larger_outcomes_than_one_wait_takes_are_waited_for_in_pieces() {
    let many = |(): ()| -> Result<usize> {
        let sizes = durable::fan_out::<String>("large", vec![1_usize; 1_200], 5_000)?;
        let runs = sizes.len();
        let mut started = Vec::new();
        for _ in 0..1_100 {
            started.push(spawn::<String>("large", &1)?);
        }
        Ok(runs + join_all(&started)?.into_iter().flatten().count())
    };
    let harness = Harness::new().deployment("large", large);
    assert_eq!(*harness.clone().run(many, ()).succeeded(), 2_300);
    let heavy = |(): ()| -> Result<Vec<usize>> {
        let outcomes = durable::fan_out::<String>("large", [3_000_000_usize, 2, 3_500_000, 1], 4)?;
        outcomes.into_iter().map(|text| text.map(|text| text.len())).collect()
    };
    assert_eq!(*harness.run(heavy, ()).succeeded(), [3_000_000, 2, 3_500_000, 1]);
}

/// A child that sleeps for this number of seconds.
fn sleeper(seconds: u64) -> Result<u64> {
    sleep(Duration::from_secs(seconds))?;
    Ok(seconds)
}

#[test]
fn the_first_of_all_open_children_is_seen_wherever_it_is_in_the_list() {
    let work = |count: u64| -> Result<(u64, u64)> {
        // The last one in the list ends first.
        let mut runs = (0..count).map(|nth| spawn("sleeper", &(count - nth))).collect::<Result<Vec<_>>>()?;
        let mut selected = select();
        for run in &runs {
            selected = selected.run(run, |seconds: Result<u64>| seconds);
        }
        let selected = selected.wait()?;
        let (_, joined) = durable::join_next::<u64>(&mut runs)?.unwrap();
        assert_eq!(runs.len() as u64, count - 1);
        Ok((selected, joined?))
    };
    let ran = Harness::new().deployment("sleeper", sleeper).run(work, 2_500);
    assert_eq!((*ran.succeeded(), ran.elapsed().as_secs()), ((1, 1), 1));
}

#[test]
fn more_runs_than_one_wait_takes_are_looked_at_in_pieces_and_refused_if_none_has_ended() {
    let work = |(): ()| -> Result<(usize, String)> {
        let start = |seconds: u64| durable::start("sleeper", &seconds).detached().spawn::<u64>();
        let mut runs = (0..4_099).map(|_| start(100)).collect::<Result<Vec<_>>>()?;
        runs.push(start(1)?);
        sleep(Duration::from_secs(2))?;
        let (ended, _) = durable::join_next(&mut runs)?.unwrap();
        assert!(!runs.contains(&ended));
        Ok((runs.len(), durable::join_next(&mut runs).unwrap_err().code().to_owned()))
    };
    let ran = Harness::new().deployment("sleeper", sleeper).run(work, ());
    assert_eq!(*ran.succeeded(), (4_099, "too-many-waits".to_owned()));
}

#[test]
fn whichever_comes_first_decides() {
    let work = |wait: u64| -> Result<String> {
        let slow = spawn::<u64>("square", &30)?;
        select()
            .run(&slow, |squared| Ok(format!("ran: {}", squared?)))
            .signal(signal::<String>("answer"), |text| Ok(format!("answer: {text}")))
            .after(Duration::from_secs(wait), || Ok("nothing".to_owned()))
            .wait()
    };
    let harness = Harness::new().deployment("square", square);
    assert_eq!(harness.crash_everywhere(work, 60).succeeded(), "ran: 900");
    assert_eq!(harness.crash_everywhere(work, 10).succeeded(), "nothing");
    let answered = harness.signal(Duration::from_secs(20), "answer", "yes");
    assert_eq!(answered.crash_everywhere(work, 60).succeeded(), "answer: yes");
}

#[test]
fn a_child_answers_its_parent_by_signal() {
    let work = |(): ()| -> Result<String> {
        durable::start("child", &json!(null)).detached().send()?;
        signal("hello").wait()
    };
    let child = |(): ()| -> Result<()> {
        let parent = crate::context::triggered_by().parent.unwrap();
        durable::send_signal(&parent, "hello", "from below")
    };
    let ran = Harness::new().deployment("child", child).crash_everywhere(work, ());
    assert_eq!(ran.succeeded(), "from below");
}

#[test]
fn a_cancellation_wakes_a_wait_and_leaves_room_to_tidy_up() {
    let work = |(): ()| -> Result<()> {
        let slept = sleep(DAY * 10);
        if slept.as_ref().is_err_and(Error::is_cancelled) {
            state::set("tidied", &true)?;
        }
        slept
    };
    let ran = Harness::new().cancel(DAY * 3).crash_everywhere(work, ());
    assert!(ran.was_cancelled());
    assert_eq!((ran.state("tidied"), ran.elapsed()), (Some(true), DAY * 3));
}

#[test]
fn a_run_that_is_to_end_starts_nothing_new() {
    let work = |(): ()| -> Result<()> {
        assert!(state::set("a", &1).is_err_and(|error| error.is_cancelled()));
        assert!(spawn::<()>("square", &1).is_err_and(|error| error.is_cancelled()));
        assert!(durable::continue_as_new(&()).is_cancelled());
        Ok(())
    };
    let ran = Harness::new().deployment("square", square).cancel_after_entries(0).run(work, ());
    assert!(ran.was_cancelled() && ran.children().count() == 0);
}
