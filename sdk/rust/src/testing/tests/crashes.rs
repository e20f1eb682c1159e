//! `crash_everywhere` finds modules that break its rule.

use crate::testing::{Answer, Harness};
use crate::{Result, http, sleep, state, step};
use std::cell::Cell;
use std::time::Duration;

fn caught(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(test).unwrap_err();
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn something_other_than_its_result_that_leaves_a_step_is_found() {
    let leaks = |(): ()| -> Result<u32> {
        let count = Cell::new(0);
        step("count", || -> Result<()> {
            count.set(count.get() + 1);
            Ok(())
        })?;
        sleep(Duration::from_secs(1))?;
        Ok(count.get())
    };
    let message = caught(|| {
        Harness::new().crash_everywhere(leaks, ());
    });
    assert!(message.contains("after a crash after entry 2 of 3, keeping all entries, its end differs"), "{message}");
    assert!(message.contains(r#"undisturbed  {"succeeded":1}"#), "{message}");
}

#[test]
fn a_run_that_reads_the_machine_is_reported() {
    thread_local!(static RUNS: Cell<u32> = const { Cell::new(0) });
    let reads_machine = |(): ()| -> Result<()> {
        RUNS.set(RUNS.get() + 1);
        state::set("run", &RUNS.get())
    };
    let message = caught(|| {
        Harness::new().crash_everywhere(reads_machine, ());
    });
    assert!(message.contains("replay diverged from the journal: entry 1: recorded `state.set run ="), "{message}");
}

#[test]
fn a_charge_that_is_made_twice_is_found() {
    thread_local!(static KEYS: Cell<u32> = const { Cell::new(0) });
    let charges = |(): ()| -> Result<()> {
        KEYS.set(KEYS.get() + 1);
        let key = KEYS.get().to_string();
        http::post("https://pay.example.com/").header("Idempotency-Key", key).send()?.ok().map(drop)
    };
    let message = caught(|| {
        Harness::new().http("POST", "https://pay.example.com/", |_| Answer::status(200)).crash_everywhere(charges, ());
    });
    assert!(message.contains("replay diverged from the journal") || message.contains("outside effects"), "{message}");
}

#[test]
fn deep_and_wide_work_survives_every_crash() {
    let work = |(): ()| -> Result<u64> {
        let mut sum = 0;
        for outer in 0..5_u64 {
            sum += step("outer", || -> Result<u64> {
                let mut sum = 0;
                for inner in 0..5_u64 {
                    sum += step("inner", || -> Result<u64> {
                        let key = format!("{outer}/{inner}");
                        http::post("https://a.example.com/").body(key.clone()).send()?.ok()?;
                        state::set(&key, &inner)?;
                        Ok(outer * inner)
                    })?;
                }
                Ok(sum)
            })?;
            sleep(Duration::from_secs(1))?;
        }
        Ok(sum)
    };
    let ran = Harness::new().http("POST", "*", |_| 200).crash_everywhere(work, ());
    assert_eq!((*ran.succeeded(), ran.effects().len(), ran.state_of("test").len()), (100, 25, 25));
}
