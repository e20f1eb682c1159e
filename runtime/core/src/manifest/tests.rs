//! Valid and invalid manifests, and the laws of both.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::limits::MIB;
use crate::origin::Origin;
use crate::retry::ExhaustionPolicy;
use crate::schedule::Overlap;

const FILE: &str = r#"
[module]
name = "uptime"
version = "0.1.0"
component = "target/wasm32-wasip2/release/uptime.wasm"

[deployment]
name = "uptime"
priority = 6
concurrency = 4
concurrency_key = "/customer"
rate = { runs = 100, per = "1m" }
debounce = { wait = "5s", key = "/id", max_wait = "1m" }
queue = 10_000
idempotency_ttl = "24h"

[config]                      # any shape; the module sees it as JSON
urls = ["https://example.org/"]

[grants]
http = ["https://example.org"]
secrets = [{ name = "status-page-token", to = ["https://example.org"] }, { name = "signing", use = "sign" }]
ledger = false
deployments = ["other"]
topics = ["uptime.changed"]

[limits]
fuel = 500_000_000
memory = "32MiB"
active = "10s"
lifetime = "1h"

[retry]
attempts = 3
then = "park"

[[schedule]]
name = "often"
cron = "*/5 * * * *"
time_zone = "Europe/Berlin"
overlap = "skip"

[[subscription]]
name = "sales"
topic = "orders.*"
filter = { "/country" = ["DE", "AT"], "/paid" = true }
from = "earliest"

[[schedule]]
name = "once"
at = 2026-12-24T18:00:00Z
exclude = ["2026-12-25"]

[health]
every = "15s"
"#;

fn parse(value: &Value) -> Result<Manifest, Vec<InputProblem>> {
    Manifest::parse_json(value.to_string().as_bytes())
}

fn pointers(problems: &[InputProblem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.pointer.as_str()).collect()
}

#[test]
fn the_example_file_of_the_book_is_read() {
    let ModuleFile { module, manifest } = ModuleFile::parse_toml(FILE).unwrap();
    let module = module.unwrap();
    assert_eq!((module.name.as_str(), module.version.as_str()), ("uptime", "0.1.0"));
    assert_eq!(manifest.source.to_string(), "uptime@0.1.0");
    assert_eq!((manifest.priority, manifest.concurrency), (6, 4));
    assert!(manifest.flow.key.is_some() && manifest.flow.rate.is_some() && manifest.flow.debounce.is_some());
    assert_eq!(manifest.flow.queue, Some(10_000));
    assert_eq!(manifest.config, r#"{"urls":["https://example.org/"]}"#);
    assert!(manifest.grants.allows(&Origin::of_url("https://example.org").unwrap()));
    assert_eq!(manifest.limits.memory, 32 * MIB);
    assert_eq!(manifest.limits.lifetime_millis, Some(3_600_000));
    assert_eq!((manifest.retry.policy.max_attempts, manifest.retry.then), (3, Some(ExhaustionPolicy::Park)));
    assert_eq!(manifest.schedules.len(), 2);
    assert_eq!(manifest.schedules[0].spec().overlap, Overlap::Skip);
    assert_eq!(manifest.subscriptions.len(), 1);
    assert_eq!(manifest.subscriptions[0].filter.conditions().len(), 2);
    assert_eq!(parse(&manifest.to_json()), Ok(manifest));
}

#[test]
fn every_manifest_in_the_repository_is_valid() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for folder in
        ["guests", "examples"].into_iter().filter_map(|name| std::fs::read_dir(root.join(name)).ok()).flatten()
    {
        let Ok(text) = std::fs::read_to_string(folder.unwrap().path().join("tidemill.toml")) else { continue };
        let problems = ModuleFile::parse_toml(&text).err();
        assert!(problems.is_none(), "{problems:#?} in {text}");
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn every_example_of_the_book_is_valid() {
    let pages = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/reference");
    let mut seen = 0;
    for page in ["manifest.md", "limits.md", "schedules.md", "../flow-control.md", "../events.md"] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let module = if block.contains("[module]") { "" } else { "module = \"x@1.0.0\"\n" };
            let problems = ModuleFile::parse_toml(&format!("{module}{block}")).err();
            assert!(problems.is_none(), "{page}: {problems:#?} in {block}");
            seen += 1;
        }
    }
    assert!(seen >= 4);
}

#[test]
fn a_schedule_may_be_limited_and_paused_after_failures() {
    let of = |more: Value| {
        let mut schedule = json!({ "name": "s", "every": "1m" });
        schedule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        parse(&json!({ "module": "hello@0.1.0", "schedule": schedule })).map(|manifest| manifest.schedules[0].clone())
    };
    for policy in Overlap::ALL {
        assert_eq!(of(json!({ "overlap": policy.as_str() })).unwrap().spec().overlap, policy);
    }
    let both = of(json!({ "limit": 10, "pause_after_failures": 3 })).unwrap();
    assert_eq!((both.spec().limit, both.spec().pause_after_failures), (Some(10), Some(3)));
    for bad in [json!({ "limit": 0 }), json!({ "limit": -1 }), json!({ "pause_after_failures": 1_001 })] {
        let problems = of(bad.clone()).unwrap_err();
        let field = bad.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(problems[0].pointer, format!("/schedule/{field}"), "{bad}");
    }
}

#[test]
fn a_stored_manifest_may_name_a_zone_that_is_not_known() {
    let manifest = parse(&json!({
        "module": "hello@0.1.0",
        "schedules": [
            { "name": "a", "cron": "0 9 * * *" },
            { "name": "b", "cron": "0 9 * * *", "every": "1h", "time_zone": "Mars/Olympus", "exclude": ["2026-01-05"] },
        ],
    }))
    .unwrap();
    assert_eq!(pointers(&manifest.unknown_zones()), ["/schedules/1/time_zone"]);
    // A schedule in an unknown zone has no next firing.
    let zone = &manifest.schedules[1].spec().time_zone;
    assert_eq!((zone.name(), zone.is_known()), ("Mars/Olympus", false));
    assert_eq!(manifest.schedules[1].next_after(Timestamp::default()), None);
    same_at_rest(&manifest.schedules).unwrap();
    assert_eq!(parse(&manifest.to_json()), Ok(manifest));
    // A file is in the hands of its author, who can correct it.
    let file = "module = \"m@1.0.0\"\n[[schedule]]\nname = \"a\"\nevery = \"1h\"\ntime_zone = \"Mars/Olympus\"";
    assert_eq!(pointers(&ModuleFile::parse_toml(file).unwrap_err()), ["/schedule/0/time_zone"]);
}

#[test]
fn a_manifest_needs_only_its_source() {
    let manifest = parse(&json!({ "module": "hello@0.1.0" })).unwrap();
    assert_eq!(manifest, Manifest::new(Source::Module("hello@0.1.0".parse().unwrap())));
    assert_eq!(parse(&manifest.to_json()), Ok(manifest));
}

#[test]
fn all_problems_are_found_at_once() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let problems = parse(&json!({
        "name": "No Name",
        "module": "hello@0.1.0", "component": digest,
        "enabled": "yes",
        "priority": 10,
        "concurency": 4,
        "labels": { "a b": "c", "ok": 1 },
        "grants": { "http": ["example.com", "https://example.com"], "secrets": [{ "name": "x" }], "ledgr": true },
        "limits": { "memory": "64", "fuel": -1, "active": "30", "lifetime": 5 },
        "retry": { "attempts": 1.5, "then": "stop", "initial": "10m", "max": "1m" },
        "schedules": [
            { "name": "a", "cron": "61 * * * *", "time_zone": "Berlin!" },
            { "cron": ["* * * * *", "x"] },
            { "name": "b" },
            { "name": "c", "every": "10s" },
            { "name": "c", "every": "10ms" },
            { "name": "c", "every": "20s" },
        ],
        "health": { "every": "1d" },
    }))
    .unwrap_err();
    let mut found = pointers(&problems);
    found.sort_unstable();
    let mut expected = [
        "/name",
        "/component",
        "/enabled",
        "/priority",
        "/concurency",
        "/labels/a b",
        "/labels/ok",
        "/grants/http/0",
        "/grants/secrets/0",
        "/grants/ledgr",
        "/limits/memory",
        "/limits/fuel",
        "/limits/active",
        "/limits/lifetime",
        "/retry/attempts",
        "/retry/then",
        "/retry",
        "/schedules/0/cron",
        "/schedules/0/time_zone",
        "/schedules/1/name",
        "/schedules/1/cron/1",
        "/schedules/2",
        "/schedules/4/every",
        "/schedules/5/name",
        "/health/every",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected, "{problems:#?}");
    for problem in &problems {
        assert!(!problem.message.is_empty() && problem.fix.ends_with('.'), "{problem:?}");
    }
    let at = |pointer: &str| problems.iter().find(|problem| problem.pointer == pointer).unwrap();
    assert_eq!(at("/concurency").fix, "Write `concurrency`, or remove it.");
    assert_eq!(at("/concurency").code, Code::UnknownField);
    assert_eq!(at("/schedules/0/cron").code, Code::BadCron);
    assert_eq!(at("/schedules/2").code, Code::BadSchedule);
}

#[test]
fn a_file_s_problems_name_the_place_in_the_file() {
    let text = FILE.replace("priority = 6", "priority = 0").replace("concurrency =", "concurency =");
    let problems = ModuleFile::parse_toml(&text.replace("memory = \"32MiB\"", "memory = \"32 miles\"")).unwrap_err();
    assert_eq!(pointers(&problems), ["/deployment/priority", "/limits/memory", "/deployment/concurency"]);
    let problems = ModuleFile::parse_toml("[module]\nname = \"x\"\n[module").unwrap_err();
    assert!(problems[0].message.starts_with("line 3: "), "{}", problems[0].message);
    let problems = ModuleFile::parse_toml("[module]\nname = \"x\"\n").unwrap_err();
    assert_eq!(pointers(&problems), ["/module/version", "/module/component"]);
    let problems =
        ModuleFile::parse_toml("priority = 1\n[deployment]\npriority = 2\nmodule = \"x@1.0.0\"").unwrap_err();
    assert_eq!(pointers(&problems), ["/priority"]);
}

#[test]
fn bounds_hold_for_large_fields() {
    let large = json!({ "module": "hello@0.1.0", "config": "x".repeat(CONFIG_BYTES) });
    assert_eq!(pointers(&parse(&large).unwrap_err()), ["/config"]);
    let problems = Manifest::parse_json(&vec![b' '; MANIFEST_BYTES + 1]).unwrap_err();
    assert_eq!(problems[0].code, Code::BodyTooLarge);
    let schedules: Vec<_> = (0..=SCHEDULES).map(|n| json!({ "name": format!("s{n}"), "every": "1m" })).collect();
    let problems = parse(&json!({ "module": "hello@0.1.0", "schedules": schedules })).unwrap_err();
    assert_eq!(pointers(&problems), ["/schedules"]);
    for (bad, code) in
        [(&b"{"[..], Code::BadJson), (b"", Code::BadJson), (b"[]", Code::BadField), (b"\xff", Code::BadJson)]
    {
        assert_eq!(Manifest::parse_json(bad).unwrap_err()[0].code, code);
    }
}

#[test]
fn changes_name_the_fields_that_differ() {
    let before = parse(&json!({ "module": "hello@0.1.0", "config": { "a": 1, "b": 2 } })).unwrap();
    let after = parse(&json!({ "module": "hello@0.2.0", "config": { "a": 1, "c": 3 }, "priority": 7 })).unwrap();
    let changes = after.changes_from(&before);
    let found: Vec<_> = changes.iter().map(|change| change.pointer.as_str()).collect();
    assert_eq!(found, ["/config/c", "/config/b", "/module", "/priority"]);
    assert!(before.changes_from(&before).is_empty());
}

/// JSON with the names and texts of manifests, in right and wrong places.
fn nearly_a_manifest() -> impl Strategy<Value = Value> {
    let names = [
        "name",
        "module",
        "component",
        "enabled",
        "priority",
        "concurrency",
        "labels",
        "config",
        "grants",
        "limits",
        "retry",
        "schedules",
        "schedule",
        "subscriptions",
        "subscription",
        "topic",
        "filter",
        "from",
        "/a",
        "breaker",
        "window",
        "slow",
        "open",
        "health",
        "healing",
        "mode",
        "ladder",
        "standby",
        "since",
        "http",
        "secrets",
        "ledger",
        "deployments",
        "topics",
        "to",
        "use",
        "fuel",
        "memory",
        "active",
        "lifetime",
        "attempts",
        "initial",
        "max",
        "factor",
        "jitter",
        "long_jitter",
        "then",
        "cron",
        "every",
        "phase",
        "at",
        "time_zone",
        "start",
        "end",
        "exclude",
        "overlap",
        "catch_up",
        "catch_up_window",
        "limit",
        "pause_after_failures",
        "input",
        "export",
        "concurrency_key",
        "concurrency_per_key",
        "rate",
        "runs",
        "per",
        "debounce",
        "wait",
        "key",
        "max_wait",
        "queue",
        "idempotency_ttl",
        "x",
    ];
    let texts = [
        "hello@0.1.0",
        "a",
        "30s",
        "64MiB",
        "3x60s",
        "https://example.com",
        "* * * * *",
        "0 0 L * MON#2",
        "Europe/Berlin",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "skip",
        "queue-one",
        "last",
        "sign",
        "park",
        "workflow",
        "orders.**",
        "earliest",
        "",
        "/a/b",
        "/a~",
        "1e9 days",
        "ä",
    ];
    let leaf = prop_oneof![
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 12, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(names.to_vec()), inner, 0..12)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A valid manifest, as JSON.
fn good() -> impl Strategy<Value = Value> {
    let schedule = (
        prop::sample::select(vec!["*/5 * * * *", "0 9 * * MON-FRI", "0 0 L * *", "@daily"]),
        prop::option::of(1_000u64..1 << 34),
        prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York"]),
        prop::sample::select(Overlap::ALL.to_vec()),
        0u64..3_600_000,
        (any::<bool>(), prop::option::of(1u64..=9), prop::option::of(1u32..=9)),
    );
    let flow = (
        prop::option::of(("(/[a-z~01]{0,6}){0,3}", 1u32..=CONCURRENCY_MAX)),
        prop::option::of((1u32..=100_000, 1_000u64..1 << 31)),
        prop::option::of((100u64..86_400_000, 0u64..1 << 28)),
        prop::option::of(1u64..=10_000_000),
        1_000u64..1 << 34,
    );
    let retry = (0u32..100, 0u64..1 << 29, 1_000u32..5_000, 0u32..=1_000, any::<bool>());
    (
        (1u8..=9, 1u32..=CONCURRENCY_MAX, any::<bool>(), "[a-z]{1,10}", "\\PC{0,20}"),
        prop::collection::vec(schedule, 0..4),
        (65_536u64..1 << 32, 1_000u64..1 << 40, 1u64..=3_600_000, prop::option::of(1_000u64..1 << 34)),
        retry,
        prop::collection::vec("https?://(\\*\\.)?[a-z]{1,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?", 0..4),
        prop::option::of(0u64..1 << 42),
        flow,
    )
        .prop_map(|((priority, concurrency, enabled, name, text), schedules, limits, retry, http, since, flow)| {
            let millis = |millis: u64| format!("{millis}ms");
            let schedules: Vec<_> = schedules.into_iter().enumerate().map(|(n, (cron, every, zone, overlap, jitter, (both, limit, failures)))| {
                let mut schedule = json!({
                    "name": format!("s{n}"), "cron": cron, "time_zone": zone, "overlap": overlap, "jitter": millis(jitter),
                    "repeated": if both { "both" } else { "first" }, "input": { "n": n }, "exclude": ["2026-12-25"],
                });
                if let Some(every) = every { schedule["every"] = millis(every).into(); }
                if let Some(limit) = limit { schedule["limit"] = limit.into(); }
                if let Some(failures) = failures { schedule["pause_after_failures"] = failures.into(); }
                schedule
            }).collect();
            let (memory, fuel, active, lifetime) = limits;
            let mut limits = json!({ "memory": memory, "fuel": fuel, "active": millis(active) });
            if let Some(lifetime) = lifetime { limits["lifetime"] = millis(lifetime).into(); }
            let (attempts, initial, factor, jitter, on_trap) = retry;
            let mut manifest = json!({
                "name": name, "module": format!("{name}@0.1.0"), "priority": priority, "concurrency": concurrency,
                "enabled": enabled, "labels": { "team": text.replace(char::is_control, "") }, "config": { "text": text },
                "schedules": schedules, "limits": limits, "health": enabled,
                "grants": { "http": http, "secrets": [{ "name": "k", "to": http, "use": "sign" }] },
                "retry": {
                    "attempts": attempts, "initial": millis(initial), "factor": f64::from(factor) / 1000.0,
                    "jitter": f64::from(jitter) / 1000.0, "on_trap": on_trap,
                },
            });
            let (key, rate, debounce, queue, ttl) = flow;
            let key = key.filter(|(key, _)| key.parse::<crate::flow::Pointer>().is_ok());
            if let Some((key, per_key)) = key {
                (manifest["concurrency_key"], manifest["concurrency_per_key"]) = (key.into(), per_key.into());
            }
            if let Some((runs, per)) = rate { manifest["rate"] = json!({ "runs": runs, "per": millis(per) }); }
            if let Some((wait, more)) = debounce {
                manifest["debounce"] = json!({ "wait": millis(wait), "key": "/id", "max_wait": millis(wait + more) });
            }
            if let Some(queue) = queue { manifest["queue"] = queue.into(); }
            manifest["idempotency_ttl"] = millis(ttl).into();
            if let Some(since) = since { manifest["since"] = Timestamp::from_millis(since).to_rfc3339().into(); }
            manifest
        })
}

fn same_at_rest(schedules: &[Schedule]) -> Result<(), TestCaseError> {
    let at_rest = CompactSchedules::of(schedules);
    for schedule in schedules {
        prop_assert_eq!(at_rest.get(schedule.name()), Some(schedule.clone()));
    }
    Ok(())
}

#[test]
fn a_manifest_grants_the_origins_of_the_common_table() {
    let table: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/origins.json")).unwrap();
    for row in table {
        let grants = json!({ "http": [row["text"]], "secrets": [{ "name": "key", "to": [row["text"]] }] });
        let manifest = json!({ "module": "m@1.0.0", "grants": grants }).to_string();
        let read = Manifest::parse_json(manifest.as_bytes()).ok().map(|it| it.grants);
        let read = read.map(|grants| (grants.http[0].to_string(), grants.secrets[0].to[0].to_string()));
        let expected = row["grant"].as_str().map(|grant| (grant.to_owned(), grant.to_owned()));
        assert_eq!(read, expected.filter(|(grant, _)| grant.len() <= 256), "{}", row["text"]);
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_with_a_pointer_each(value in nearly_a_manifest(), text in "\\PC{0,200}") {
        let _ = Manifest::parse_json(text.as_bytes());
        let _ = ModuleFile::parse_toml(&text);
        match parse(&value) {
            Ok(manifest) => {
                same_at_rest(&manifest.schedules)?;
                prop_assert_eq!(parse(&manifest.to_json()), Ok(manifest));
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(!problem.message.is_empty() && problem.message.len() < 600, "{}", problem);
                }
            }
        }
        if let Ok(text) = toml::to_string(&value) { let _ = ModuleFile::parse_toml(&text); }
    }

    #[test]
    fn a_manifest_reads_back_from_what_it_writes(value in good()) {
        let manifest = parse(&value).unwrap();
        let written = manifest.to_json();
        let again = parse(&written).unwrap();
        prop_assert_eq!(again.to_json(), written);
        same_at_rest(&manifest.schedules)?;
        prop_assert_eq!(again, manifest);
    }

    #[test]
    fn a_damaged_file_is_refused_or_read(at in 0..FILE.len(), by in "\\PC{0,3}", cut in 0usize..20) {
        let mut text = FILE.to_owned();
        text.replace_range(at..(at + cut).min(FILE.len()), &by);
        if let Err(problems) = ModuleFile::parse_toml(&text) { prop_assert!(!problems.is_empty()); }
    }
}
