//! Hooks are read, refused field by field, and read back from what is written.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{read, write};
use crate::hook::{
    HOOKS, HmacPreset, HookDedupe, HookEnvironment, HookHandshake, HookMethod, HookOrder, HookScheme, HookSpec,
    PaypalCheck, ReplyMode, TokenPlace,
};
use crate::manifest::{Grants, SecretGrant};
use crate::wire::{InputProblem, ObjectReader};

fn grants() -> Grants {
    let grant = |name: &str, hook: bool| SecretGrant { name: name.to_owned(), to: Vec::new(), sign: !hook, hook };
    Grants {
        secrets: vec![grant("key", true), grant("meta-verify", true), grant("signing", false)],
        ..Grants::default()
    }
}

fn parse(hooks: Value) -> Result<Vec<HookSpec>, Vec<InputProblem>> {
    let Value::Object(fields) = json!({ "hooks": hooks }) else { unreachable!() };
    let (mut object, mut problems) = (ObjectReader::new(String::new(), fields), Vec::new());
    let hooks = read(&mut object, &grants(), &mut problems);
    object.finish(&mut problems);
    if problems.is_empty() { Ok(hooks) } else { Err(problems) }
}

fn one(hook: Value) -> HookSpec {
    parse(json!([hook])).unwrap().remove(0)
}

/// Every scheme with its least fields.
fn least() -> Vec<Value> {
    vec![
        json!({ "name": "a", "scheme": "stripe", "secret": "key" }),
        json!({ "name": "a", "scheme": "paypal", "webhook_id": "1JE4291016473214C" }),
        json!({ "name": "a", "scheme": "standard-webhooks", "secret": "key" }),
        json!({ "name": "a", "scheme": "github", "secret": "key" }),
        json!({ "name": "a", "scheme": "hmac", "secret": "key", "header": "X-Sig", "signed": "{body}" }),
        json!({ "name": "a", "scheme": "token", "secret": "key" }),
        json!({ "name": "a", "scheme": "none" }),
    ]
}

#[test]
fn the_example_of_the_reference_is_read() {
    let hook = one(json!({
        "name": "events", "scheme": "stripe", "secret": "key", "environment": "test",
        "events": ["charge.*", "refund.*"], "object": "body:/data/object/id", "version": "body:/created",
        "reply": "wait", "max_body": "4MiB", "rate": { "runs": 100, "per": "1s" },
    }));
    assert_eq!(hook.scheme, HookScheme::Stripe { secret: "key".parse().unwrap() });
    assert_eq!((hook.environment, hook.reply, hook.max_body), (HookEnvironment::Test, ReplyMode::Wait, 4 << 20));
    let object = "body:/data/object/id".parse().unwrap();
    assert_eq!(hook.order, HookOrder::Object { object, version: "body:/created".parse().ok() });
    assert_eq!((hook.methods.as_slice(), hook.dedupe), (&[HookMethod::Post][..], HookDedupe::Auto));
    assert!(hook.runs_for(Some("charge.refunded")) && !hook.runs_for(Some("payout.paid")));
    assert_eq!(hook.rate.unwrap().runs, 100);
}

#[test]
fn every_scheme_has_defaults_and_reads_back() {
    for hook in least() {
        let hook = one(hook);
        assert_eq!((hook.environment, hook.max_body, hook.content_encoding), (HookEnvironment::Live, 1 << 20, false));
        assert_eq!(one(write(&hook)), hook);
    }
}

#[test]
fn a_preset_is_written_in_full_and_reads_back() {
    for preset in HmacPreset::ALL {
        let name = preset.as_str();
        let hook = one(json!({ "name": "a", "scheme": "hmac", "preset": name, "secret": "key" }));
        let HookScheme::Hmac { spec, .. } = &hook.scheme else { panic!("{name}") };
        assert_eq!(Some(spec), preset.spec().as_ref());
        let written = write(&hook);
        assert_eq!(written.get("preset"), None);
        assert_eq!(one(written), hook);
    }
    let slack = one(json!({
        "name": "a", "scheme": "hmac", "preset": "slack", "secret": "key", "id": "body:/event_id", "tolerance": "60s",
    }));
    let HookScheme::Hmac { spec, .. } = &slack.scheme else { panic!() };
    assert_eq!(spec.time.as_ref().unwrap().tolerance_millis, 60_000);
    assert_eq!((slack.handshake, slack.id), (Some(HookHandshake::Slack), "body:/event_id".parse().ok()));
}

#[test]
fn a_token_has_four_places() {
    for (fields, place) in [
        (json!({}), TokenPlace::Bearer),
        (json!({ "token_in": "basic" }), TokenPlace::Basic),
        (json!({ "token_in": "query:key" }), TokenPlace::Query("key".parse().unwrap())),
        (json!({ "header": "X-Gitlab-Token" }), TokenPlace::Header("x-gitlab-token".parse().unwrap())),
    ] {
        let mut hook = json!({ "name": "a", "scheme": "token", "secret": "key", "methods": ["PUT", "GET", "PUT"] });
        hook.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let hook = one(hook);
        assert_eq!(hook.scheme, HookScheme::Token { secret: "key".parse().unwrap(), place });
        assert_eq!(hook.methods, [HookMethod::Get, HookMethod::Put]);
        assert_eq!(one(write(&hook)), hook);
    }
}

#[test]
fn paypal_is_verified_by_certificate_or_by_its_api() {
    let hook = json!({ "name": "a", "scheme": "paypal", "webhook_id": "X1", "verify": "postback", "secret": "key" });
    let hook = one(hook);
    let check = PaypalCheck::Postback { client: "key".parse().unwrap() };
    assert_eq!(hook.scheme, HookScheme::Paypal { webhook_id: "X1".to_owned(), check });
    assert_eq!(one(write(&hook)), hook);
}

#[test]
fn a_problem_has_the_pointer_of_its_field() {
    let stripe = || json!({ "name": "a", "scheme": "stripe", "secret": "key" });
    let hmac = || json!({ "name": "a", "scheme": "hmac", "secret": "key", "header": "X-Sig", "signed": "{body}" });
    let with = |mut hook: Value, more: Value| {
        hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        hook
    };
    let without = |mut hook: Value, name: &str| {
        hook.as_object_mut().unwrap().remove(name);
        hook
    };
    for (hook, place) in [
        (without(stripe(), "name"), "/name"),
        (with(stripe(), json!({ "name": "A" })), "/name"),
        (json!({ "name": "a" }), "/scheme"),
        (json!({ "name": "a", "secret": "key" }), "/scheme"),
        (json!({ "name": "a", "scheme": "" }), "/scheme"),
        (json!({ "name": "a", "scheme": "Stripe", "secret": "key" }), "/scheme"),
        (without(stripe(), "secret"), "/secret"),
        (with(stripe(), json!({ "secret": "other" })), "/secret"),
        (with(stripe(), json!({ "secret": "signing" })), "/secret"),
        (with(stripe(), json!({ "secret": "A" })), "/secret"),
        (json!({ "name": "a", "scheme": "none", "secret": "key" }), "/secret"),
        (with(stripe(), json!({ "environment": "sandbox" })), "/environment"),
        (with(hmac(), json!({ "environment": "test" })), "/environment"),
        (with(stripe(), json!({ "events": [] })), "/events"),
        (with(stripe(), json!({ "events": ["a b"] })), "/events/0"),
        (with(stripe(), json!({ "events": vec!["x"; 65] })), "/events"),
        (with(hmac(), json!({ "events": ["x"] })), "/events"),
        (with(stripe(), json!({ "id": "body:/id" })), "/id"),
        (with(stripe(), json!({ "event": "body:/type" })), "/event"),
        (with(hmac(), json!({ "id": "/id" })), "/id"),
        (with(stripe(), json!({ "object": "header:x-id" })), "/object"),
        (with(stripe(), json!({ "version": "body:/v" })), "/version"),
        (with(stripe(), json!({ "object": "body:/a", "key": "body:/b" })), "/key"),
        (with(stripe(), json!({ "key": "query:a" })), "/key"),
        (with(stripe(), json!({ "reply": "later" })), "/reply"),
        (with(stripe(), json!({ "max_body": "5MiB" })), "/max_body"),
        (with(stripe(), json!({ "max_body": 0 })), "/max_body"),
        (with(stripe(), json!({ "methods": [] })), "/methods"),
        (with(stripe(), json!({ "methods": ["post"] })), "/methods/0"),
        (with(stripe(), json!({ "dedupe": "body" })), "/dedupe"),
        (with(hmac(), json!({ "dedupe": "id" })), "/dedupe"),
        (with(stripe(), json!({ "rate": "1/s" })), "/rate"),
        (with(stripe(), json!({ "handshake": "slack" })), "/handshake"),
        (with(hmac(), json!({ "handshake": "meta" })), "/verify_token"),
        (with(hmac(), json!({ "handshake": "meta", "verify_token": "signing" })), "/verify_token"),
        (with(hmac(), json!({ "handshake": "microsoft" })), "/handshake"),
        (with(hmac(), json!({ "handshake": "zoom" })), "/handshake"),
        (with(hmac(), json!({ "verify_token": "key" })), "/verify_token"),
        (with(stripe(), json!({ "public_url": "ftp://x" })), "/public_url"),
        (with(stripe(), json!({ "public_url": "https://user@example.com/a" })), "/public_url"),
        (with(stripe(), json!({ "public_url": "https://example.com/a?b" })), "/public_url"),
        (with(hmac(), json!({ "signed": "{url}{body}" })), "/public_url"),
        (with(hmac(), json!({ "preset": "slack" })), "/header"),
        (with(hmac(), json!({ "preset": "twilio" })), "/preset"),
        (json!({ "name": "a", "scheme": "hmac", "secret": "key" }), "/header"),
        (without(hmac(), "signed"), "/signed"),
        (with(hmac(), json!({ "signed": "{time}{body}" })), "/signed"),
        (with(hmac(), json!({ "signed": "{time}.{body}" })), "/time"),
        (with(hmac(), json!({ "time": "header:x-time" })), "/time"),
        (with(hmac(), json!({ "signed": "{time}.{body}", "time": "item:t" })), "/time"),
        (with(hmac(), json!({ "signed": "{time}.{body}", "time": "body:/t" })), "/time"),
        (with(hmac(), json!({ "tolerance": "1m" })), "/tolerance"),
        (with(hmac(), json!({ "algorithm": "md5" })), "/algorithm"),
        (with(hmac(), json!({ "encoding": "HEX" })), "/encoding"),
        (with(hmac(), json!({ "prefix": "\n" })), "/prefix"),
        (with(hmac(), json!({ "prefix": "a", "item": "v1" })), "/item"),
        (with(hmac(), json!({ "separator": ";" })), "/separator"),
        (with(hmac(), json!({ "item": "v1", "separator": "=" })), "/separator"),
        (json!({ "name": "a", "scheme": "paypal" }), "/webhook_id"),
        (json!({ "name": "a", "scheme": "paypal", "webhook_id": "a|b" }), "/webhook_id"),
        (json!({ "name": "a", "scheme": "paypal", "webhook_id": "X1", "verify": "postback" }), "/secret"),
        (json!({ "name": "a", "scheme": "paypal", "webhook_id": "X1", "secret": "key" }), "/secret"),
        (json!({ "name": "a", "scheme": "token", "secret": "key", "token_in": "cookie" }), "/token_in"),
        (json!({ "name": "a", "scheme": "token", "secret": "key", "token_in": "bearer", "header": "a" }), "/token_in"),
    ] {
        let problems = parse(json!([hook])).unwrap_err();
        let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
        assert!(pointers.contains(&format!("/hooks/0{place}").as_str()), "{hook}: {pointers:?}");
        assert!(problems.iter().all(|problem| problem.fix.ends_with('.')), "{problems:#?}");
    }
    let twice = parse(json!([stripe(), stripe()])).unwrap_err();
    assert_eq!(twice[0].pointer, "/hooks/1/name");
    assert_eq!(parse(json!(vec![stripe(); HOOKS + 1])).unwrap_err()[0].pointer, "/hooks");
}

#[test]
fn a_scheme_that_cannot_be_read_is_the_only_problem() {
    for scheme in [json!(null), json!("stripes"), json!(7)] {
        for more in [
            json!({ "environment": "test" }),
            json!({ "handshake": "slack" }),
            json!({ "handshake": "microsoft" }),
            json!({ "events": ["a.*"], "dedupe": "id" }),
            json!({ "id": "body:/id", "event": "body:/type", "public_url": "https://a.example/h" }),
            json!({ "secret": "key", "signed": "{url}", "header": "X-Sig", "verify": "postback" }),
        ] {
            let mut hook = json!({ "name": "a", "scheme": scheme });
            hook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let problems = parse(json!([hook])).unwrap_err();
            let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
            assert_eq!(pointers, ["/hooks/0/scheme"], "{hook}");
        }
    }
    // A scheme with a wrong field of its own.
    let hook = json!({ "name": "a", "scheme": "stripe", "secret": "A", "environment": "test" });
    let problems = parse(json!([hook])).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
}

#[test]
fn a_missing_grant_names_the_line_that_allows_it() {
    let problems = parse(json!([{ "name": "a", "scheme": "github", "secret": "other" }])).unwrap_err();
    assert_eq!(problems[0].fix, "Add `{ name = \"other\", use = \"hook\" }` to `secrets` under `[grants]`.");
}

proptest! {
    #[test]
    fn a_hook_that_is_read_reads_back(
        scheme in prop::sample::select(least()),
        fields in prop::collection::btree_map(
            "[a-z_]{2,8}|object|version|key|events|methods|id|event|dedupe|handshake|time|signed|item|public_url",
            "[a-z]{1,5}|body:/[a-z]{1,2}|header:[a-z]|POST|GET|slack|meta|\\{(body|time|url)\\}|https://a.b/[a-z]", 0..4,
        ),
    ) {
        let mut hook = scheme;
        hook.as_object_mut().unwrap().extend(fields.into_iter().map(|(name, value)| (name, value.into())));
        if let Ok(hooks) = parse(json!([hook])) {
            prop_assert_eq!(parse(json!([write(&hooks[0])])).unwrap(), hooks);
        }
    }
}
