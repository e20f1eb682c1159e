//! The smallest workflow: it returns its input. Benchmarks measure the host with it.
//! It uses the bindings directly, to avoid the JSON of the SDK.

use tidemill_sdk::bindings::workflow::exports::tidemill::guest::workflow::Guest;
use tidemill_sdk::export::Failure;

pub struct Noop;

impl Guest for Noop {
    fn run(input: String) -> Result<String, Failure> {
        Ok(input)
    }
}

#[cfg(target_arch = "wasm32")]
tidemill_sdk::bindings::workflow::export_workflow!(Noop with_types_in tidemill_sdk::bindings::workflow);
