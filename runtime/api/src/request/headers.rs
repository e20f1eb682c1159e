//! Parses the headers that the API knows. It ignores all others.

use std::time::Duration;

use axum::http::header::{ACCEPT, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use tidemill_core::{Code, Revision};

use crate::config::{KEY_BYTES, WAIT_MOST};
use crate::problem::{ApiResult, Problem, quoted};

/// Name of the header that identifies a request, so that it is carried out once.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Name of the header with the position from which an event feed continues.
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Reads a header that may occur once, as text.
///
/// # Errors
/// [`Code::BadHeader`] if it is repeated or is not ASCII.
pub fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> ApiResult<Option<&'a str>> {
    let mut all = headers.get_all(name).iter();
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err(Problem::new(Code::BadHeader, format!("`{name}` occurs more than once")));
    }
    match first.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(Problem::new(Code::BadHeader, format!("`{name}` is not visible ASCII"))),
    }
}

fn bad(name: &HeaderName, value: &str, rule: &str) -> Problem {
    Problem::new(Code::BadHeader, format!("`{name}: {}`: {rule}", quoted(value)))
}

/// Returns how long the caller wants to wait for the end of a run (RFC 7240). Other preferences are
/// ignored, as the RFC requires.
///
/// # Errors
/// [`Code::BadHeader`] if `wait` is not a whole number of seconds.
pub fn wait(headers: &HeaderMap) -> ApiResult<Option<Duration>> {
    let mut wait = None;
    for value in headers.get_all(PREFER) {
        let text = value.to_str().map_err(|_| Problem::new(Code::BadHeader, "`prefer` is not visible ASCII"))?;
        for preference in text.split(',') {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            if !name.trim().eq_ignore_ascii_case("wait") || wait.is_some() {
                continue;
            }
            let value = value.trim().trim_matches('"');
            if value.is_empty() || value.len() > 9 || !value.bytes().all(|b| b.is_ascii_digit()) {
                return Err(bad(&PREFER, text, "`wait` is a whole number of seconds"));
            }
            wait = value.parse().ok().map(|seconds| Duration::from_secs(seconds).min(WAIT_MOST));
        }
    }
    Ok(wait)
}

/// Reads the caller's idempotency key.
///
/// # Errors
/// [`Code::BadHeader`] if it is empty, longer than 255 bytes or not visible ASCII.
pub fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    match one(headers, &IDEMPOTENCY_KEY)? {
        Some(key) if key.is_empty() || key.len() > KEY_BYTES => {
            Err(bad(&IDEMPOTENCY_KEY, key, "it has 1 to 255 visible ASCII characters"))
        }
        key => Ok(key.map(str::to_owned)),
    }
}

/// The caller's precondition for a change of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevisionCondition {
    /// No precondition.
    Anything,
    /// The deployment exists.
    Something,
    /// The deployment does not exist.
    Nothing,
    /// The deployment is at this revision.
    At(Revision),
}

/// Reads the precondition in `If-Match` or `If-None-Match: *`.
///
/// # Errors
/// [`Code::BadHeader`] if the value is not an entity tag of this API, or if both headers are
/// present.
pub fn expected(headers: &HeaderMap) -> ApiResult<RevisionCondition> {
    match (one(headers, &IF_MATCH)?, one(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(RevisionCondition::Anything),
        (Some(_), Some(_)) => Err(Problem::new(Code::BadHeader, "use either `if-match` or `if-none-match`")),
        (Some("*"), None) => Ok(RevisionCondition::Something),
        (None, Some("*")) => Ok(RevisionCondition::Nothing),
        (None, Some(other)) => Err(bad(&IF_NONE_MATCH, other, "only `*` is understood: it must not be there yet")),
        (Some(tag), None) => tag
            .strip_prefix('"')
            .and_then(|tag| tag.strip_suffix('"'))
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(|number| RevisionCondition::At(Revision::new(number)))
            .ok_or_else(|| bad(&IF_MATCH, tag, "it is the `ETag` of the deployment, such as `\"3\"`")),
    }
}

/// Returns the entity tag of a revision.
#[must_use]
pub fn etag(revision: Revision) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"{revision}\"")).ok()
}

/// Returns the position at which the caller's event feed ended.
///
/// # Errors
/// [`Code::BadHeader`] if it is not an id of the feed.
pub fn last_event_id(headers: &HeaderMap) -> ApiResult<Option<u64>> {
    match one(headers, &LAST_EVENT_ID)? {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| bad(&LAST_EVENT_ID, text, "it is the id of an event")),
    }
}

/// Returns whether the caller accepts `media_type` by name.
#[must_use]
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|kind| essence(kind).eq_ignore_ascii_case(media_type))
}

/// Checks that a body is declared as JSON, or has no declared type.
///
/// # Errors
/// [`Code::UnsupportedMediaType`].
pub fn json(headers: &HeaderMap) -> ApiResult<()> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    // Fast path for the most common value.
    if kind.as_bytes() == b"application/json" {
        return Ok(());
    }
    content_type(headers, |kind| {
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    })
    .map_err(|problem| problem.fix("Send `Content-Type: application/json`."))
}

fn content_type(headers: &HeaderMap, good: impl Fn(&str) -> bool) -> ApiResult<()> {
    let Some(text) = one(headers, &CONTENT_TYPE)? else { return Ok(()) };
    if good(&essence(text).to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, format!("the body is `{}`", quoted(text))))
}

/// Returns a media type without its parameters.
fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn prefer_is_parsed_by_rfc_7240() {
        assert_eq!(wait(&HeaderMap::new()).unwrap(), None);
        assert_eq!(wait(&with(PREFER, "wait=5")).unwrap(), Some(Duration::from_secs(5)));
        assert_eq!(wait(&with(PREFER, "respond-async, Wait = \"7\"; x=y")).unwrap(), Some(Duration::from_secs(7)));
        assert_eq!(wait(&with(PREFER, "wait=999999")).unwrap(), Some(WAIT_MOST));
        assert_eq!(wait(&with(PREFER, "handling=lenient")).unwrap(), None);
        for bad in ["wait=soon", "wait=", "wait", "wait=-1", "wait=1.5", "wait=99999999999999999999"] {
            assert!(wait(&with(PREFER, bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn if_match_accepts_the_tags_of_the_api() {
        assert_eq!(expected(&with(IF_MATCH, "\"3\"")).unwrap(), RevisionCondition::At(Revision::new(3)));
        assert_eq!(expected(&with(IF_MATCH, "*")).unwrap(), RevisionCondition::Something);
        assert_eq!(expected(&with(IF_NONE_MATCH, "*")).unwrap(), RevisionCondition::Nothing);
        assert_eq!(etag(Revision::new(3)).unwrap(), "\"3\"");
        for bad in ["3", "W/\"3\"", "\"x\"", "\"1\", \"2\"", "\"+3\"", ""] {
            assert!(expected(&with(IF_MATCH, bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_outside_their_bounds_are_refused() {
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, &"k".repeat(255))).unwrap().is_some());
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, &"k".repeat(256))).is_err());
        assert!(idempotency_key(&with(IDEMPOTENCY_KEY, "")).is_err());
    }

    #[test]
    fn media_types_may_have_parameters() {
        assert!(json(&with(CONTENT_TYPE, "application/JSON; charset=utf-8")).is_ok());
        assert!(json(&with(CONTENT_TYPE, "application/cloudevents+json")).is_ok());
        assert!(json(&with(CONTENT_TYPE, "text/plain")).is_err());
        assert!(accepts(&with(ACCEPT, "text/html, text/event-stream;q=0.9"), "text/event-stream"));
        assert!(!accepts(&with(ACCEPT, "*/*"), "text/event-stream"));
    }

    proptest! {
        #[test]
        fn headers_of_any_bytes_never_panic(value in prop::collection::vec(0x20u8..=0xff, 0..400)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for name in [PREFER, IDEMPOTENCY_KEY, IF_MATCH, IF_NONE_MATCH, LAST_EVENT_ID, CONTENT_TYPE, ACCEPT] {
                let headers = HeaderMap::from_iter([(name, value.clone())]);
                let _ = (wait(&headers), idempotency_key(&headers), expected(&headers), last_event_id(&headers));
                let _ = (json(&headers), accepts(&headers, "text/event-stream"));
            }
        }

        #[test]
        fn a_valid_prefix_with_any_suffix_never_panics(tail in "[ -~]{0,40}") {
            let headers = HeaderMap::from_iter([
                (PREFER, HeaderValue::from_str(&format!("wait={tail}")).unwrap()),
                (IF_MATCH, HeaderValue::from_str(&format!("\"{tail}")).unwrap()),
            ]);
            let _ = (wait(&headers), expected(&headers));
        }
    }
}
