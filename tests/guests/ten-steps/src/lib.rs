//! Ten steps, one after another, each of which returns a number: what is left of a workflow's cost when its work is taken
//! away. Measured beside the same in Restate, by `tests/load/peers`.

use serde::Deserialize;
use tidemill_sdk::durable::step;
use tidemill_sdk::{Error, Result};

/// `{}`: nothing depends on it.
#[derive(Deserialize)]
struct Input {}

#[tidemill_sdk::workflow]
fn ten_steps(_input: Input) -> Result<u64> {
    (0..10_u64).try_fold(0, |sum, number| Ok(sum + step("add", || Ok::<_, Error>(number))?))
}
