//! Random sequences of operations on stores and models: the part that all models share.

use std::fmt::Display;
use std::sync::Arc;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::Factory;
use tidemill_store::Store;

/// Plays `cases` of `sequences`, each on an empty store. `play` fails if the store and its model
/// differ.
///
/// # Panics
/// If a sequence fails, with `differ` and the shortest sequence found.
pub(crate) fn compare<S: Strategy>(
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

/// Turns a store's error into a failed case, because no sequence may cause one.
pub(crate) fn failed(error: impl Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}
