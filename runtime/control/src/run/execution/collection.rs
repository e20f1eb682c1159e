//! Collections of revenue streams: what one may be asked for (`{}`, or a period in milliseconds, whole or its end alone), and
//! the streams that those keep to themselves which wait and are not in memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde::Deserialize;
use tidemill_core::{Code, RunId, Timestamp};
use tokio::sync::OwnedMutexGuard;

use crate::error::ControlError;

/// The period that was asked for; what is left out is the stream's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectionRequest {
    /// The first instant; where the last successful collection ended, if left out.
    pub(crate) start: Option<Timestamp>,
    /// The first instant after it; now, if left out.
    pub(crate) end: Option<Timestamp>,
}

impl CollectionRequest {
    /// Reads a run's input.
    ///
    /// # Errors
    /// `host/bad-field` for anything that is no period.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, ControlError> {
        let bad = |why: &dyn std::fmt::Display| {
            ControlError::refused_with(
                Code::BadField,
                format!("a collection is asked for a period: {why}"),
                "Send `{}` for everything since the last collection, or `{\"start\": ms, \"end\": ms}`.",
            )
        };
        let asked: Self = serde_json::from_slice(input).map_err(|error| bad(&error))?;
        match (asked.start, asked.end) {
            (Some(start), Some(end)) if start > end => Err(bad(&"it ends before it starts")),
            (_, Some(end)) if end > Timestamp::MAX => Err(bad(&"its end is beyond the year 9999")),
            _ => Ok(asked),
        }
    }
}

/// The input that asks for a period. Where it says no start, the period begins where the last collection ended; that is known when this
/// one begins.
pub(crate) fn period(start: Option<Timestamp>, end: Timestamp) -> Bytes {
    let end = end.as_millis();
    match start {
        Some(start) => format!(r#"{{"start":{},"end":{end}}}"#, start.as_millis()).into(),
        None => format!(r#"{{"end":{end}}}"#).into(),
    }
}

/// The streams that suspended collections have to themselves.
#[derive(Debug, Default)]
pub(crate) struct SuspendedCollections(Mutex<HashMap<RunId, OwnedMutexGuard<()>>>);

impl SuspendedCollections {
    /// A collection left memory, and its stream is its own still.
    pub(crate) fn keep(&self, id: RunId, guard: OwnedMutexGuard<()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, guard);
    }

    /// It is taken in hand again, or has ended.
    pub(crate) fn take(&self, id: RunId) -> Option<OwnedMutexGuard<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_period_is_whole_open_or_empty() {
        assert_eq!(CollectionRequest::parse(b"{}").unwrap(), CollectionRequest::default());
        let whole = CollectionRequest::parse(br#"{"start": 5, "end": 9}"#).unwrap();
        assert_eq!((whole.start, whole.end), (Some(Timestamp::from_millis(5)), Some(Timestamp::from_millis(9))));
        for bad in ["", "[]", "7", r#"{"start": 9, "end": 5}"#, r#"{"begin": 5}"#, r#"{"end": -1}"#] {
            assert_eq!(CollectionRequest::parse(bad.as_bytes()).unwrap_err().code(), Code::BadField, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = CollectionRequest::parse(&bytes);
        }
    }
}
