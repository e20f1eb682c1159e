//! Reads the name, configuration, grants, limits and retries of a module's `tidemill.toml` for a
//! test. Does not validate the manifest; `tidemill check` does.

use super::grants::Grants;
use super::harness::Harness;
use super::limits::Limits;
use crate::Retry;
use serde_json::{Map, Value};
use std::time::Duration;

impl Harness {
    /// Configures the deployment from a `tidemill.toml`: its name, `[config]`, `[grants]`,
    /// `[limits]` and `[retry]`. Later calls, such as [`Harness::config`], replace these values.
    ///
    /// ```
    /// use tidemill_sdk::testing::Harness;
    ///
    /// // In a project: include_str!("../tidemill.toml")
    /// let harness = Harness::new().manifest(
    ///     r#"
    ///     [deployment]
    ///     name = "orders"
    ///     [config]
    ///     base = "https://api.example.com"
    ///     [grants]
    ///     http = ["https://api.example.com"]
    ///     [limits]
    ///     http_calls = 10
    ///     "#,
    /// );
    /// # let _ = harness;
    /// ```
    ///
    /// # Panics
    /// If the text is not TOML, or one of these sections is not valid.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn manifest(self, text: &str) -> Self {
        match read(text) {
            Ok(Deployed { name, config, grants, limits, retry }) => {
                let named = match name {
                    Some(name) => self.name(name),
                    None => self,
                };
                named.config(config).grants(grants).limits(limits).retry(retry)
            }
            Err(why) => panic!("the manifest: {why}"),
        }
    }
}

#[derive(Debug)]
struct Deployed {
    name: Option<String>,
    config: Value,
    grants: Grants,
    limits: Limits,
    retry: Retry,
}

fn read(text: &str) -> Result<Deployed, String> {
    let table: toml::Table = toml::from_str(text).map_err(|why| why.to_string())?;
    let Value::Object(mut top) = json(toml::Value::Table(table)) else { return Err("it is not a table".to_owned()) };
    let module = top.remove("module");
    // Fields of `[deployment]` may also be at the top level.
    if let Some(Value::Object(deployment)) = top.remove("deployment") {
        top.extend(deployment);
    }
    let name = top.get("name").or_else(|| module.as_ref()?.get("name"));
    Ok(Deployed {
        name: name.and_then(Value::as_str).map(str::to_owned),
        config: top.remove("config").unwrap_or_else(|| Value::Object(Map::new())),
        grants: grants(top.get("grants"))?,
        limits: limits(top.get("limits"))?,
        retry: retry(top.get("retry"))?,
    })
}

fn grants(section: Option<&Value>) -> Result<Grants, String> {
    let mut grants = Grants::none();
    let Some(section) = section else { return Ok(grants) };
    for origin in texts(section.get("http"))? {
        grants = grants.try_http(origin)?;
    }
    for secret in list(section.get("secrets"))? {
        let Some(name) = secret.get("name").and_then(Value::as_str) else {
            return Err("a secret in `[grants]` has no name".to_owned());
        };
        if secret.get("use").is_some_and(|how| how == "sign") {
            grants = grants.signing_secret(name);
        }
        for origin in texts(secret.get("to"))? {
            grants = grants.try_secret(name, origin)?;
        }
    }
    if section.get("ledger").is_some_and(|ledger| ledger == true) {
        grants = grants.ledger();
    }
    for name in texts(section.get("deployments"))? {
        grants = grants.deployment(name);
    }
    for pattern in texts(section.get("topics"))? {
        grants = grants.topic(pattern);
    }
    Ok(grants)
}

fn limits(section: Option<&Value>) -> Result<Limits, String> {
    let default = Limits::default();
    let take = |name: &str, otherwise: u64| match section.and_then(|section| section.get(name)) {
        None => Ok(otherwise),
        Some(value) => size(value).ok_or_else(|| format!("`{name}` under `[limits]` is {value}, which is not a size")),
    };
    Ok(Limits {
        output: take("output", default.output)?,
        log: take("log", default.log)?,
        http_calls: take("http_calls", default.http_calls)?,
        http_bytes: take("http_bytes", default.http_bytes)?,
    })
}

fn retry(section: Option<&Value>) -> Result<Retry, String> {
    let preset = |value: &Value| {
        let read = value.as_str().and_then(|text| text.parse().ok());
        read.ok_or_else(|| format!("{value} is not a preset of `[retry]`"))
    };
    let Some(section) = section else { return Ok(Retry::default()) };
    if section.is_string() {
        return preset(section);
    }
    let mut retry = section.get("preset").map_or(Ok(Retry::default()), preset)?;
    let bad = |name: &str| format!("`{name}` under `[retry]` is not valid");
    if let Some(attempts) = section.get("attempts") {
        retry = retry.max_attempts(attempts.as_u64().and_then(|n| n.try_into().ok()).ok_or_else(|| bad("attempts"))?);
    }
    let time = |name: &str| match section.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().and_then(span).map(Some).ok_or_else(|| bad(name)),
    };
    if let Some(initial) = time("initial")? {
        // An initial delay above the default maximum raises the maximum, unless both are given.
        retry = retry.initial_delay(initial).at_least_max(initial);
    }
    if let Some(max) = time("max")? {
        retry = retry.max_delay(max);
    }
    let thousandths = |name: &str| section.get(name).map(|value| value.as_f64().ok_or_else(|| bad(name))).transpose();
    if let Some(factor) = thousandths("factor")? {
        retry = retry.factor_permille((factor * 1_000.0) as u32);
    }
    if let Some(jitter) = thousandths("jitter")? {
        retry = retry.jitter_permille((jitter * 1_000.0) as u32);
    }
    Ok(retry)
}

fn list(value: Option<&Value>) -> Result<&[Value], String> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(format!("{other} is not a list, which `[grants]` needs")),
    }
}

fn texts(value: Option<&Value>) -> Result<Vec<&str>, String> {
    let text = |item: &'_ Value| item.as_str().is_some();
    match list(value)? {
        items if items.iter().all(text) => Ok(items.iter().filter_map(Value::as_str).collect()),
        items => Err(format!("{} where `[grants]` has texts", Value::from(items.to_vec()))),
    }
}

/// Parses a number of bytes or of requests: `10`, `"64MiB"`, `"500 kB"`.
fn size(value: &Value) -> Option<u64> {
    if let Some(number) = value.as_u64() {
        return Some(number);
    }
    let text = value.as_str()?.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// Parses a duration: `30s`, `1h 30m`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
        let unit: u64 = match unit {
            "ms" | "msec" | "millis" => 1,
            "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
            "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
            "h" | "hr" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            _ => return None,
        };
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after.trim_start();
    }
    (!text.trim().is_empty()).then_some(Duration::from_millis(millis))
}

/// Converts to JSON. TOML's times become text, because JSON has no times.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_a_manifest_says_is_what_a_test_has() {
        let Deployed { name, config, limits, retry, .. } = read(
            r#"
            [module]
            name = "orders"
            [config]
            urls = ["https://example.org/"]
            since = 2026-01-01
            [limits]
            output = "1MiB"
            http_calls = 7
            fuel = 1_000
            [retry]
            attempts = 3
            initial = "10m"
            factor = 1.5
            "#,
        )
        .unwrap();
        assert_eq!(name.as_deref(), Some("orders"));
        assert_eq!(config, json!({ "urls": ["https://example.org/"], "since": "2026-01-01" }));
        assert_eq!(limits, Limits { output: 1 << 20, http_calls: 7, ..Limits::default() });
        let ten = Duration::from_secs(600);
        assert_eq!(retry, Retry::attempts(3).initial_delay(ten).max_delay(ten).factor_permille(1_500));
        assert_eq!(read("retry = \"3x60s\"").unwrap().retry, "3x60s".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        for bad in [
            "[",
            "[grants]\nhttp = \"https://a.example.com\"",
            "[grants]\nhttp = [1]",
            "[grants]\nhttp = [\"example.com\"]",
            "[grants]\nsecrets = [{}]",
            "[limits]\noutput = \"much\"",
            "[retry]\ninitial = \"soon\"",
            "retry = \"often\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_manifest_or_refused(text in "\\PC{0,80}", section in "(grants|limits|retry)", rest in "[a-z]{1,8} = [\\[\\]{}\"a-z0-9:/. ]{0,30}") {
            let _ = (read(&text), read(&format!("[{section}]\n{rest}")), span(&text), size(&Value::from(text)));
        }
    }
}
