//! Every JSON text that enters the host.

use tidemill_core::wire::json;

use super::texts;
use crate::Target;

/// Maximum size that the check allows, in bytes. Inputs lie on both sides of it.
const LIMIT: usize = 2_000;

pub struct Json;

impl Target for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&[
            r#"{"id": 9007199254740993, "amount": -1.5e3, "tags": ["a", "b"], "ok": true, "none": null}"#,
            r#"[[[[[[[[1]]]]]]]]"#,
            r#""\ud83d\ude00 \u0000 \"quoted\" \/ ü""#,
            "1e308",
            " {} ",
        ])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\\ud83d",
            b"\\ude00",
            b"\\u0000",
            b"1e400",
            b"-0",
            b"1e-400",
            b"null",
            b"true",
            b"[[[[[[[[",
            b"]]]]]]]]",
            b"{\"a\":",
            b"}",
            b"\"",
            b",",
            b":",
            b"18446744073709551616",
            b"\xef\xbb\xbf",
            b"\xf0\x9f\x98\x80",
        ]
    }

    fn max_bytes(&self) -> usize {
        LIMIT + 100
    }

    fn check(&self, input: &[u8]) -> bool {
        let checked = json::check(input, LIMIT).is_ok();
        if let Ok(value) = json::parse(input, LIMIT) {
            assert!(checked, "a text that is parsed passes the check");
            let text = value.to_string();
            assert!(json::parse(text.as_bytes(), usize::MAX).is_ok(), "what was parsed is written and parsed again");
        }
        if checked {
            assert!(input.len() <= LIMIT);
            assert!(
                serde_json::from_slice::<serde_json::Value>(input).is_ok(),
                "a text that passes the check is JSON for other parsers, too"
            );
        }
        checked
    }
}
