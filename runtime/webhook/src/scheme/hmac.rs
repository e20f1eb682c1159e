//! An HMAC that the manifest declares.

use std::borrow::Cow;

use tidemill_core::Timestamp;
use tidemill_core::delivery::BodyDigest;
use tidemill_core::hook::{HmacSpec, SignatureForm, SignedPart, TimePlace, ValuePlace};

use crate::failure::VerificationFailure;
use crate::request::HookRequest;
use crate::scheme::github::check_key;
use crate::scheme::{SIGNATURES, Sender};
use crate::values::is_form;
use crate::{headers, mac, time};

/// Maximum number of fields of a form that is signed.
const FORM_FIELDS: usize = 1_000;

/// The text of a time, and what it means.
type SignedTimeText<'a> = Option<(&'a str, Timestamp)>;

pub(crate) fn verify(
    request: &HookRequest<'_>,
    spec: &HmacSpec,
    public_url: Option<&str>,
    keys: &[&[u8]],
) -> Result<Sender, VerificationFailure> {
    let header = headers::one(request.headers, spec.header.as_str())?;
    let signatures = signatures(header, &spec.form)?;
    let at = signed_time(request, spec, header)?;
    let signed = signed_text(request, spec, public_url, at.map(|(text, _)| text))?;
    let parts: Vec<&[u8]> = signed.iter().map(AsRef::as_ref).collect();
    mac::check(keys, &signatures, |key| {
        check_key(key)?;
        let tag = mac::sign(spec.algorithm, key, &parts);
        Ok(mac::encode(spec.encoding, tag.as_ref()))
    })?;
    if let (Some((_, at)), Some(time)) = (at, &spec.time) {
        time::check(at, request.received_at, time.tolerance_millis, time.tolerance_millis)?;
    }
    let several = spec.signed.several_readings();
    let signed_digest = several.map(|range| BodyDigest::of(&parts[range].concat()));
    Ok(Sender { signed_at: at.map(|(_, at)| at), signed_digest, ..Sender::default() })
}

fn signatures<'a>(header: &'a str, form: &SignatureForm) -> Result<Vec<&'a str>, VerificationFailure> {
    match form {
        SignatureForm::Whole { prefix } => {
            let signature = header.strip_prefix(prefix.as_str()).filter(|rest| !rest.is_empty());
            Ok(vec![signature.ok_or(VerificationFailure::NoSignature)?])
        }
        SignatureForm::Item { name, separator } => {
            let found: Vec<_> = items(header, *separator, name.as_str()).collect();
            match found.len() {
                0 => Err(VerificationFailure::NoSignature),
                1..=SIGNATURES => Ok(found),
                _ => Err(VerificationFailure::TooManySignatures),
            }
        }
    }
}

/// The values of the items with that name.
fn items<'a, 'n>(header: &'a str, separator: char, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
    let item = |item: &'a str| item.trim_matches(' ').split_once('=');
    header.split(separator).filter_map(item).filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

fn signed_time<'a>(
    request: &HookRequest<'a>,
    spec: &HmacSpec,
    header: &'a str,
) -> Result<SignedTimeText<'a>, VerificationFailure> {
    let text = match (spec.time.as_ref().map(|time| &time.place), &spec.form) {
        (None, _) => return Ok(None),
        (Some(TimePlace::Header(name)), _) => headers::one(request.headers, name.as_str())?,
        (Some(TimePlace::Item(name)), SignatureForm::Item { separator, .. }) => {
            let mut found = items(header, *separator, name.as_str());
            match (found.next(), found.next()) {
                (Some(text), None) => text,
                _ => return Err(VerificationFailure::TimeMalformed),
            }
        }
        (Some(TimePlace::Item(_)), SignatureForm::Whole { .. }) => return Err(VerificationFailure::TimeMalformed),
    };
    Ok(Some((text, time::seconds(text)?)))
}

/// The parts of the text that is signed.
fn signed_text<'a>(
    request: &HookRequest<'a>,
    spec: &'a HmacSpec,
    public_url: Option<&'a str>,
    time: Option<&'a str>,
) -> Result<Vec<Cow<'a, [u8]>>, VerificationFailure> {
    if !spec.signed.covers_body() && !request.body.is_empty() {
        return Err(VerificationFailure::BodyNotCovered);
    }
    let parts = spec.signed.parts();
    let value = |part: &'a SignedPart| -> Result<Cow<'a, [u8]>, VerificationFailure> {
        Ok(match part {
            SignedPart::Text(text) => Cow::Borrowed(text.as_bytes()),
            SignedPart::Body => Cow::Borrowed(request.body),
            SignedPart::SortedForm => Cow::Owned(sorted_form(request)?),
            SignedPart::Time => Cow::Borrowed(time.ok_or(VerificationFailure::TimeMalformed)?.as_bytes()),
            SignedPart::Header(name) => Cow::Borrowed(headers::one(request.headers, name.as_str())?.as_bytes()),
            SignedPart::Query => Cow::Borrowed(request.query().unwrap_or_default().as_bytes()),
            SignedPart::Url => {
                let url = public_url.ok_or(VerificationFailure::BodyNotCovered)?;
                Cow::Owned(
                    request.query().map_or_else(|| url.to_owned(), |query| format!("{url}?{query}")).into_bytes(),
                )
            }
        })
    };
    let values = parts.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    if has_one_reading(parts, &values) { Ok(values) } else { Err(VerificationFailure::AmbiguousText) }
}

/// Whether the text between the values shows where each of them ends. The body may contain any
/// text; what precedes it is read from the left, and what follows it from the right.
fn has_one_reading(parts: &[SignedPart], values: &[Cow<'_, [u8]>]) -> bool {
    let is_body = |part: &SignedPart| matches!(part, SignedPart::Body | SignedPart::SortedForm);
    let body = parts.iter().position(is_body).unwrap_or(parts.len());
    let is_text = |at: usize| parts.get(at).is_some_and(|part| matches!(part, SignedPart::Text(_)));
    (0..parts.len()).filter(|at| *at != body && !is_text(*at)).all(|at| {
        let value = &values[at];
        if at < body && is_text(at + 1) {
            let delimiter = &values[at + 1];
            // The value with its delimiter contains the delimiter at its end only.
            find(&[value.as_ref(), delimiter.as_ref()].concat(), delimiter) == Some(value.len())
        } else if at > body && at > 0 && is_text(at - 1) {
            let delimiter = &values[at - 1];
            let text = [delimiter.as_ref(), value.as_ref()].concat();
            find(&text[1..], delimiter).is_none()
        } else {
            true
        }
    })
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len().max(1)).position(|window| window == part)
}

/// The fields of a form, sorted by name, each name followed by its value.
fn sorted_form(request: &HookRequest<'_>) -> Result<Vec<u8>, VerificationFailure> {
    if !is_form(request) && !request.body.is_empty() {
        return Err(VerificationFailure::BodyNotCovered);
    }
    let mut fields: Vec<_> = form_urlencoded::parse(request.body).take(FORM_FIELDS + 1).collect();
    if fields.len() > FORM_FIELDS {
        return Err(VerificationFailure::BodyNotCovered);
    }
    fields.sort();
    Ok(fields
        .into_iter()
        .flat_map(|(name, value)| [name.into_owned(), value.into_owned()])
        .collect::<String>()
        .into_bytes())
}

/// Whether the signature fixes the id at that place. A sorted form does not fix its fields: another
/// form can have the same signed text.
pub(crate) fn covers(spec: &HmacSpec, place: &ValuePlace) -> bool {
    match place {
        ValuePlace::Body(_) | ValuePlace::Form(_) => spec.signed.fixes(&SignedPart::Body),
        ValuePlace::Header(name) => spec.signed.fixes(&SignedPart::Header(name.clone())),
        ValuePlace::Query(_) => spec.signed.fixes(&SignedPart::Query) || spec.signed.fixes(&SignedPart::Url),
    }
}
