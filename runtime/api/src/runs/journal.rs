//! Reads a run's journal: the recorded results from which the host resumes the run.

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use tidemill_api_types as shapes;
use tidemill_core::journal::{DisplayEntry, JournalPage, PageStart};
use tidemill_core::wire::PageCursor;
use tidemill_core::{Code, RunId};

use crate::wire::FromRecord;

use crate::problem::{ApiResult, Problem};
use crate::request::{PathParams, QueryParams, RawQuery};
use crate::state::ApiState;
use crate::wire::ok;

/// Maximum size of the results on a page, in bytes. The page ends with the entry that reaches it.
const PAGE_BYTES: usize = 1 << 20;

impl<'a> FromRecord<&'a DisplayEntry> for shapes::JournalEntry<'a> {
    fn of(entry: &'a DisplayEntry) -> Self {
        let json = is_json(entry.kind, &entry.result).then(|| shapes::StoredJson::readable(&entry.result)).flatten();
        let bare = json.is_none() && !entry.result.is_empty();
        Self {
            seq: entry.seq,
            kind: entry.kind.into(),
            step: (&entry.step).into(),
            attempt: entry.attempt,
            not_before: entry.not_before.map(shapes::Time),
            at: entry.at.into(),
            fuel: entry.fuel.get(),
            size: entry.size,
            result: json,
            result_base64: bare.then(|| STANDARD.encode(&entry.result)),
            request: entry.request.as_ref().map(|request| String::from_utf8_lossy(request).into_owned()),
            request_hash: entry.hash.map(|hash| HEXLOWER.encode(&hash)),
        }
    }
}

/// Returns whether a result is meant as JSON. The host's own encoding can look like a JSON number
/// by chance, but not like a string, an array or an object.
fn is_json(kind: &str, result: &[u8]) -> bool {
    kind.starts_with("step-") || matches!(result.first(), Some(b'{' | b'[' | b'"'))
}

/// Reads a run's journal
///
/// Returns the host's answers to the run, in order; after a crash, a wait or a failed attempt, the
/// run resumes from them. Entries inside a step are removed when the step ends. A page also ends at
/// 1 MiB of results.
#[utoipa::path(
    get, path = "/v1/runs/{id}/journal", tag = "runs",
    params(
        ("id" = String, Path, description = "the run"),
        ("after" = Option<u64>, Query, description = "only entries after this `seq`"),
        ("limit" = Option<usize>, Query, description = "maximum number of items, 1 to 500; 50 if left out"),
        ("cursor" = Option<String>, Query, description = "`next` of the previous page; not with `after`"),
    ),
    responses((status = 200, body = shapes::List<shapes::JournalEntry<'_>>))
)]
pub async fn journal(
    State(state): State<ApiState>,
    PathParams(id): PathParams<RunId>,
    query: RawQuery,
) -> ApiResult<Response> {
    let params = query.only(&["after", "limit", "cursor"])?;
    let list = format!("journal of {id}");
    let (start, limit) = (begin(&params, &list)?, params.limit()?);
    let JournalPage { entries, next } = state.host.journal(id, start, limit, PAGE_BYTES).await?;
    let next = next.map(|start| PageCursor::new(start.to_bytes()).encode(&list));
    Ok(ok(&shapes::List { items: entries.iter().map(shapes::JournalEntry::of).collect(), next }))
}

/// Parses the start of a page of `list`.
fn begin(params: &QueryParams, list: &str) -> ApiResult<PageStart> {
    match (params.parsed::<u64>("after")?, params.text("cursor")?) {
        (after, None) => Ok(PageStart::after(after.unwrap_or(0))),
        (None, Some(cursor)) => PageCursor::decode(list, cursor)
            .ok()
            .and_then(|cursor| PageStart::from_bytes(cursor.position()))
            .ok_or_else(|| Problem::new(Code::BadCursor, "not a cursor of this run's journal")),
        (Some(_), Some(_)) => Err(Problem::new(Code::BadQuery, "use either `after` or `cursor`")),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;
    use tidemill_core::{Fuel, Timestamp};

    use super::*;

    fn entry(seq: u64, kind: &'static str, result: impl Into<Bytes>) -> DisplayEntry {
        let result = result.into();
        DisplayEntry {
            seq,
            kind,
            step: String::new(),
            attempt: None,
            not_before: None,
            at: Timestamp::from_millis(0),
            fuel: Fuel::new(7),
            size: result.len() as u64,
            result,
            hash: Some([0xab; 16]),
            request: Some(Bytes::from_static(b"GET /\xff")),
        }
    }

    fn written(entry: &DisplayEntry) -> serde_json::Value {
        serde_json::to_value(shapes::JournalEntry::of(entry)).unwrap()
    }

    #[test]
    fn a_result_is_json_or_base64() {
        assert_eq!(written(&entry(1, "step-done", "49"))["result"], json!(49));
        assert_eq!(written(&entry(1, "step-done", r#"{"a": 1}"#))["result"], json!({"a": 1}));
        let packed = written(&entry(1, "context.attempt", "1"));
        assert_eq!((packed.get("result"), &packed["result_base64"]), (None, &json!("MQ==")));
        let packed = written(&entry(1, "http.fetch", b"\x00\xc8\x01".to_vec()));
        assert_eq!(packed["result_base64"], json!("AMgB"));
        assert_eq!((&packed["request"], &packed["size"]), (&json!("GET /\u{fffd}"), &json!(3)));
        assert_eq!(packed["request_hash"], json!("ab".repeat(16)));
        let nothing = written(&entry(1, "step-begun", ""));
        assert!(nothing.get("result").is_none() && nothing.get("result_base64").is_none(), "{nothing}");
    }

    proptest! {
        #[test]
        fn positions_of_any_content_never_panic(after in "\\PC{0,30}", cursor in "\\PC{0,30}", both in any::<bool>()) {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("after", &after);
            if both { query.append_pair("cursor", &cursor); }
            let _ = begin(&RawQuery::read(&query.finish()).unwrap().only(&["after", "cursor"]).unwrap(), "journal");
        }

        #[test]
        fn any_result_is_shown(kind in prop::sample::select(vec!["step-done", "http.fetch"]), result: Vec<u8>) {
            let shown = written(&entry(1, kind, result.clone()));
            let is_shown = shown.get("result").is_some() || shown.get("result_base64").is_some();
            prop_assert_eq!(is_shown, !result.is_empty());
        }
    }
}
