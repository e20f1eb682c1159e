//! Rejected components: each with its own code and every problem named, within the compiler's
//! limits.

use proptest::prelude::*;
use tidemill_core::ComponentDigest;
use tidemill_engine::{CompilerCommand, ComponentRejection};

use crate::support::{TestHost, compiler, workflow};

impl TestHost {
    async fn admit(&self, bytes: &[u8]) -> Result<tidemill_engine::ComponentInfo, ComponentRejection> {
        let file = self.folder.path().join(format!("upload-{}", ComponentDigest::of(bytes).hex()));
        std::fs::write(&file, bytes).unwrap();
        self.engine.admit(&file, ComponentDigest::of(bytes)).await
    }

    async fn refuse(&self, wat: &str) -> ComponentRejection {
        self.admit(&wat::parse_str(wat).unwrap()).await.unwrap_err()
    }
}

fn codes(refused: &ComponentRejection) -> Vec<&'static str> {
    refused.problems.iter().map(|problem| problem.code.as_str()).collect()
}

#[tokio::test]
async fn files_that_are_not_components_are_refused_without_compiling() {
    let host = TestHost::new();
    let noise: Vec<u8> = (0..200u8).map(|n| n.wrapping_mul(97)).collect();
    for (bytes, words) in [
        (noise.as_slice(), "not WebAssembly"),
        (b"".as_slice(), "not WebAssembly"),
        (b"\0asm\x01\0\0\0".as_slice(), "core module"),
        (b"(component)".as_slice(), "text"),
    ] {
        let refused = host.admit(bytes).await.unwrap_err();
        assert_eq!(codes(&refused), ["host/component-invalid"]);
        assert!(refused.problems[0].message.contains(words), "{refused}");
    }
    assert_eq!(host.engine.stats().compiled, 0);
}

#[tokio::test]
async fn a_broken_component_is_refused_with_the_parsers_message() {
    let host = TestHost::new();
    let mut bytes = std::fs::read(tidemill_artifacts::noop()).unwrap();
    bytes.truncate(bytes.len() / 2);
    let refused = host.admit(&bytes).await.unwrap_err();
    assert_eq!(codes(&refused), ["host/component-invalid"]);
}

#[tokio::test]
async fn every_problem_is_named_with_the_nearest_name_and_a_fix() {
    let host = TestHost::new();
    let refused = host
        .refuse(
            r#"(component
                (import "tidemill:guest/states@0.1.0" (instance (export "get" (func))))
                (import "tidemill:guest/clock@0.2.0" (instance (export "now" (func))))
                (import "tidemill:guest/log@0.1.0" (instance (export "wriet" (func))))
                (import "wasi:http/outgoing-handler@0.2.0" (instance))
                (import "wasi:clocks/wall-clock@0.3.0" (instance))
                (import "acme:thing/api@1.0.0" (instance))
                (import "loose" (func))
            )"#,
        )
        .await;
    let messages: Vec<_> = refused.problems.iter().map(|problem| problem.message.as_str()).collect();
    for (at, words) in [
        "the nearest is `state`",
        "the host has `tidemill:guest/clock@0.1.0`",
        "no function `wriet`; the nearest is `write`",
        "wasi:http/outgoing-handler",
        "the host has `wasi:clocks/wall-clock@0.2`",
        "acme:thing/api@1.0.0",
        "`loose`, which is not an interface",
        "exports none of workflow",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(messages[at].contains(words), "{at}: {messages:#?}");
    }
    assert!(refused.problems.iter().all(|problem| !problem.fix.is_empty()));
    assert!(refused.problems[3].fix.contains("tidemill:guest/http"));
}

#[tokio::test]
async fn a_signature_that_differs_is_refused() {
    let host = TestHost::new();
    let refused = host
        .refuse(
            r#"(component
                (import "tidemill:guest/clock@0.1.0" (instance $clock (export "now" (func (result string)))))
                (core module $m (func (export "run")))
                (core instance $i (instantiate $m))
                (func $run (canon lift (core func $i "run")))
                (instance $workflow (export "run" (func $run)))
                (export "tidemill:guest/workflow@0.1.0" (instance $workflow))
            )"#,
        )
        .await;
    assert_eq!(codes(&refused), ["host/import-missing", "host/export-missing"]);
    assert!(refused.to_string().contains("now"), "{refused}");
}

#[tokio::test]
async fn every_function_with_a_different_type_is_named() {
    let host = TestHost::new();
    let refused = host
        .refuse(
            r#"(component
                (import "tidemill:guest/clock@0.1.0" (instance
                    (export "now" (func (result string)))
                    (export "sleep" (func (param "span" u64)))))
                (import "tidemill:guest/random@0.1.0" (instance (export "bytes" (func (param "len" u32) (result (list u8))))))
                (import "tidemill:guest/state@0.1.0" (instance
                    (export "get" (func (param "key" u32) (result (option (list u8)))))
                    (export "deleet" (func))))
                (import "acme:thing/api@1.0.0" (instance))
            )"#,
        )
        .await;
    let imports: Vec<_> =
        refused.problems.iter().filter(|problem| problem.code.as_str() == "host/import-missing").collect();
    for (problem, words) in imports.iter().zip([
        ["`now` of `tidemill:guest/clock@0.1.0`", "the host has `now: func() -> timestamp`"],
        ["`sleep` of `tidemill:guest/clock@0.1.0`", "`sleep: func(span: duration) -> result<_, failure>`"],
        ["`get` of `tidemill:guest/state@0.1.0`", "the host has `get: func(key: string)"],
        ["`tidemill:guest/state@0.1.0`", "no function `deleet`; the nearest is `delete`"],
        ["acme:thing/api@1.0.0", "which the host does not have"],
    ]) {
        assert!(words.iter().all(|words| problem.message.contains(words)), "{refused}");
        assert!(!problem.fix.is_empty());
    }
    assert_eq!(imports.len(), 5, "{refused}");
}

#[tokio::test]
async fn an_export_with_a_different_type_is_refused() {
    let host = TestHost::new();
    let refused = host
        .refuse(
            r#"(component
                (core module $m (func (export "run")))
                (core instance $i (instantiate $m))
                (func $run (canon lift (core func $i "run")))
                (instance $workflow (export "run" (func $run)))
                (export "tidemill:guest/workflow@0.1.0" (instance $workflow))
            )"#,
        )
        .await;
    assert_eq!(codes(&refused), ["host/export-missing"]);
    assert!(refused.to_string().contains("run: func(input: json) -> result<json, failure>"), "{refused}");
}

#[tokio::test]
async fn disabled_features_are_refused() {
    let host = TestHost::new();
    for wat in [
        "(component (core module (memory i64 1)))",
        "(component (core module (memory 1 1 shared)))",
        "(component (core module (tag)))",
        "(component (core module (type (struct))))",
    ] {
        assert_eq!(codes(&host.refuse(wat).await), ["host/component-invalid"], "{wat}");
    }
}

/// Functions of `statements` statements, each of which keeps the compiler busy.
pub fn large(functions: usize, statements: usize) -> Vec<u8> {
    importing("", functions, statements)
}

/// The same with imports.
fn importing(imports: &str, functions: usize, statements: usize) -> Vec<u8> {
    let mut body = String::from("(param i32) (result i32) (local i32 i32 i32 i32) ");
    for n in 0..statements {
        let (a, b) = (n % 5, (n * 7 + 1) % 5);
        body.push_str(&format!("(local.set {a} (i32.add (i32.mul (local.get {b}) (i32.const {n})) (local.get {a}))) "));
    }
    let function = format!("(func {body} (local.get 1))");
    let run = r#"(func (export "run") (param i32 i32) (result i32) i32.const 0)"#;
    workflow(imports, &format!("{run} {}", function.repeat(functions)))
}

#[tokio::test]
async fn a_component_that_exceeds_the_cpu_time_is_refused() {
    let host = TestHost::with(|config| config.compiler = CompilerCommand { seconds: 1, ..compiler() });
    let watch = tidemill_core::clock::Stopwatch::start();
    let refused = host.admit(&large(40, 20_000)).await.unwrap_err();
    assert_eq!(codes(&refused), ["host/compile-limit"], "{refused}");
    assert!(watch.elapsed().as_secs() < 30, "{:?}", watch.elapsed());
}

#[tokio::test]
async fn imports_are_refused_before_the_code_is_compiled() {
    let host = TestHost::with(|config| config.compiler = CompilerCommand { seconds: 2, ..compiler() });
    let http = r#"(import "wasi:http/outgoing-handler@0.2.0" (instance))"#;
    let refused = host.admit(&importing(http, 20, 20_000)).await.unwrap_err();
    assert_eq!(codes(&refused), ["host/import-missing"], "{refused}");
}

#[tokio::test]
async fn a_small_component_does_not_wait_for_slow_ones() {
    let quick = std::time::Duration::from_millis(100);
    let host = TestHost::with(|config| config.compiler = CompilerCommand { quick, ..compiler() });
    let (first, second) = (large(60, 20_000), large(61, 20_000));
    let bombs = async { tokio::join!(host.admit(&first), host.admit(&second)) };
    let small = async {
        // They have begun before it.
        tokio::task::yield_now().await;
        host.admit(&std::fs::read(tidemill_artifacts::noop()).unwrap()).await
    };
    tokio::select! {
        biased;
        ended = bombs => panic!("{ended:?}"),
        admitted = small => drop(admitted.unwrap()),
    }
}

#[tokio::test]
async fn a_name_far_from_all_others_has_no_suggestion() {
    let host = TestHost::new();
    let refused = host
        .refuse(
            r#"(component
                (import "wasi:keyvalue/store@0.2.0" (instance))
                (import "wasi:messaging/producer@0.2.0" (instance))
                (import "acme:thing/stdout@1.0.0" (instance))
                (import "wasi:clocks/wall-clok@0.2.0" (instance))
            )"#,
        )
        .await;
    let problems = &refused.problems;
    assert!(!problems[0].message.contains("nearest") && problems[0].fix.contains("tidemill:guest/state"), "{refused}");
    assert!(!problems[1].message.contains("nearest") && problems[1].fix.contains("tidemill:guest/events"), "{refused}");
    assert!(!problems[2].message.contains("nearest"), "{refused}");
    assert!(problems[3].message.contains("the nearest is `wasi:clocks/wall-clock`"), "{refused}");
}

#[tokio::test]
async fn a_component_that_exceeds_the_compilers_memory_is_refused() {
    let host = TestHost::with(|config| config.compiler = CompilerCommand { memory: 64 << 20, ..compiler() });
    let refused = host.admit(&large(4, 40_000)).await.unwrap_err();
    assert_eq!(codes(&refused), ["host/compile-limit"], "{refused}");
}

#[tokio::test]
async fn a_missing_compiler_is_a_failure_of_the_host() {
    let host = TestHost::with(|config| config.compiler = CompilerCommand::new("/nonexistent".into(), Vec::new()));
    let refused = host.admit(&large(1, 1)).await.unwrap_err();
    assert!(refused.host);
    assert_eq!(codes(&refused), ["host/internal"]);
}

#[test]
fn garbage_is_refused_without_a_panic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let host = runtime.block_on(async { TestHost::new() });
    let good = std::fs::read(tidemill_artifacts::noop()).unwrap();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    let change = (0..good.len(), any::<u8>(), 0..good.len());
    runner
        .run(&(proptest::collection::vec(change, 1..8), any::<bool>()), |(changes, cut)| {
            let mut bytes = good.clone();
            for (at, value, end) in changes {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
                if cut {
                    bytes.truncate(end.max(8));
                }
            }
            match runtime.block_on(host.admit(&bytes)) {
                Ok(_) => {}
                Err(refused) => prop_assert!(!refused.problems.is_empty() && !refused.host, "{refused}"),
            }
            Ok(())
        })
        .unwrap();
}
