//! Reads a module's `tidemill.toml` for a test, with the host's own reader.

use super::grants::Grants;
use super::harness::Harness;
use super::limits::Limits;
use tidemill_core::InputProblem;
use tidemill_core::manifest::ModuleFile;

impl Harness {
    /// Configures the deployment from a `tidemill.toml`: its name, `[config]`, `[grants]`,
    /// `[limits]`, `[retry]` and `[ledger]`. Later calls, such as [`Harness::config`], replace
    /// these values. The text may leave out which module is deployed.
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
    /// If a host would refuse the manifest. The test fails and prints all of its problems.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn manifest(self, text: &str) -> Self {
        match read(text) {
            Ok(ModuleFile { manifest, .. }) => {
                let named = match manifest.name {
                    Some(name) => self.name(name.as_str()),
                    None => self,
                };
                let config: serde_json::Value = serde_json::from_str(&manifest.config).unwrap_or_default();
                let grants = Grants::of_manifest(manifest.grants);
                named
                    .config(config)
                    .grants(grants)
                    .limits(Limits::of_manifest(&manifest.limits))
                    .run_retry(manifest.retry)
                    .ledger(manifest.ledger)
            }
            Err(problems) => {
                let lines: Vec<_> = problems.iter().map(|problem| format!("\n  {problem}")).collect();
                panic!("the manifest: {}", lines.concat());
            }
        }
    }
}

fn read(text: &str) -> Result<ModuleFile, Vec<InputProblem>> {
    ModuleFile::parse_toml(text).or_else(|problems| {
        if problems.iter().any(|problem| problem.pointer == "/module") {
            ModuleFile::parse_toml(&format!("module = \"test@0.0.0\"\n{text}"))
        } else {
            Err(problems)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::retry::RetryPolicy;

    #[test]
    fn a_part_of_a_manifest_is_read_without_its_module() {
        let file = read(
            r#"
            [config]
            urls = ["https://example.org/"]
            since = 2026-01-01
            [limits]
            output = "1MiB"
            http_calls = 7
            [retry]
            attempts = 3
            initial = "10m"
            "#,
        )
        .unwrap();
        assert_eq!(file.manifest.config, r#"{"since":"2026-01-01","urls":["https://example.org/"]}"#);
        let limits = Limits::of_manifest(&file.manifest.limits);
        assert_eq!(limits, Limits { output: 1 << 20, http_calls: 7, ..Limits::default() });
        let expected =
            RetryPolicy { max_attempts: 3, initial_millis: 600_000, max_millis: 600_000, ..RetryPolicy::default() };
        assert_eq!(file.manifest.retry.policy, expected);
        assert_eq!(read("retry = \"3x60s\"").unwrap().manifest.retry.policy, RetryPolicy::preset("3x60s").unwrap());
    }

    #[test]
    fn a_manifest_that_a_host_refuses_is_refused() {
        for bad in [
            "[",
            "[grants]\nhttp = [1]",
            "[grants]\nhttp = [\"example.com\"]",
            "[grants]\nsecrets = [{}]",
            "[limits]\noutput = \"much\"",
            "[limits]\nfule = 1",
            "[retry]\ninitial = \"soon\"",
            "retry = \"often\"",
            "[module]\nname = \"orders\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
