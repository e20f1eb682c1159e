//! Greets by name, and counts in `state` how often it greeted each name. A minimal module.

use serde::{Deserialize, Serialize};
use tidemill_sdk::{Result, Schema, context, info, state};

/// The input of a run: `{"name": "Ada"}` or `{}`.
#[derive(Deserialize, Schema)]
struct Input {
    /// The name to greet.
    #[serde(default = "world")]
    name: String,
}

/// `[config]` of the manifest.
#[derive(Deserialize)]
struct Config {
    #[serde(default = "hello")]
    greeting: String,
}

#[derive(Serialize, Schema, Debug, PartialEq)]
struct Output {
    message: String,
    /// The number of greetings for this name and for all names, this run included.
    times: u64,
    total: u64,
}

fn world() -> String {
    "world".to_owned()
}

fn hello() -> String {
    "Hello".to_owned()
}

#[tidemill_sdk::workflow]
fn greet(input: Input) -> Result<Output> {
    let config: Config = context::config()?;
    let times = count(&format!("greeted/{}", input.name))?;
    let total = count("total")?;
    let message = message(&config.greeting, &input.name, times);
    info!("{message}"; name = input.name, times = times);
    Ok(Output { message, times, total })
}

/// Adds one to a counter. Two concurrent runs add two, because the reads and writes of a run are
/// one transaction.
fn count(key: &str) -> Result<u64> {
    let count = state::get_or_default::<u64>(key)? + 1;
    state::set(key, &count)?;
    Ok(count)
}

fn message(greeting: &str, name: &str, times: u64) -> String {
    match times {
        0 | 1 => format!("{greeting}, {name}!"),
        _ => format!("{greeting} again, {name}!"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidemill_sdk::testing::Harness;

    #[test]
    fn an_old_friend_is_greeted_as_one() {
        let harness =
            Harness::new().manifest(include_str!("../tidemill.toml")).state("greeted/Ada", 1).state("total", 4);
        let ran = harness.crash_everywhere(greet, json!({ "name": "Ada" }));
        let expected = Output { message: "Hello again, Ada!".into(), times: 2, total: 5 };
        assert_eq!(*ran.succeeded(), expected);
        assert_eq!(ran.state("total"), Some(5));
    }

    #[test]
    fn a_name_is_optional_and_the_greeting_is_configured() {
        let ran = Harness::new().config(json!({ "greeting": "Moin" })).run(greet, json!({}));
        assert_eq!(ran.succeeded().message, "Moin, world!");
    }
}
