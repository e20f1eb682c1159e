//! Distributes work over a thousand runs of another deployment and adds their results. The output
//! names the parts that failed. The other parts count.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tidemill_sdk::durable::{self, Run};
use tidemill_sdk::{Result, Schema, bail, info, join_all, spawn};

/// The input of a run. `{}` counts the primes below a million in a thousand parts.
#[derive(Deserialize, Schema)]
struct Input {
    #[serde(default = "a_million")]
    below: u64,
    #[serde(default = "a_thousand")]
    parts: u64,
}

/// The output of a run.
#[derive(Serialize, Schema, Debug, PartialEq)]
struct Output {
    primes: u64,
    parts: u64,
    /// The first numbers of the parts that failed.
    failed: Vec<u64>,
}

/// The deployment that computes a part. `[grants]` names it.
const CHILD: &str = "fan-out-child";

/// The maximum number of parts.
const MOST_PARTS: u64 = 1_000;

fn a_million() -> u64 {
    1_000_000
}

fn a_thousand() -> u64 {
    1_000
}

#[tidemill_sdk::workflow]
fn fan_out(input: Input) -> Result<Output> {
    if input.parts == 0 || input.parts > MOST_PARTS {
        bail!("bad-input", "{} parts are not from 1 to {MOST_PARTS}", input.parts);
    }
    let size = input.below.div_ceil(input.parts).max(1);
    let starts: Vec<u64> = (0..input.parts).map(|part| part * size).take_while(|from| *from < input.below).collect();
    // One transaction starts all runs, and one call waits for them.
    let runs: Vec<Run<u64>> = starts
        .iter()
        .map(|from| spawn(CHILD, &json!({ "from": from, "to": (from + size).min(input.below) })))
        .collect::<Result<_>>()?;
    let parts = runs.len() as u64;
    durable::set_progress(0, Some(parts), "all parts started");
    let (mut primes, mut failed) = (0, Vec::new());
    for (from, counted) in starts.into_iter().zip(join_all(&runs)?) {
        match counted {
            Ok(count) => primes += count,
            Err(error) => {
                info!("the part from {from} failed: {error}");
                failed.push(from);
            }
        }
    }
    durable::set_progress(parts, Some(parts), "all parts ended");
    Ok(Output { primes, parts, failed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tidemill_sdk::Error;
    use tidemill_sdk::testing::Harness;

    /// The child in this test counts its numbers instead of primes.
    fn harness() -> Harness {
        Harness::new().manifest(include_str!("../tidemill.toml")).deployment(CHILD, |span: Value| {
            match span["from"].as_u64() {
                Some(30) => Err(Error::new("unlucky", "not thirty")),
                _ => Ok(span["to"].as_u64().unwrap_or(0) - span["from"].as_u64().unwrap_or(0)),
            }
        })
    }

    #[test]
    fn a_thousand_parts_are_added_up() {
        let ran = harness().run(fan_out, json!({}));
        assert_eq!(*ran.succeeded(), Output { primes: 1_000_000, parts: 1_000, failed: vec![] });
        assert_eq!((ran.children().count(), ran.progress().unwrap().0), (1_000, 1_000));
    }

    #[test]
    fn no_crash_starts_a_part_twice_and_a_part_that_fails_is_named() {
        let ran = harness().crash_everywhere(fan_out, json!({ "below": 95, "parts": 10 }));
        assert_eq!(*ran.succeeded(), Output { primes: 85, parts: 10, failed: vec![30] });
    }

    #[test]
    fn parts_that_cannot_be_are_refused() {
        assert_eq!(harness().run(fan_out, json!({ "parts": 0 })).failed().code(), "bad-input");
    }
}
