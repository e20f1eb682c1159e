//! Reads and writes the hooks of a manifest. [`HookSpec`] documents the fields.

mod scheme;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::flow::rate;
use super::grants::Grants;
use crate::hook::{
    BODY_BYTES_MAX, EVENTS, EventPattern, HOOKS, HmacPreset, HookDedupe, HookEnvironment, HookHandshake, HookMethod,
    HookOrder, HookScheme, HookSpec, PUBLIC_URL_BYTES, ReplyMode, SignedPart, ValuePlace,
};
use crate::ids::SecretName;
use crate::origin::Origin;
use crate::wire::{InputProblem, ObjectField, ObjectReader, duration_text, size_text};

/// Takes the hooks of a manifest, which are under one of two names. `grants` are the manifest's.
pub fn read(object: &mut ObjectReader, grants: &Grants, problems: &mut Vec<InputProblem>) -> Vec<HookSpec> {
    // `[[hook]]` in TOML gives `hook`; in JSON `hooks` reads better. Both are accepted.
    let (one, many) = (object.take("hook"), object.take("hooks"));
    if let (Some(_), Some(field)) = (&one, &many) {
        let message = "both `hook` and `hooks` are given";
        problems.push(InputProblem::field(&field.pointer, message, "Join the two lists."));
    }
    let fields = many.or(one).and_then(|field| field.one_or_many(HOOKS, problems)).unwrap_or_default();
    let (mut hooks, mut names) = (Vec::new(), BTreeSet::new());
    for field in fields {
        let pointer = field.pointer.clone();
        if let Some(hook) = hook(field, problems) {
            if !names.insert(hook.name.clone()) {
                let message = format!("there are two hooks `{}`", hook.name);
                let fix = "Give each hook a name of its own.";
                problems.push(InputProblem::field(format!("{pointer}/name"), message, fix));
            }
            check_grants(&hook, grants, &pointer, problems);
            hooks.push(hook);
        }
    }
    hooks
}

/// Refuses secrets that the manifest does not grant to hooks.
fn check_grants(hook: &HookSpec, grants: &Grants, pointer: &str, problems: &mut Vec<InputProblem>) {
    let verify_token = match &hook.handshake {
        Some(HookHandshake::Meta { verify_token }) => Some(("verify_token", verify_token)),
        _ => None,
    };
    let secrets = hook.scheme.secret().map(|secret| ("secret", secret)).into_iter().chain(verify_token);
    for (field, secret) in secrets {
        if !grants.secret(secret.as_str()).is_some_and(|grant| grant.hook) {
            let message = format!("the secret `{secret}` is not granted to hooks");
            let fix = format!("Add `{{ name = \"{secret}\", use = \"hook\" }}` to `secrets` under `[grants]`.");
            problems.push(InputProblem::field(format!("{pointer}/{field}"), message, fix));
        }
    }
}

fn hook(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<HookSpec> {
    let before = problems.len();
    let mut object = field.object(problems)?;
    let name_fix = "Name the hook: 1 to 63 lower-case letters, digits and hyphens.";
    let name = object.require("name", name_fix, problems).and_then(|field| field.parse(problems));
    let (scheme, preset) = scheme::read(&mut object, problems).unzip();
    let preset = preset.flatten();
    // If the scheme cannot be read, check all that does not depend on it.
    let known = scheme.as_ref();
    let mut hook = HookSpec::new(name.or_else(|| "unnamed".parse().ok())?, HookScheme::None);
    hook.environment = environment(&mut object, known, problems).unwrap_or(hook.environment);
    if known.is_none_or(HookScheme::has_declared_places) {
        let id = object.take("id").and_then(|field| field.parse(problems));
        hook.id = id.or_else(|| preset.and_then(|preset| preset.id()));
        let event = object.take("event").and_then(|field| field.parse(problems));
        hook.event = event.or_else(|| preset.and_then(|preset| preset.event()));
    }
    hook.events = events(&mut object, known, hook.event.is_some(), problems);
    hook.order = order(&mut object, problems);
    let replies = ReplyMode::ALL.map(|reply| (reply.as_str(), reply));
    hook.reply = object.take("reply").and_then(|field| field.choice(&replies, problems)).unwrap_or(hook.reply);
    let size = object.take("max_body").and_then(|field| field.size(1..=BODY_BYTES_MAX, problems));
    hook.max_body = size.unwrap_or(hook.max_body);
    let encoded = object.take("content_encoding").and_then(|field| field.boolean(problems));
    hook.content_encoding = encoded.unwrap_or(false);
    if let Some(field) = object.take("methods") {
        hook.methods = methods(field, problems);
    }
    hook.dedupe = dedupe(&mut object, known, &hook, problems);
    hook.rate = object.take("rate").and_then(|field| rate(field, problems));
    hook.handshake = handshake(&mut object, problems).or_else(|| preset.and_then(|preset| preset.handshake()));
    hook.public_url = public_url(&mut object, known, problems);
    check_handshake(&object, known, hook.handshake.as_ref(), problems);
    object.finish(problems);
    hook.scheme = scheme?;
    (problems.len() == before).then_some(hook)
}

fn environment(
    object: &mut ObjectReader,
    scheme: Option<&HookScheme>,
    problems: &mut Vec<InputProblem>,
) -> Option<HookEnvironment> {
    let field = object.take("environment")?;
    let pointer = field.pointer.clone();
    let choices = HookEnvironment::ALL.map(|environment| (environment.as_str(), environment));
    let environment = field.choice(&choices, problems)?;
    let Some(scheme) = scheme.filter(|scheme| !scheme.has_environment()) else { return Some(environment) };
    let message = format!("a delivery of the scheme `{}` does not state its environment", scheme.as_str());
    let fix = "Remove `environment`, and use another hook with another secret for tests.";
    problems.push(InputProblem::field(pointer, message, fix));
    None
}

fn events(
    object: &mut ObjectReader,
    scheme: Option<&HookScheme>,
    has_place: bool,
    problems: &mut Vec<InputProblem>,
) -> Vec<EventPattern> {
    let Some(field) = object.take("events") else { return Vec::new() };
    let pointer = field.pointer.clone();
    let Some(fields) = field.one_or_many(EVENTS, problems) else { return Vec::new() };
    if fields.is_empty() {
        let fix = "Name at least one, such as [\"charge.*\"], or remove `events` to run for all.";
        problems.push(InputProblem::field(&pointer, "the list of event types is empty", fix));
    }
    if scheme.is_some_and(HookScheme::has_declared_places) && !has_place {
        let fix = "Add `event`, such as event = \"body:/type\" or event = \"header:X-Event\".";
        problems.push(InputProblem::field(pointer, "the place of the event type is missing", fix));
    }
    fields.into_iter().filter_map(|field| field.parse(problems)).collect()
}

/// Reads `object`, `version` and `key`.
fn order(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> HookOrder {
    let mut place = |name: &'static str| {
        let field = object.take(name)?;
        let pointer = field.pointer.clone();
        let place: ValuePlace = field.parse(problems)?;
        if !place.is_in_body() {
            let message = format!("`{place}` is outside the body, which is what a signature covers");
            let fix = format!("Point into the body, such as {name} = \"body:/data/{name}\".");
            problems.push(InputProblem::field(&pointer, message, fix));
        }
        Some((pointer, place))
    };
    let (named, version, key) = (place("object"), place("version"), place("key"));
    match (named, version, key) {
        (Some(_), _, Some((pointer, _))) => {
            let message = "both `object` and `key` are given";
            problems.push(InputProblem::field(pointer, message, "Keep `object`; its deliveries are a lane too."));
            HookOrder::None
        }
        (Some((_, object)), version, None) => HookOrder::Object { object, version: version.map(|(_, place)| place) },
        (None, Some((pointer, _)), _) => {
            let fix = "Add `object`, such as object = \"body:/data/object/id\", or remove `version`.";
            problems.push(InputProblem::field(pointer, "there is no object that has the version", fix));
            HookOrder::None
        }
        (None, None, Some((_, key))) => HookOrder::Key(key),
        (None, None, None) => HookOrder::None,
    }
}

fn methods(field: ObjectField, problems: &mut Vec<InputProblem>) -> Vec<HookMethod> {
    let pointer = field.pointer.clone();
    let choices = HookMethod::ALL.map(|method| (method.as_str(), method));
    let fields = field.one_or_many(HookMethod::ALL.len(), problems).unwrap_or_default();
    let methods: BTreeSet<_> = fields.into_iter().filter_map(|field| field.choice(&choices, problems)).collect();
    if methods.is_empty() {
        problems.push(InputProblem::field(pointer, "the list of methods is empty", "Write methods = [\"POST\"]."));
    }
    methods.into_iter().collect()
}

fn dedupe(
    object: &mut ObjectReader,
    scheme: Option<&HookScheme>,
    hook: &HookSpec,
    problems: &mut Vec<InputProblem>,
) -> HookDedupe {
    let Some(field) = object.take("dedupe") else { return hook.dedupe };
    let pointer = field.pointer.clone();
    let choices = HookDedupe::ALL.map(|dedupe| (dedupe.as_str(), dedupe));
    let dedupe = field.choice(&choices, problems).unwrap_or(hook.dedupe);
    if dedupe == HookDedupe::Id && scheme.is_some_and(HookScheme::has_declared_places) && hook.id.is_none() {
        let fix = "Add `id`, such as id = \"header:X-Delivery-Id\", or remove `dedupe`.";
        problems.push(InputProblem::field(pointer, "there is no id by which duplicates are found", fix));
    }
    dedupe
}

fn handshake(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Option<HookHandshake> {
    const FIX: &str =
        "Add the name of the secret with the token that you gave Meta, such as verify_token = \"meta-verify\".";
    let kinds = [("slack", 0), ("meta", 1), ("microsoft", 2), ("zoom", 3)];
    let kind = object.take("handshake").and_then(|field| field.choice(&kinds, problems))?;
    match kind {
        0 => Some(HookHandshake::Slack),
        1 => {
            let token = object.require("verify_token", FIX, problems);
            let verify_token: SecretName = token.and_then(|field| field.parse(problems))?;
            Some(HookHandshake::Meta { verify_token })
        }
        2 => Some(HookHandshake::Microsoft),
        _ => Some(HookHandshake::Zoom),
    }
}

/// Refuses a handshake that the scheme cannot verify.
fn check_handshake(
    object: &ObjectReader,
    scheme: Option<&HookScheme>,
    handshake: Option<&HookHandshake>,
    problems: &mut Vec<InputProblem>,
) {
    let (Some(scheme), Some(handshake)) = (scheme, handshake) else { return };
    let (fits, fix) = match (handshake, scheme) {
        // Its answer signs a token of the caller, which must not be the text of a delivery.
        (HookHandshake::Zoom, HookScheme::Hmac { spec, .. }) => (
            Some(&spec.signed) == HmacPreset::Zoom.spec().map(|zoom| zoom.signed).as_ref(),
            "Use it with preset = \"zoom\".",
        ),
        (HookHandshake::Slack | HookHandshake::Zoom | HookHandshake::Meta { .. }, scheme) => {
            (matches!(scheme, HookScheme::Hmac { .. }), "Use it with scheme = \"hmac\".")
        }
        (HookHandshake::Microsoft, scheme) => (
            matches!(scheme, HookScheme::Token { .. } | HookScheme::None),
            "Use it with scheme = \"token\" and token_in = \"query:NAME\".",
        ),
    };
    if !fits {
        let message = format!("the scheme `{}` cannot verify this handshake", scheme.as_str());
        problems.push(InputProblem::field(object.pointer_to("handshake"), message, fix));
    }
}

fn public_url(
    object: &mut ObjectReader,
    scheme: Option<&HookScheme>,
    problems: &mut Vec<InputProblem>,
) -> Option<String> {
    const FIX: &str = "Write the URL that you gave the provider, without a query, such as public_url = \"https://hooks.example.com/hooks/shop/events\".";
    let Some(field) = object.take("public_url") else {
        if matches!(scheme, Some(HookScheme::Hmac { spec, .. }) if spec.signed.covers(&SignedPart::Url)) {
            let message = "the signature covers the URL, but `public_url` is missing";
            problems.push(InputProblem::field(object.pointer_to("public_url"), message, FIX));
        }
        return None;
    };
    let pointer = field.pointer.clone();
    let url = field.text(PUBLIC_URL_BYTES, problems)?;
    let plain = url.bytes().all(|b| b.is_ascii_graphic()) && !url.contains(['?', '#', '\\']);
    if plain && Origin::of_url(&url).is_ok() {
        return Some(url);
    }
    problems.push(InputProblem::field(pointer, "the public URL is not an http or https URL without a query", FIX));
    None
}

/// Writes a hook, defaults included, in the form that [`read`] reads.
#[must_use]
pub fn write(hook: &HookSpec) -> Value {
    let mut object = Map::new();
    object.insert("name".to_owned(), hook.name.as_str().into());
    scheme::write(&hook.scheme, &mut object);
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    if hook.scheme.has_environment() {
        put("environment", hook.environment.as_str().into());
    }
    if !hook.events.is_empty() {
        put("events", hook.events.iter().map(EventPattern::as_str).collect());
    }
    for (name, place) in [("id", &hook.id), ("event", &hook.event)] {
        if let Some(place) = place {
            put(name, place.to_string().into());
        }
    }
    match &hook.order {
        HookOrder::None => {}
        HookOrder::Key(key) => drop(put("key", key.to_string().into())),
        HookOrder::Object { object, version } => {
            put("object", object.to_string().into());
            if let Some(version) = version {
                put("version", version.to_string().into());
            }
        }
    }
    put("reply", hook.reply.as_str().into());
    put("max_body", size_text(hook.max_body).into());
    put("content_encoding", hook.content_encoding.into());
    put("methods", hook.methods.iter().map(|method| method.as_str()).collect());
    put("dedupe", hook.dedupe.as_str().into());
    if let Some(url) = &hook.public_url {
        put("public_url", url.as_str().into());
    }
    if let Some(rate) = hook.rate {
        put("rate", json!({ "runs": rate.runs, "per": duration_text(rate.per_millis) }));
    }
    if let Some(handshake) = &hook.handshake {
        put("handshake", handshake.as_str().into());
        if let HookHandshake::Meta { verify_token } = handshake {
            put("verify_token", verify_token.as_str().into());
        }
    }
    Value::Object(object)
}
