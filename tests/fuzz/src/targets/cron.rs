//! Cron expressions and their next times.

use chrono::{DateTime, NaiveDateTime};
use tidemill_core::schedule::CronExpr;

use super::texts;
use crate::Target;

pub struct Cron;

impl Target for Cron {
    fn name(&self) -> &'static str {
        "cron"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&[
            "*/5 * * * *",
            "0 0 9 * * MON-FRI",
            "30 2 L * *",
            "0 12 15W * *",
            "0 0 * * FRI#2",
            "@daily",
            "0 0 29 2 *",
            "0,30 8-18/2 1,15 JAN-MAR 1-5",
        ])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"*",
            b"*/",
            b"-",
            b",",
            b"L",
            b"LW",
            b"W",
            b"#",
            b"?",
            b" ",
            b"MON",
            b"sun",
            b"DEC",
            b"@hourly",
            b"59",
            b"60",
            b"31",
            b"32",
            b"4294967296",
            b"2100",
            b"/0",
            b"7",
        ]
    }

    fn max_bytes(&self) -> usize {
        300
    }

    fn check(&self, input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        let Ok(expr) = text.parse::<CronExpr>() else { return false };
        let again = expr.as_str().parse::<CronExpr>();
        assert_eq!(again.as_ref().ok(), Some(&expr), "an expression is read as it is shown");
        let mut at: NaiveDateTime = DateTime::from_timestamp(1_709_164_799, 0).unwrap_or_default().naive_utc();
        for _ in 0..2 {
            let Some(next) = expr.next_wall(at) else { break };
            assert!(next > at, "the next time lies after {at}");
            at = next;
        }
        true
    }
}
