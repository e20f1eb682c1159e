//! Short texts with a grammar: names, topics, patterns, references, identifiers, cursors.

use std::fmt::Display;
use std::str::FromStr;

use tidemill_core::wire::cursor::PageCursor;
use tidemill_core::{
    ComponentDigest, DeploymentName, EventId, ModuleName, RunId, ScheduleName, Timestamp, Topic, TopicPattern,
};

use super::texts;
use crate::Target;

pub struct Names;

impl Target for Names {
    fn name(&self) -> &'static str {
        "names"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        texts(&[
            "usage-billing",
            "orders.eu.placed",
            "orders.*.placed.**",
            &RunId::new(Timestamp::from_millis(1_700_000_000_000), 7).to_string(),
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            &PageCursor::new(b"orders".to_vec()).encode("runs"),
        ])
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[b"**", b"*", b".", b"..", b"/", b"-", b"_", b"@", b"%", b"sha256:", b"A", b"0", b"\xc3\xbc"]
    }

    fn max_bytes(&self) -> usize {
        400
    }

    fn check(&self, input: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(input) else { return false };
        is_cursor(text)
            | survives::<DeploymentName>(text)
            | survives::<ModuleName>(text)
            | survives::<ScheduleName>(text)
            | survives::<RunId>(text)
            | survives::<EventId>(text)
            | survives::<ComponentDigest>(text)
            | survives::<Topic>(text)
            | survives::<TopicPattern>(text)
    }
}

fn is_cursor(text: &str) -> bool {
    let Ok(cursor) = PageCursor::decode("runs", text) else { return false };
    let again = PageCursor::decode("runs", &cursor.encode("runs"));
    assert_eq!(again.as_ref(), Ok(&cursor), "a cursor changes when it is written and read again");
    true
}

/// Whether `text` is a `T`. If so, it is shown and read again without a change.
fn survives<T: FromStr + Display + PartialEq>(text: &str) -> bool {
    let Ok(name) = text.parse::<T>() else { return false };
    let again = name.to_string().parse::<T>();
    assert!(again.is_ok_and(|again| again == name), "`{text}` changes when it is shown and read again");
    true
}
