//! Uploaded components.

use tidemill_engine::fuzzing::inspects_component;

use crate::Target;

/// A component with a nested module, debug information, names and two custom sections.
const SAMPLE: &str = r#"
(component
    (import "wasi:clocks/wall-clock@0.2.0" (instance $clock))
    (import "host" (func $host))
    (core module $m
        (func $named (export "run") (param i32) (result i32) (local i64)
            local.get 0 i32.const 7 i32.add)
        (memory (export "memory") 1)
        (@custom ".debug_info" "\0b\00\00\00\04\00\00\00\00\00\04\01")
        (@custom "producers" "\01\08language\01\04Rust\041.95"))
    (core instance $i (instantiate $m))
    (func (export "run") (param "n" s32) (result s32) (canon lift (core func $i "run")))
    (@custom "tidemill:schema" "{\"workflow\":{\"input\":{\"type\":\"object\"}}}"))
"#;

pub struct Component;

impl Target for Component {
    fn name(&self) -> &'static str {
        "component"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        wat::parse_str(SAMPLE).into_iter().collect()
    }

    fn dictionary(&self) -> &'static [&'static [u8]] {
        &[
            b"\0asm\x0d\x00\x01\x00",
            b"\0asm\x01\x00\x00\x00",
            b".debug_",
            b"name",
            b"producers",
            b"tidemill:schema",
            &[0x80, 0x80, 0x80, 0x80, 0x00],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x00, 0x0b],
            &[0x0a],
        ]
    }

    fn max_bytes(&self) -> usize {
        2_000
    }

    fn check(&self, input: &[u8]) -> bool {
        inspects_component(input)
    }
}
