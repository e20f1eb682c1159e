//! Ten steps in sequence that each return a number: the cost of a workflow without its work.
//! `tests/load/peers` compares it with the same workflow in Restate.

use serde::Deserialize;
use tidemill_sdk::durable::step;
use tidemill_sdk::{Error, Result};

/// An unused input, `{}`.
#[derive(Deserialize)]
struct Input {}

#[tidemill_sdk::workflow]
fn ten_steps(_input: Input) -> Result<u64> {
    (0..10_u64).try_fold(0, |sum, number| Ok(sum + step("add", || Ok::<_, Error>(number))?))
}
