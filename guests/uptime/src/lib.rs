//! Watches web pages. It fetches each URL of its configuration, stores its latency and its state
//! changes in `state`, and reports. Its schedule defines the interval.

mod history;

use history::{History, Probe};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidemill_sdk::{Error, Result, Status, Timestamp, bail, clock, context, error, http, info, state, warn};

/// The maximum number of URLs. One run fetches them all, 16 at a time.
const MOST_URLS: usize = 100;

/// The maximum length of a URL, in bytes. It is part of a state key, which has up to 512.
const LONGEST_URL: usize = 500;

/// `[config]` of the manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    urls: Vec<String>,
    /// The timeout of a request, in milliseconds; at most ten minutes.
    #[serde(default = "ten_seconds")]
    timeout_ms: u64,
    /// The health check reports a page with a higher median as degraded; in milliseconds.
    #[serde(default = "two_seconds")]
    slow_ms: u64,
    /// The number of stored samples per URL, at most 1,000.
    #[serde(default = "sixty")]
    keep: usize,
}

fn ten_seconds() -> u64 {
    10_000
}

fn two_seconds() -> u64 {
    2_000
}

fn sixty() -> usize {
    60
}

impl Config {
    fn read() -> Result<Self> {
        let config: Self = context::config()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.urls.is_empty() || self.urls.len() > MOST_URLS {
            bail!("bad-config", "urls: 1 to {MOST_URLS} are watched, not {}", self.urls.len());
        }
        if let Some(url) = self.urls.iter().find(|url| url.len() > LONGEST_URL) {
            bail!("bad-config", "urls: a URL has {} bytes; at most {LONGEST_URL} are allowed", url.len());
        }
        if !(1..=600_000).contains(&self.timeout_ms) {
            bail!("bad-config", "timeout_ms: {} is not between 1 and 600000", self.timeout_ms);
        }
        if !(1..=1_000).contains(&self.keep) {
            bail!("bad-config", "keep: {} is not between 1 and 1000", self.keep);
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Report {
    checked_at: String,
    up: usize,
    down: usize,
    urls: Vec<Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

/// A URL that could not be fetched for a reason other than the page.
#[derive(Serialize)]
struct Refused {
    url: String,
    code: String,
    error: String,
}

/// The report on one URL.
#[derive(Serialize)]
struct Line {
    url: String,
    up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
    /// The median of the stored samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    median_ms: Option<u64>,
    /// The time since which the page has been up or down.
    since: String,
    changed: bool,
    checks: u64,
    failures: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[tidemill_sdk::workflow]
fn check() -> Result<Report> {
    let config = Config::read()?;
    let requests = config.urls.iter().map(|url| http::get(url).timeout(Duration::from_millis(config.timeout_ms)));
    let answers = http::send_all(requests);
    let now = clock::now();
    let (mut lines, mut refused) = (Vec::with_capacity(config.urls.len()), Vec::new());
    for (url, answer) in config.urls.iter().zip(answers) {
        match probe(answer) {
            Ok(probe) => lines.push(record(url, probe, now, config.keep)?),
            // There is no page to report on, so the run has failed.
            Err(error) if config.urls.len() == 1 => return Err(error),
            Err(error) => {
                error!("{url} cannot be fetched: {error}");
                refused.push(Refused {
                    url: url.clone(),
                    code: error.code().to_owned(),
                    error: error.message().to_owned(),
                });
            }
        }
    }
    let up = lines.iter().filter(|line| line.up).count();
    info!("{up} of {} up", config.urls.len());
    Ok(Report { checked_at: now.to_string(), up, down: lines.len() - up, urls: lines, refused })
}

/// Evaluates the response of a page or its failure. A refusal by the host does not describe the
/// page: the operator must add the missing grant.
fn probe(answer: Result<http::Response>) -> Result<Probe> {
    match answer {
        Ok(response) => {
            let latency_ms = u64::try_from(response.elapsed.as_millis()).unwrap_or(u64::MAX);
            Ok(Probe::Answered { status: response.status, latency_ms })
        }
        Err(error) if is_refusal(error.code()) => Err(error),
        Err(error) => Ok(Probe::Silent { why: error.to_string() }),
    }
}

fn is_refusal(code: &str) -> bool {
    code.starts_with("host/") && (!code.starts_with("host/http-") || code == "host/http-bad-request")
}

fn record(url: &str, probe: Probe, now: Timestamp, keep: usize) -> Result<Line> {
    let key = key(url);
    let mut history = state::get::<History>(&key)?.unwrap_or_else(|| History::begin(now, &probe));
    let changed = history.observe(now, &probe, keep);
    state::set(&key, &history)?;
    match (changed, history.up()) {
        (true, true) => info!("{url} is up again"),
        (true, false) => warn!("{url} is down: {probe}"),
        (false, _) => {}
    }
    let (status, latency_ms, error) = match probe {
        Probe::Answered { status, latency_ms } => (Some(status), Some(latency_ms), None),
        Probe::Silent { why } => (None, None, Some(why)),
    };
    Ok(Line {
        url: url.to_owned(),
        up: history.up(),
        status,
        latency_ms,
        median_ms: history.median_ms(),
        since: history.since().to_string(),
        changed,
        checks: history.checks(),
        failures: history.failures(),
        error,
    })
}

fn key(url: &str) -> String {
    format!("url/{url}")
}

/// Reports degraded if a page is down or slow. It never reports unhealthy, because a repair of this
/// module would not help.
#[tidemill_sdk::health]
fn health() -> Result<Status, Error> {
    let config = Config::read()?;
    let mut complaints = Vec::new();
    for url in &config.urls {
        if let Some(history) = state::get::<History>(&key(url))? {
            complaints.extend(complaint(url, &history, config.slow_ms));
        }
    }
    Ok(if complaints.is_empty() { Status::Healthy } else { Status::degraded(complaints.join("; ")) })
}

fn complaint(url: &str, history: &History, slow_ms: u64) -> Option<String> {
    if !history.up() {
        return Some(format!("{url} has been down since {}", history.since()));
    }
    let median = history.median_ms().filter(|&median| median > slow_ms)?;
    Some(format!("{url} takes {median} ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config> {
        let config: Config = serde_json::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn a_config_is_checked_before_anything_is_fetched() {
        assert!(config(r#"{"urls":["https://example.org/"]}"#).is_ok());
        for (text, word) in [
            (r#"{"urls":[]}"#, "urls"),
            (r#"{"urls":["https://example.org/"],"keep":0}"#, "keep"),
            (r#"{"urls":["https://example.org/"],"timeout_ms":0}"#, "timeout_ms"),
            (r#"{"urls":["https://example.org/"],"interval":1}"#, "interval"),
        ] {
            assert!(config(text).unwrap_err().message().contains(word), "{text}");
        }
        let long = format!(r#"{{"urls":["https://example.org/{}"]}}"#, "x".repeat(500));
        assert!(config(&long).unwrap_err().message().contains("520 bytes"));
    }

    #[test]
    fn a_missing_grant_is_not_taken_for_a_page_that_is_down() {
        assert!(probe(Err(Error::new("host/not-granted", "no"))).is_err());
        assert!(probe(Err(Error::retryable("host/http-timeout", "late"))).is_ok());
    }

    #[test]
    fn a_page_that_is_down_or_slow_is_a_complaint() {
        let at = Timestamp::from_millis(0);
        let fast = History::begin(at, &Probe::Answered { status: 200, latency_ms: 5 });
        assert_eq!(complaint("u", &fast, 2_000), None);
        let mut slow = fast.clone();
        slow.observe(at, &Probe::Answered { status: 200, latency_ms: 2_001 }, 60);
        assert_eq!(complaint("u", &slow, 2_000).unwrap(), "u takes 2001 ms");
        slow.observe(at, &Probe::Silent { why: "gone".into() }, 60);
        assert_eq!(complaint("u", &slow, 2_000).unwrap(), "u has been down since 1970-01-01T00:00:00.000Z");
    }
}
