//! Reads and writes the scheme of a hook: the fields that say how a request is verified.

use serde_json::{Map, Value};

use crate::hook::{
    HeaderName, HmacAlgorithm, HmacPreset, HmacSpec, HookScheme, PaypalCheck, SignatureEncoding, SignatureForm,
    SignedPart, SignedTemplate, SignedTime, TOLERANCE_MAX_MILLIS, TOLERANCE_MILLIS, TimePlace, TokenPlace,
    WEBHOOK_ID_BYTES,
};
use crate::ids::SecretName;
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, ObjectReader, duration_text};

/// Maximum length of the prefix of a signature, in bytes.
const PREFIX_BYTES: usize = 64;
/// The default character between the items of a header.
const SEPARATOR: char = ',';

/// The schemes by name.
#[derive(Clone, Copy)]
enum SchemeName {
    Stripe,
    Paypal,
    StandardWebhooks,
    Github,
    Hmac,
    Token,
    None,
}

const SCHEMES: [(&str, SchemeName); 7] = [
    ("stripe", SchemeName::Stripe),
    ("paypal", SchemeName::Paypal),
    ("standard-webhooks", SchemeName::StandardWebhooks),
    ("github", SchemeName::Github),
    ("hmac", SchemeName::Hmac),
    ("token", SchemeName::Token),
    ("none", SchemeName::None),
];

/// Takes the fields of the scheme, and returns it with the preset that the manifest names.
pub(super) fn read(
    object: &mut ObjectReader,
    problems: &mut Vec<InputProblem>,
) -> Option<(HookScheme, Option<HmacPreset>)> {
    let fix = "Say how a request is verified, such as scheme = \"stripe\"; scheme = \"none\" accepts every request.";
    let scheme = object.require("scheme", fix, problems).and_then(|field| field.choice(&SCHEMES, problems));
    let Some(scheme) = scheme else {
        // The fields of an unknown scheme are not unknown fields.
        for name in ["secret", "preset", "webhook_id", "verify", "header", "token_in", "algorithm", "encoding"] {
            drop(object.take(name));
        }
        for name in ["prefix", "item", "separator", "signed", "time", "tolerance"] {
            drop(object.take(name));
        }
        return None;
    };
    Some((
        match scheme {
            SchemeName::Stripe => HookScheme::Stripe { secret: secret(object, problems)? },
            SchemeName::Paypal => paypal(object, problems)?,
            SchemeName::StandardWebhooks => HookScheme::StandardWebhooks { secret: secret(object, problems)? },
            SchemeName::Github => HookScheme::Github { secret: secret(object, problems)? },
            SchemeName::Hmac => return hmac(object, problems),
            SchemeName::Token => token(object, problems)?,
            SchemeName::None => HookScheme::None,
        },
        None,
    ))
}

fn secret(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<SecretName> {
    let fix = "Name the secret with the key, such as secret = \"stripe-webhook\".";
    object.require("secret", fix, problems).and_then(|field| field.parse(problems))
}

fn paypal(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<HookScheme> {
    let fix = "Copy the id of the webhook from PayPal's dashboard, such as webhook_id = \"1JE4291016473214C\".";
    let webhook_id = object.require("webhook_id", fix, problems).and_then(|field| {
        let pointer = field.pointer.clone();
        let id = field.text(256, problems)?;
        // A signature covers the id between two `|`.
        let good = (1..=WEBHOOK_ID_BYTES).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !good {
            problems.push(InputProblem::field(pointer, format!("`{}` is not an id of a webhook", shown(&id)), fix));
        }
        good.then_some(id)
    });
    let choices = [("certificate", false), ("postback", true)];
    let postback = object.take("verify").and_then(|field| field.choice(&choices, problems)).unwrap_or(false);
    let check = if postback {
        let fix = "Name the secret with the credentials of PayPal's API, `client-id:client-secret`.";
        let client = object.require("secret", fix, problems).and_then(|field| field.parse(problems));
        PaypalCheck::Postback { client: client? }
    } else {
        PaypalCheck::Certificate
    };
    Some(HookScheme::Paypal { webhook_id: webhook_id?, check })
}

fn token(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<HookScheme> {
    const FIX: &str = "Write token_in = \"bearer\", \"basic\" or \"query:NAME\", or header = \"X-Gitlab-Token\".";
    let secret = secret(object, problems);
    let header: Option<Option<HeaderName>> = object.take("header").map(|field| field.parse(problems));
    let place = object.take("token_in").map(|field| {
        let pointer = field.pointer.clone();
        let text = field.text(256, problems)?;
        let place = match text.as_str() {
            "bearer" => Some(TokenPlace::Bearer),
            "basic" => Some(TokenPlace::Basic),
            _ => text.strip_prefix("query:").and_then(|name| name.parse().ok()).map(TokenPlace::Query),
        };
        if place.is_none() {
            let message = format!("`{}` is not a place of a token", shown(&text));
            problems.push(InputProblem::field(&pointer, message, FIX));
        }
        Some((pointer, place?))
    });
    let place = match (header, place) {
        (Some(_), Some(Some((pointer, _)))) => {
            problems.push(InputProblem::field(pointer, "both `header` and `token_in` are given", "Keep one of them."));
            None
        }
        (Some(header), _) => header.map(TokenPlace::Header),
        (None, Some(place)) => place.map(|(_, place)| place),
        (None, None) => Some(TokenPlace::Bearer),
    };
    Some(HookScheme::Token { secret: secret?, place: place? })
}

fn hmac(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<(HookScheme, Option<HmacPreset>)> {
    let secret = secret(object, problems);
    let presets = HmacPreset::ALL.map(|preset| (preset.as_str(), preset));
    let Some(field) = object.take("preset") else {
        let spec = declared(object, problems);
        return Some((HookScheme::Hmac { secret: secret?, spec: spec? }, None));
    };
    let preset = field.choice(&presets, problems);
    let mut spec = preset.and_then(HmacPreset::spec);
    if spec.as_ref().is_none_or(|spec| spec.time.is_some()) {
        let tolerance = tolerance(object, problems);
        if let Some(time) = spec.as_mut().and_then(|spec| spec.time.as_mut()) {
            time.tolerance_millis = tolerance.unwrap_or(time.tolerance_millis);
        }
    }
    Some((HookScheme::Hmac { secret: secret?, spec: spec? }, preset))
}

fn tolerance(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<u64> {
    object.take("tolerance").and_then(|field| field.duration(1_000..=TOLERANCE_MAX_MILLIS, problems))
}

/// Reads an HMAC without a preset.
fn declared(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<HmacSpec> {
    let fix = "Name a preset, such as preset = \"slack\", or the header with the signature, such as header = \"X-Signature\".";
    let header = object.require("header", fix, problems).and_then(|field| field.parse(problems));
    let algorithms = HmacAlgorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    let algorithm = object.take("algorithm").and_then(|field| field.choice(&algorithms, problems));
    let encodings = SignatureEncoding::ALL.map(|encoding| (encoding.as_str(), encoding));
    let encoding = object.take("encoding").and_then(|field| field.choice(&encodings, problems));
    let form = form(object, problems);
    let signed_fix = "Write what the provider signs, such as signed = \"{body}\" or signed = \"{time}.{body}\".";
    let signed: Option<SignedTemplate> =
        object.require("signed", signed_fix, problems).and_then(|field| field.parse(problems));
    let time = time(object, form.as_ref(), signed.as_ref(), problems);
    Some(HmacSpec {
        header: header?,
        algorithm: algorithm.unwrap_or(HmacAlgorithm::Sha256),
        encoding: encoding.unwrap_or(SignatureEncoding::Hex),
        form: form?,
        signed: signed?,
        time: time?,
    })
}

/// Reads `prefix`, `item` and `separator`.
fn form(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<SignatureForm> {
    let prefix = object.take("prefix");
    let item = object.take("item");
    let separator = object.take("separator").map(|field| {
        let choices = [(",", ','), (";", ';'), ("&", '&'), (" ", ' ')];
        (field.pointer.clone(), field.choice(&choices, problems))
    });
    match (prefix, item) {
        (Some(_), Some(field)) => {
            let fix = "Keep `prefix` if the header is one signature, or `item` if it is a list.";
            problems.push(InputProblem::field(field.pointer, "both `prefix` and `item` are given", fix));
            None
        }
        (None, Some(field)) => {
            let separator = separator.map_or(Some(SEPARATOR), |(_, separator)| separator);
            Some(SignatureForm::Item { name: field.parse(problems)?, separator: separator? })
        }
        (prefix, None) => {
            if let Some((pointer, _)) = separator {
                let fix = "Add `item`, such as item = \"v1\", or remove `separator`.";
                problems.push(InputProblem::field(pointer, "there are no items to separate", fix));
            }
            let prefix = prefix.map_or(Some(String::new()), |field| prefix_text(field, problems));
            Some(SignatureForm::Whole { prefix: prefix? })
        }
    }
}

fn prefix_text(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<String> {
    let pointer = field.pointer.clone();
    let prefix = field.text(PREFIX_BYTES, problems)?;
    let plain = prefix.bytes().all(|b| matches!(b, b' '..=b'~')) && !prefix.starts_with(' ');
    if !plain {
        let message = format!("`{}` cannot begin the value of a header", shown(&prefix));
        problems.push(InputProblem::field(pointer, message, "Write printable ASCII characters, such as \"sha256=\"."));
    }
    plain.then_some(prefix)
}

/// Reads `time` and `tolerance`. The signature covers the time if there is one.
fn time(
    object: &mut ObjectReader,
    form: Option<&SignatureForm>,
    signed: Option<&SignedTemplate>,
    problems: &mut Vec<InputProblem>,
) -> Option<Option<SignedTime>> {
    let covered = signed.map(|signed| signed.covers(&SignedPart::Time));
    let Some(field) = object.take("time") else {
        if covered == Some(true) {
            let fix = "Add `time`, such as time = \"header:X-Timestamp\".";
            problems.push(InputProblem::field(object.pointer_to("time"), "the place of {time} is missing", fix));
        }
        return Some(None);
    };
    let pointer = field.pointer.clone();
    let place: Option<TimePlace> = field.parse(problems);
    let tolerance = tolerance(object, problems);
    if covered == Some(false) {
        let message = "the signature does not cover the time, so a sender could change it";
        let fix = "Add {time} to `signed`, or remove `time`.";
        problems.push(InputProblem::field(&pointer, message, fix));
    }
    if matches!((&place, form), (Some(TimePlace::Item(_)), Some(SignatureForm::Whole { .. }))) {
        let fix = "Add `item`, or write time = \"header:NAME\".";
        problems.push(InputProblem::field(&pointer, "the header with the signature is not a list of items", fix));
    }
    Some(Some(SignedTime { place: place?, tolerance_millis: tolerance.unwrap_or(TOLERANCE_MILLIS) }))
}

/// Writes the fields that [`read`] reads. A preset is written in full.
pub(super) fn write(scheme: &HookScheme, object: &mut Map<String, Value>) {
    let mut put = |name: &str, value: &str| drop(object.insert(name.to_owned(), value.into()));
    put("scheme", scheme.as_str());
    if let Some(secret) = scheme.secret() {
        put("secret", secret.as_str());
    }
    match scheme {
        HookScheme::Paypal { webhook_id, check } => {
            put("webhook_id", webhook_id);
            let verify = match check {
                PaypalCheck::Certificate => "certificate",
                PaypalCheck::Postback { .. } => "postback",
            };
            put("verify", verify);
        }
        HookScheme::Token { place, .. } => match place {
            TokenPlace::Bearer => put("token_in", "bearer"),
            TokenPlace::Basic => put("token_in", "basic"),
            TokenPlace::Header(name) => put("header", name.as_str()),
            TokenPlace::Query(name) => put("token_in", &format!("query:{name}")),
        },
        HookScheme::Hmac { spec, .. } => {
            put("header", spec.header.as_str());
            put("algorithm", spec.algorithm.as_str());
            put("encoding", spec.encoding.as_str());
            match &spec.form {
                SignatureForm::Whole { prefix } => put("prefix", prefix),
                SignatureForm::Item { name, separator } => {
                    put("item", name.as_str());
                    put("separator", &separator.to_string());
                }
            }
            put("signed", &spec.signed.to_string());
            if let Some(time) = &spec.time {
                put("time", &time.place.to_string());
                put("tolerance", &duration_text(time.tolerance_millis));
            }
        }
        HookScheme::Stripe { .. }
        | HookScheme::StandardWebhooks { .. }
        | HookScheme::Github { .. }
        | HookScheme::None => {}
    }
}
