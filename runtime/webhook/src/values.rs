//! Reads the declared values of a verified request.

use http::header::CONTENT_TYPE;
use tidemill_core::flow::Pointer;
use tidemill_core::hook::{ObjectVersion, ParameterName, ValuePlace};

use crate::failure::VerificationFailure;
use crate::headers;
use crate::request::{HookRequest, ProviderId};
use crate::scan::{ScannedValue, scan};

/// Maximum length of an event type, an object's id or a key, in bytes.
const VALUE_BYTES: usize = 255;
/// Maximum number of fields of a form that are read.
const FORM_FIELDS: usize = 1_000;

/// The places that are read, and then their values.
pub(crate) struct ValueReader<'a> {
    request: HookRequest<'a>,
    body: &'a [u8],
    pointers: Vec<&'a Pointer>,
    values: Result<Vec<ScannedValue>, String>,
}

impl<'a> ValueReader<'a> {
    /// Reads the values at `places` in the request, whose decoded body is `body`.
    pub(crate) fn new(request: HookRequest<'a>, body: &'a [u8], places: impl Iterator<Item = &'a ValuePlace>) -> Self {
        let pointer = |place: &'a ValuePlace| match place {
            ValuePlace::Body(pointer) => Some(pointer),
            _ => None,
        };
        let mut pointers: Vec<_> = places.filter_map(pointer).collect();
        pointers.dedup();
        let values = if pointers.is_empty() { Ok(Vec::new()) } else { scan(body, &pointers) };
        Self { request, body, pointers, values }
    }

    fn value(&self, place: &ValuePlace) -> Result<ScannedValue, String> {
        let text = |found: Option<String>| found.map_or(ScannedValue::Missing, ScannedValue::Text);
        match place {
            ValuePlace::Body(pointer) => {
                let values = self.values.as_ref().map_err(Clone::clone)?;
                let at = self.pointers.iter().position(|known| *known == pointer);
                Ok(at.and_then(|at| values.get(at)).cloned().unwrap_or(ScannedValue::Missing))
            }
            ValuePlace::Header(name) => match headers::optional(self.request.headers, name.as_str()) {
                Ok(value) => Ok(text(value.map(str::to_owned))),
                Err(VerificationFailure::HeaderRepeated(_)) => Ok(ScannedValue::Repeated),
                Err(_) => Ok(ScannedValue::Other),
            },
            ValuePlace::Query(name) => Ok(field(self.request.query().unwrap_or_default().as_bytes(), name)),
            ValuePlace::Form(name) if is_form(&self.request) => Ok(field(self.body, name)),
            ValuePlace::Form(_) => Ok(ScannedValue::Missing),
        }
    }

    /// The id of the delivery.
    pub(crate) fn id(&self, place: &ValuePlace) -> Result<ProviderId, VerificationFailure> {
        match self.value(place).map_err(VerificationFailure::BodyNotJson)? {
            ScannedValue::Missing => Err(VerificationFailure::IdMissing),
            ScannedValue::Repeated => Err(VerificationFailure::IdRepeated),
            ScannedValue::Text(text) => ProviderId::new(text).ok_or(VerificationFailure::IdMalformed),
            _ => Err(VerificationFailure::IdMalformed),
        }
    }

    /// A short text without control characters.
    pub(crate) fn text(&self, place: &ValuePlace) -> Option<String> {
        match self.value(place).ok()? {
            ScannedValue::Text(text) if is_short(&text) => Some(text),
            _ => None,
        }
    }

    /// A short text, or the digits of a whole number.
    pub(crate) fn text_or_number(&self, place: &ValuePlace) -> Option<String> {
        match self.value(place).ok()? {
            ScannedValue::Text(text) if is_short(&text) => Some(text),
            ScannedValue::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A version: a whole number, or a time as RFC 3339. In a form, a whole number is digits.
    pub(crate) fn version(&self, place: &ValuePlace) -> Option<ObjectVersion> {
        match self.value(place).ok()? {
            ScannedValue::Integer(number) => Some(ObjectVersion::Number(number)),
            ScannedValue::Text(text) => {
                let digits = matches!(place, ValuePlace::Form(_)) && text.bytes().all(|b| b.is_ascii_digit());
                let number = digits.then(|| text.parse().ok().map(ObjectVersion::Number)).flatten();
                number.or_else(|| ObjectVersion::parse_time(&text))
            }
            _ => None,
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&self, place: &ValuePlace) -> Option<bool> {
        match self.value(place).ok()? {
            ScannedValue::Boolean(value) => Some(value),
            _ => None,
        }
    }
}

fn is_short(text: &str) -> bool {
    (1..=VALUE_BYTES).contains(&text.len()) && !text.chars().any(tidemill_core::wire::text::is_steering)
}

/// Whether the body is a form.
pub(crate) fn is_form(request: &HookRequest<'_>) -> bool {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The value of a field of a form or a query.
fn field(form: &[u8], name: &ParameterName) -> ScannedValue {
    let mut found = form_urlencoded::parse(form).take(FORM_FIELDS).filter(|(known, _)| known == name.as_str());
    match (found.next(), found.next()) {
        (None, _) => ScannedValue::Missing,
        (Some((_, value)), None) => ScannedValue::Text(value.into_owned()),
        _ => ScannedValue::Repeated,
    }
}
