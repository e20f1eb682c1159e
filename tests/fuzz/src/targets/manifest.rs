//! Manifests of deployments, in JSON and in TOML, and schemas of components.

use tidemill_core::manifest::ModuleFile;
use tidemill_core::{Manifest, schema};

use super::texts;
use crate::Target;

const WORDS: &[&[u8]] = &[
    b"\"schedules\":[{\"name\":\"s\",\"cron\":\"* * * * *\"}]",
    b"\"limits\":{",
    b"\"fuel\":",
    b"\"memory\":\"64MiB\"",
    b"\"http\":[\"https://*.example.org:8443\"]",
    b"\"secrets\":",
    b"\"rate\":{\"runs\":5,\"per\":\"1s\"}",
    b"\"1h\"",
    b"-1",
    b"99999999999999999999",
    b"\"every\":\"1s\"",
    b"\"overlap\":\"queue-one\"",
    b"\"time_zone\":\"Europe/Berlin\"",
    b"null",
    b"[]",
    b"{}",
    b"\n[limits]\n",
    b"\n[[schedule]]\n",
    b"fuel = 5\n",
    b"name = \"x\"\n",
    b"'''",
    b"\"\"\"",
    b"#",
];

pub struct ManifestJson;

impl Target for ManifestJson {
    fn name(&self) -> &'static str {
        "manifest"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&[
            r#"{"module": "hello@0.1.0"}"#,
            r#"{"module": "a@1.0.0", "concurrency": 5, "limits": {"fuel": 5000000, "memory": "64MiB", "active": "5s"},
                "grants": {"http": ["https://api.example.org"]}, "config": {"a": "b"}, "labels": {"team": "ops"}}"#,
            r#"{"module": "a@1.0.0", "schedules": [{"name": "s", "cron": "0 9 * * MON-FRI", "time_zone": "Europe/Berlin",
                "input": {"n": 1}, "overlap": "skip", "jitter": "5s"}, {"name": "t", "every": "15m"}]}"#,
            r#"{"module": "a@1.0.0", "subscriptions": [{"name": "s", "topic": "orders.*"}]}"#,
            r#"{"module": "a@1.0.0", "concurrency_key": "/customer", "concurrency_per_key": 2,
                "rate": {"runs": 5, "per": "1s"}}"#,
            r#"{"module": "a@1.0.0", "debounce": {"key": "/id", "wait": "1s"}, "queue": 100}"#,
        ])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        WORDS
    }

    fn max_bytes(&self) -> usize {
        3_000
    }

    fn check(&self, input: &[u8]) -> bool {
        let _ = schema::read_section(input);
        match Manifest::parse_json(input) {
            Ok(manifest) => {
                let text = manifest.to_json().to_string();
                let again = Manifest::parse_json(text.as_bytes());
                assert_eq!(
                    again.as_ref().ok(),
                    Some(&manifest),
                    "a manifest is written and read again without a change"
                );
                true
            }
            Err(problems) => {
                assert!(!problems.is_empty(), "a rejected manifest names a problem");
                false
            }
        }
    }
}

pub struct ProjectFile;

impl Target for ProjectFile {
    fn name(&self) -> &'static str {
        "project-file"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![
            include_bytes!("../../../../examples/hello/tidemill.toml").to_vec(),
            include_bytes!("../../../../examples/order-saga/tidemill.toml").to_vec(),
            include_bytes!("../../../../guests/usage-billing/tidemill.toml").to_vec(),
        ]
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        WORDS
    }

    fn max_bytes(&self) -> usize {
        6_000
    }

    fn check(&self, input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        match ModuleFile::parse_toml(text) {
            Ok(_) => true,
            Err(problems) => {
                assert!(!problems.is_empty(), "a rejected file names a problem");
                false
            }
        }
    }
}
