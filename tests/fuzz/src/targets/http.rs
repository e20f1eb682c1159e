//! Headers and queries of requests.

use super::texts;
use crate::Target;

pub struct Header;

impl Target for Header {
    fn name(&self) -> &'static str {
        "header"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&[
            "wait=5, respond-async",
            "Bearer token",
            "\"42\"",
            "*",
            "application/json; charset=utf-8",
            "text/event-stream, */*;q=0.1",
            "http://localhost:7077",
            "[::1]:7077",
            "order-17",
        ])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"wait=",
            b"\"",
            b"W/",
            b";",
            b",",
            b"=",
            b"Bearer ",
            b"999999999999999999999",
            b"-1",
            b" ",
            b"\t",
            b"://",
            b"]",
        ]
    }

    fn max_bytes(&self) -> usize {
        300
    }

    fn check(&self, input: &[u8]) -> bool {
        tidemill_api::fuzzing::reads_header(input)
    }
}

pub struct Query;

impl Target for Query {
    fn name(&self) -> &'static str {
        "query"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&["limit=50&label=team%3Dops&since=2026-01-31T12:00:00Z", "follow=true", "state=parked&state=failed", ""])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"limit=", b"cursor=", b"label=", b"since=", b"follow=", b"state=", b"&", b"%", b"%00", b"%ff", b"+", b"=",
            b"0",
        ]
    }

    fn max_bytes(&self) -> usize {
        500
    }

    fn check(&self, input: &[u8]) -> bool {
        if let Ok(text) = std::str::from_utf8(input) { tidemill_api::fuzzing::reads_query(text) } else { false }
    }
}
