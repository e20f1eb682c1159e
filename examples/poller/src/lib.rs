//! Polls a page without end and counts its changes. It continues as new after some polls, so that
//! its journal stays small and a new version takes effect. The signal `stop` ends it.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidemill_sdk::{Result, Schema, context, durable, http, info, signal, state, warn};

/// The input of a run: `{}`. Later generations receive their own state.
#[derive(Deserialize, Serialize, Schema, Default, Debug, PartialEq)]
#[serde(default)]
struct Seen {
    looks: u64,
    changes: u64,
    /// The `ETag` of the last response.
    tag: Option<String>,
}

/// `[config]` of the manifest.
#[derive(Deserialize)]
struct Config {
    url: String,
    every_seconds: u64,
    /// The number of polls per generation.
    looks: u64,
}

#[tidemill_sdk::workflow]
fn poll(mut seen: Seen) -> Result<Seen> {
    let config: Config = context::config()?;
    for _ in 0..config.looks.max(1) {
        look(&config.url, &mut seen)?;
        durable::set_progress(seen.looks, None, "looks");
        // A wait that the signal can end early.
        if signal::<()>("stop").wait_for(Duration::from_secs(config.every_seconds))?.is_some() {
            return Ok(seen);
        }
    }
    Err(durable::continue_as_new(&seen))
}

/// A page that cannot be fetched counts as unchanged, because the next poll follows soon.
fn look(url: &str, seen: &mut Seen) -> Result<()> {
    seen.looks += 1;
    let answer = match http::get(url).send().and_then(http::Response::ok) {
        Ok(answer) => answer,
        Err(error) if error.is_cancelled() => return Err(error),
        Err(error) => {
            warn!("no page: {error}");
            return Ok(());
        }
    };
    let tag = answer.header("ETag").map_or_else(|| answer.body.len().to_string(), str::to_owned);
    if seen.tag.as_ref().is_some_and(|before| *before != tag) {
        seen.changes += 1;
        info!("{url} changed"; tag = tag);
        state::set("changes", &seen.changes)?;
    }
    seen.tag = Some(tag);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tidemill_sdk::testing::{Answer, End, Harness};

    /// A page that changes at the fourth poll and is unavailable at the sixth.
    fn harness() -> Harness {
        Harness::new()
            .manifest(include_str!("../tidemill.toml"))
            .config(json!({ "url": "https://example.org/", "every_seconds": 60, "looks": 5 }))
            .http("GET", "https://example.org/", |sent| match sent.nth {
                6 => Answer::lost(),
                nth => Answer::text("page").with_header("ETag", if nth < 4 { "a" } else { "b" }),
            })
    }

    #[test]
    fn it_continues_for_ever_and_its_journal_does_not_grow() {
        let ran = harness().generations(20).run(poll, json!({}));
        assert_eq!(*ran.end(), End::Continues(json!({ "looks": 100, "changes": 1, "tag": "b" })));
        assert_eq!((ran.generation(), ran.elapsed().as_secs()), (20, 6_000));
        assert!(ran.recording().len() <= 10);
    }

    #[test]
    fn no_crash_counts_a_change_twice() {
        let ran = harness().generations(2).crash_everywhere(poll, json!({}));
        assert_eq!(ran.state("changes"), Some(1));
    }

    #[test]
    fn a_signal_stops_it_where_it_is() {
        let ran = harness().signal(Duration::from_secs(400), "stop", ()).crash_everywhere(poll, json!({}));
        assert_eq!((ran.succeeded().looks, ran.elapsed().as_secs()), (7, 400));
    }
}
