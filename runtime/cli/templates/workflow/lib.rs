//! A workflow. A caller, a schedule, an event or another run starts it.

use serde::{Deserialize, Serialize};
use tidemill_sdk::{Result, Schema, context, info, state};

/// The input of a run. A schedule sends its `input`, which is `{}` by default.
#[derive(Deserialize, Schema)]
struct Input {
    #[serde(default = "default_name")]
    name: String,
}

/// `[config]` in tidemill.toml.
#[derive(Deserialize)]
struct Config {
    greeting: String,
}

/// The output of a run.
#[derive(Serialize, Schema)]
struct Output {
    message: String,
    runs: u64,
}

fn default_name() -> String {
    "world".to_owned()
}

#[tidemill_sdk::workflow]
fn run(input: Input) -> Result<Output> {
    let config: Config = context::config()?;

    // The reads and writes of a run in `state` are one transaction: two concurrent runs add two.
    let runs = state::get_or_default::<u64>("runs")? + 1;
    state::set("runs", &runs)?;

    let message = format!("{}, {}!", config.greeting, input.name);
    info!("{message}"; runs = runs);
    Ok(Output { message, runs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidemill_sdk::testing::Harness;

    /// Runs it without a server, then again with a crash after each entry of its journal.
    #[test]
    fn greets_by_name_and_counts_its_runs() {
        let harness = Harness::new()
            .manifest(include_str!("../tidemill.toml"))
            .state("runs", 1);
        let ran = harness.crash_everywhere(run, json!({ "name": "Ada" }));
        assert_eq!(ran.succeeded().message, "Hello, Ada!");
        assert_eq!(ran.state("runs"), Some(2));
    }
}
