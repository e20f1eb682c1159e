//! Entry points for the fuzzer: the parsers of a request's headers, query and JSON body.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, IF_MATCH, ORIGIN};

use crate::auth;
use crate::request::{JsonBody, RawQuery, headers};

/// The headers that the API knows.
const HEADERS: [HeaderName; 9] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    HOST,
    IF_MATCH,
    ORIGIN,
    headers::IDEMPOTENCY_KEY,
    headers::LAST_EVENT_ID,
    HeaderName::from_static("prefer"),
];

/// Parses `value` as each header that the API knows, once and repeated. Returns whether any parser
/// accepted it.
#[must_use]
pub fn reads_header(value: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(value) else { return false };
    let mut accepted = false;
    for name in HEADERS {
        let mut map = HeaderMap::new();
        map.append(&name, value.clone());
        accepted |= reads(&map);
        map.append(&name, value.clone());
        let _ = reads(&map);
    }
    accepted
}

fn reads(map: &HeaderMap) -> bool {
    let _ = (headers::accepts(map, "text/event-stream"), headers::json(map));
    let key = headers::idempotency_key(map).is_ok_and(|key| key.is_some());
    let wait = headers::wait(map).is_ok_and(|wait| wait.is_some());
    let last = headers::last_event_id(map).is_ok_and(|id| id.is_some());
    let expected = headers::expected(map).is_ok();
    let trusted = auth::check(Some("token"), map).is_ok();
    let _ = auth::check(None, map);
    key | wait | last | trusted | (expected && map.contains_key(IF_MATCH))
}

/// Parses `text` as a query. Returns whether its parameters are well-formed.
#[must_use]
pub fn reads_query(text: &str) -> bool {
    const KNOWN: [&str; 6] = ["limit", "cursor", "label", "since", "follow", "state"];
    let Ok(params) = RawQuery::read(text).and_then(|raw| raw.only(&KNOWN)) else { return false };
    let time = params.time("since").is_ok();
    params.limit().is_ok() & params.labels().is_ok() & params.flag("follow").is_ok() & time
}

/// Parses `body` as the JSON object of a request. Returns whether it is one.
#[must_use]
pub fn reads_body(body: &[u8]) -> bool {
    JsonBody::read(body).is_ok()
}
