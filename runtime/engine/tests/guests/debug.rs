//! Debug information: never read at a trap, found on request, and bounded whatever it contains.

use serde_json::json;
use tidemill_core::clock::Stopwatch;
use tidemill_core::{ComponentDigest, Failure};
use tidemill_engine::{CompilerCommand, EngineError, StackFrame, stack_of};

use crate::support::{TestHost, compiler, failure, workflow};

/// A workflow that traps, with custom sections in its module.
fn trapping(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let sections: String = sections
        .iter()
        .map(|(name, bytes)| {
            let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            format!(r#"(@custom "{name}" "{bytes}")"#)
        })
        .collect();
    let module = r#"(func $fall unreachable)
        (func (export "run") (param i32 i32) (result i32) call $fall i32.const 0)"#;
    workflow("", &format!("{module} {sections}"))
}

/// DWARF 4: one unit with one function `fall`, whose code is all line 7 of `guest.c`.
fn dwarf() -> Vec<(&'static str, Vec<u8>)> {
    let abbreviations = [
        // A unit with children: line table, name, first and last address.
        &[1, 0x11, 1, 0x10, 0x17, 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0, 0][..],
        // A function without children: name, first and last address.
        &[2, 0x2e, 0, 0x03, 0x08, 0x11, 0x01, 0x12, 0x06, 0, 0],
        &[0],
    ];
    let end = 200_u32.to_le_bytes();
    let mut unit = [&[4, 0][..], &[0; 4], &[4], &[1], &[0; 4], b"guest.c\0", &[0; 4], &end].concat();
    unit.extend([&[2][..], b"fall\0", &[0; 4], &end, &[0]].concat());
    let mut header = vec![1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0];
    header.extend(b"guest.c\0\0\0\0\0");
    // Address 0, advance six lines, a row; advance 200 bytes, the end.
    let program = [&[0, 5, 2, 0, 0, 0, 0][..], &[3, 6, 1], &[2, 0xc8, 0x01], &[0, 1, 1]].concat();
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    let lines = [&[4, 0][..], &length, &header, &program].concat();
    let sized = |bytes: Vec<u8>| [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat();
    vec![(".debug_abbrev", abbreviations.concat()), (".debug_info", sized(unit)), (".debug_line", sized(lines))]
}

async fn trap(host: &TestHost, component: &[u8]) -> (ComponentDigest, Failure, Vec<StackFrame>) {
    let digest = host.put_bytes(component);
    let job = host.job(host.engine.module(digest).await.unwrap());
    let (failure, _) = failure(job.run(json!({})).await);
    let stack = stack_of(&failure).unwrap_or_default();
    (digest, failure, stack)
}

fn places(stack: &[StackFrame]) -> Vec<u64> {
    stack.iter().filter_map(|frame| frame.offset).collect()
}

#[tokio::test]
async fn a_trap_keeps_names_and_offsets_and_lines_are_found_on_request() {
    let host = TestHost::new();
    let (digest, failure, stack) = trap(&host, &trapping(&dwarf())).await;
    assert_eq!(failure.code, "host/trap");
    assert_eq!((stack[0].function.as_str(), stack[0].line), ("fall", None));
    assert_eq!(stack.len(), 2);
    let lines = host.engine.source_lines(digest, &places(&stack)).await.unwrap();
    assert_eq!(lines.len(), 2);
    let found = &lines[0][0];
    assert_eq!(
        (found.function.as_deref(), found.file.as_deref(), found.line),
        (Some("fall"), Some("guest.c"), Some(7))
    );

    // A component without debug information, and offsets that do not exist.
    let (bare, _, stack) = trap(&host, &trapping(&[])).await;
    assert_eq!(host.engine.source_lines(bare, &places(&stack)).await.unwrap(), [vec![], vec![]]);
    let nowhere = host.engine.source_lines(digest, &[0, u64::MAX]).await.unwrap();
    assert_eq!(nowhere, [vec![], vec![]]);
}

#[tokio::test]
async fn compiled_code_has_no_debug_information() {
    let host = TestHost::new();
    let marker = b"a path of the author's machine".to_vec();
    trap(&host, &trapping(&[(".debug_str", marker.clone())])).await;
    let cache = std::fs::read_dir(host.folder.path().join("cache")).unwrap().next().unwrap().unwrap().path();
    for file in std::fs::read_dir(cache).unwrap() {
        let code = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!code.windows(marker.len()).any(|window| window == marker));
    }
}

/// A table of abbreviations that every unit reads again: 300 KB that fill gigabytes.
#[tokio::test]
async fn oversized_debug_information_does_not_affect_a_trap() {
    let host = TestHost::with(|config| config.compiler = CompilerCommand { seconds: 5, ..compiler() });
    let mut table: Vec<u8> = Vec::new();
    for code in 0x4000..0x4000 + 40_000_u32 {
        table.extend([code as u8 | 0x80, (code >> 7) as u8 | 0x80, (code >> 14) as u8, 0x11, 0, 0, 0]);
    }
    table.push(0);
    let unit = [&8_u32.to_le_bytes()[..], &[4, 0, 0, 0, 0, 0, 4, 0x80]].concat();
    let bomb = trapping(&[(".debug_abbrev", table), (".debug_info", unit.repeat(600))]);
    let watch = Stopwatch::start();
    let (digest, failure, stack) = trap(&host, &bomb).await;
    assert_eq!((failure.code.as_str(), stack[0].function.as_str()), ("host/trap", "fall"));
    assert!(watch.elapsed().as_secs() < 30, "{:?}", watch.elapsed());
    // A reader who requests the lines gets an answer, and the host is unharmed.
    match host.engine.source_lines(digest, &places(&stack)).await {
        Ok(lines) => assert!(lines.iter().all(Vec::is_empty)),
        Err(EngineError::Refused { refused, .. }) => {
            assert!(!refused.problems.is_empty())
        }
        Err(error) => panic!("{error}"),
    }
}
