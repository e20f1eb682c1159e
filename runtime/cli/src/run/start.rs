//! `tidemill run NAME`: starts a run, and waits for its end if requested.

use std::io::Read as _;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tidemill_api_types::Run;
use tidemill_core::limits::INPUT_BYTES;
use tidemill_core::wire::duration_text;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::query::Query;
use crate::text::{bytes, wait};

/// The first interval between two reads of an awaited run. Each interval is twice the previous one,
/// up to a second.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// The interval above which a change of the run's wait is shown.
const FIRST_WORD: Duration = Duration::from_millis(100);

/// Arguments of `tidemill run`.
#[derive(Debug, clap::Args)]
pub struct RunStartArgs {
    /// The deployment
    name: String,

    /// The input: JSON, or @FILE for a file's JSON, or @- for standard input's; at most 4 MiB
    #[arg(long, short, default_value = "{}", value_name = "JSON|@FILE")]
    input: String,

    /// Wait for the end and print the output; exit code 1 if the run fails
    #[arg(long, short)]
    wait: bool,

    /// Maximum time to wait, e.g. 5m; the run continues after that
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = tidemill_core::wire::parse_span, requires = "wait")]
    timeout: Duration,

    /// Idempotency key: the same key and input start one run
    #[arg(long, value_name = "KEY")]
    key: Option<String>,

    /// Export to run, if the component has more than one
    #[arg(long, value_name = "NAME")]
    export: Option<String>,

    /// A label to find the run by; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,

    /// Priority from 1 (last) to 9 (first); if left out, the deployment's
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    priority: Option<u8>,

    /// Minimum delay before the run starts, e.g. 90s
    #[arg(long, value_name = "TIME", value_parser = tidemill_core::wire::parse_span)]
    delay: Option<Duration>,
}

impl RunStartArgs {
    /// Builds the query of the request.
    fn query(&self) -> Result<Query, CliError> {
        if let Some(label) = self.labels.iter().find(|label| !label.contains('=')) {
            return Err(CliError::usage(format!("`{label}` is not a label"), "write --label NAME=VALUE"));
        }
        let delay = self.delay.map(|delay| duration_text(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)));
        Ok(Query::default()
            .with_each("export", &self.export)
            .with_each("priority", self.priority)
            .with_each("delay", delay)
            .with_each("label", &self.labels))
    }
}

/// Runs the command.
pub async fn run(args: RunStartArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let input = json("--input", &args.input, INPUT_BYTES)?;
    let path = args.query()?.of_path(&format!("/v1/deployments/{}/runs", encoded(&args.name)));
    let headers: Vec<_> = args.key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
    let mut run: Record<Run<'static>> = client.ask(Method::POST, &path, input, &headers).await?;
    if !args.wait {
        printer.record(&run, &run.id.to_string());
        return Ok(());
    }
    // Print the id first, so that a user who interrupts the wait can find the run.
    printer.note(&format!("run {}", run.id));
    run = settled(client, run, args.timeout, printer).await?;
    let text = run.output.as_ref().map(|output| serde_json::to_string_pretty(output).unwrap_or_default());
    if printer.is_json() {
        printer.value(&run);
    } else if let Some(text) = text {
        printer.json_text(&text);
    }
    super::ended(&run)
}

/// Polls a run until it has ended or is parked, and shows what it waits for at each change.
async fn settled(
    client: &Client,
    run: Record<Run<'static>>,
    timeout: Duration,
    printer: &Printer,
) -> Result<Record<Run<'static>>, CliError> {
    let id = run.id;
    let path = format!("/v1/runs/{id}");
    let waiting = async {
        let (mut interval, mut shown) = (FIRST_LOOK, String::new());
        loop {
            let run: Record<Run<'static>> = client.get(&path).await?;
            if run.is_settled() {
                return Ok(run);
            }
            let now = waits(&run);
            // A run that ends in a moment needs no output about its states.
            if interval > FIRST_WORD && now != shown {
                printer.note(&now);
                shown = now;
            }
            tokio::time::sleep(interval).await;
            interval = (interval * 2).min(Duration::from_secs(1));
        }
    };
    tokio::time::timeout(timeout, waiting).await.unwrap_or_else(|_| {
        Err(CliError::failed(format!("run {id} did not end in the time given"))
            .with_fix(format!("the run continues: see `tidemill runs explain {id}`, or wait longer with --timeout")))
    })
}

/// Formats the state of a run that has not ended, on one line.
fn waits(run: &Run<'_>) -> String {
    match (&run.waiting_for, &*run.state) {
        (Some(waiting_for), _) => format!("waits for {}", wait(waiting_for)),
        (None, "queued") => format!("queued; `tidemill runs explain {}` shows why", run.id),
        (None, state) => state.to_owned(),
    }
}

/// Returns the JSON text of at most `max_bytes` that the value of `flag` selects.
///
/// # Errors
/// Wrong usage, if it cannot be read, is longer, or is not JSON.
pub fn json(flag: &str, given: &str, max_bytes: usize) -> Result<Vec<u8>, CliError> {
    // Read one byte more than the maximum, to detect a longer text.
    let limit = max_bytes as u64 + 1;
    let text = match given.strip_prefix('@') {
        None => given.as_bytes().to_vec(),
        Some(name) => {
            let mut text = Vec::new();
            let read = if name == "-" {
                std::io::stdin().lock().take(limit).read_to_end(&mut text)
            } else {
                std::fs::File::open(name).and_then(|file| file.take(limit).read_to_end(&mut text))
            };
            read.map_err(|cause| {
                CliError::usage(
                    format!("cannot read {name}: {cause}"),
                    format!("write {flag} @FILE, or the JSON itself"),
                )
            })?;
            text
        }
    };
    if text.len() > max_bytes {
        return Err(CliError::usage(
            format!("the {} has more than {max_bytes} bytes", flag.trim_start_matches('-')),
            format!("send at most {}; store larger data elsewhere, and send its address", bytes(max_bytes as u64)),
        ));
    }
    match serde_json::from_slice::<Value>(&text) {
        Ok(_) => Ok(text),
        Err(cause) => Err(CliError::usage(
            format!("the {} is not JSON: {cause}", flag.trim_start_matches('-')),
            format!("text needs quotes of its own: {flag} '\"text\"'; a file is {flag} @FILE"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::test_run;

    #[test]
    fn a_wait_is_formatted_on_one_line() {
        let run =
            test_run(&serde_json::json!({ "state": "suspended", "waiting_for": { "any_of": [{ "signal": "paid" }] } }));
        assert_eq!(waits(&run), "waits for signal paid");
        assert!(waits(&test_run(&serde_json::json!({}))).contains("tidemill runs explain 00"));
    }

    #[test]
    fn an_input_is_json_or_wrong_usage() {
        assert_eq!(json("--input", "{\"a\": 1}", 8).unwrap(), b"{\"a\": 1}");
        for bad in ["hello", "", "@/there/is/no/such/file"] {
            assert_eq!(json("--input", bad, 100).unwrap_err().exit_code(), 2, "{bad}");
        }
    }

    #[test]
    fn an_input_that_is_too_long_names_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("\"{}\"", "x".repeat(INPUT_BYTES))).unwrap();
        for given in [format!("@{}", file.path().display()), std::fs::read_to_string(file.path()).unwrap()] {
            let error = json("--input", &given, INPUT_BYTES).unwrap_err();
            assert_eq!((error.exit_code(), &*error.to_string()), (2, "the input has more than 4194304 bytes"));
            assert!(error.fix().unwrap().contains("4.0 MiB"), "{error:?}");
        }
    }
}
