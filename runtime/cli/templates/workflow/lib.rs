//! A workflow: started by hand, by a schedule, by an event or by another run.

use serde::{Deserialize, Serialize};
use tidemill_sdk::{Result, context, info, state};

/// What a run is started with. A schedule gives its `input`, which is `{}` if it has none.
#[derive(Deserialize)]
struct Input {
    #[serde(default = "nobody")]
    name: String,
}

/// `[config]` in tidemill.toml.
#[derive(Deserialize)]
struct Config {
    greeting: String,
}

/// What a run answers.
#[derive(Serialize)]
struct Output {
    message: String,
    runs: u64,
}

fn nobody() -> String {
    "world".to_owned()
}

#[tidemill_sdk::workflow]
fn run(input: Input) -> Result<Output> {
    let config: Config = context::config()?;

    // What a run reads and writes in `state` is one transaction: two runs at once add two.
    let runs = state::get_or_default::<u64>("runs")? + 1;
    state::set("runs", &runs)?;

    let message = message(&config.greeting, &input.name);
    info!("{message}"; runs = runs);
    Ok(Output { message, runs })
}

/// Kept apart from the host's calls, so that it can be tested natively.
fn message(greeting: &str, name: &str) -> String {
    format!("{greeting}, {name}!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        let input: Input = serde_json::from_str(r#"{"name": "Ada"}"#).unwrap();
        assert_eq!(message("Hello", &input.name), "Hello, Ada!");
    }
}
