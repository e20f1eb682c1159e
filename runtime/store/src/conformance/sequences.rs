//! Random sequences of operations, played on stores and on models of them: what all models have in common.

use std::fmt::Display;
use std::sync::Arc;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::Factory;
use crate::Store;

/// Plays `cases` of `sequences`, each on an empty store; `play` fails where the store does not do as its model.
///
/// # Panics
/// Where one fails, with `differ` and the shortest sequence found.
pub(super) fn compare<S: Strategy>(
    differ: &str,
    cases: u32,
    empty: Factory<'_>,
    sequences: &S,
    play: impl AsyncFn(Arc<dyn Store>, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime for the test");
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(sequences, |sequence| {
        let store = empty();
        let compared = runtime.block_on(play(store.clone(), sequence));
        runtime.block_on(store.close()).map_err(failed)?;
        compared
    });
    if let Err(error) = outcome {
        panic!("{differ}: {error}");
    }
}

/// What a store answers where no sequence may fail it.
pub(super) fn failed(error: impl Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}
