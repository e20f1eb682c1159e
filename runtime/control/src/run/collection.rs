//! Collections of revenue streams: the input of a collection (`{}`, or a period in milliseconds,
//! complete or only its end), and the stream locks of suspended collections.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use tidemill_core::{Code, RunId, Timestamp};
use tokio::sync::OwnedMutexGuard;

use crate::error::ControlError;

/// The requested period. Omitted fields are the stream's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CollectionRequest {
    /// The first instant. By default, where the last successful collection ended.
    pub(crate) start: Option<Timestamp>,
    /// The first instant after the period. By default, now.
    pub(crate) end: Option<Timestamp>,
}

impl CollectionRequest {
    /// Parses a run's input.
    ///
    /// # Errors
    /// `host/bad-field` if it is not a period.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, ControlError> {
        let bad = |why: &dyn std::fmt::Display| {
            ControlError::refused_with(
                Code::BadField,
                format!("the input of a collection is a period: {why}"),
                "Send `{}` for everything since the last collection, or `{\"start\": ms, \"end\": ms}`.",
            )
        };
        let request: Self = serde_json::from_slice(input).map_err(|error| bad(&error))?;
        match (request.start, request.end) {
            (Some(start), Some(end)) if start > end => Err(bad(&"it ends before it starts")),
            (_, Some(end)) if end > Timestamp::MAX => Err(bad(&"its end is beyond the year 9999")),
            _ => Ok(request),
        }
    }
}

/// Returns the input that requests a period. Without `start`, the period starts where the last
/// collection ended, which is read when the run starts.
pub(crate) fn period(start: Option<Timestamp>, end: Timestamp) -> Bytes {
    let end = end.as_millis();
    match start {
        Some(start) => format!(r#"{{"start":{},"end":{end}}}"#, start.as_millis()).into(),
        None => format!(r#"{{"end":{end}}}"#).into(),
    }
}

/// The stream locks of suspended collections.
#[derive(Debug, Default)]
pub(crate) struct SuspendedCollections(Mutex<HashMap<RunId, OwnedMutexGuard<()>>>);

impl SuspendedCollections {
    /// Keeps the stream lock of a collection that left memory.
    pub(crate) fn insert(&self, id: RunId, guard: OwnedMutexGuard<()>) {
        self.0.lock().insert(id, guard);
    }

    /// Takes the lock of a collection that was claimed again or has ended.
    pub(crate) fn remove(&self, id: RunId) -> Option<OwnedMutexGuard<()>> {
        self.0.lock().remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn periods_are_complete_open_or_empty() {
        assert_eq!(CollectionRequest::parse(b"{}").unwrap(), CollectionRequest::default());
        let whole = CollectionRequest::parse(br#"{"start": 5, "end": 9}"#).unwrap();
        assert_eq!((whole.start, whole.end), (Some(Timestamp::from_millis(5)), Some(Timestamp::from_millis(9))));
        for bad in ["", "[]", "7", r#"{"start": 9, "end": 5}"#, r#"{"begin": 5}"#, r#"{"end": -1}"#] {
            assert_eq!(CollectionRequest::parse(bad.as_bytes()).unwrap_err().code(), Code::BadField, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = CollectionRequest::parse(&bytes);
        }
    }
}
