//! Reads the parts of a component that are not code. Only the child process does so: the host never
//! parses what a component's author wrote.

use std::ops::Range;

use tidemill_core::schema::{SECTION, SECTION_BYTES, read_section};
use wasmparser::{ComponentImportSectionReader, KnownCustom, Name, NameSectionReader, Parser, Payload};

/// Maximum size of a function name that is kept, in bytes. A trap copies the names of its frames in
/// the host.
const NAME_BYTES: usize = 4096;
/// Programs in a `producers` section that make a component of JavaScript with a snapshot of its
/// heap.
const JAVASCRIPT: [&str; 4] = ["javascript", "componentize", "starlingmonkey", "quickjs"];

/// The content of a component.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// The schemas of its workflow, as JSON.
    pub schemas: Option<String>,
    /// Warnings for the component's author.
    pub warnings: Vec<String>,
    /// Custom sections that the compiler must not see: the positions of their names, and the ranges
    /// of their data.
    hidden: Vec<(usize, Range<usize>)>,
    /// The bodies of its functions.
    bodies: Vec<Range<usize>>,
}

impl Inspection {
    /// Inspects a component as far as it can be parsed. The compiler reports the rest.
    pub fn of(component: &[u8]) -> Self {
        let mut found = Self::default();
        let (mut depth, mut schemas, mut javascript) = (0_usize, None, false);
        let mut imports = Imports::default();
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => imports.read(section),
                Payload::CodeSectionEntry(body) => found.bodies.push(body.range()),
                Payload::CustomSection(section) => {
                    let data = section.data_offset()..section.data_offset() + section.data().len();
                    let hidden = match section.as_known() {
                        KnownCustom::Name(names) => has_long_name(names),
                        KnownCustom::Producers(fields) => {
                            let fields = fields.into_iter().map_while(Result::ok);
                            let mut values = fields.flat_map(|field| field.values.into_iter().map_while(Result::ok));
                            javascript |= values.any(|value| {
                                let name = value.name.to_ascii_lowercase();
                                JAVASCRIPT.iter().any(|known| name.contains(known))
                            });
                            false
                        }
                        _ => section.name().starts_with(".debug_"),
                    };
                    if hidden {
                        found.hidden.push((data.start - section.name().len(), data.clone()));
                    }
                    if schemas.is_none() && section.name() == SECTION {
                        schemas = section.data().get(..section.data().len().min(SECTION_BYTES + 1));
                    }
                }
                _ => {}
            }
        }
        match schemas.filter(|section| !section.is_empty()).map(read_section) {
            Some(Ok(schemas)) => found.schemas = Some(schemas),
            Some(Err(bad)) => found.warnings.push(bad.to_string()),
            None => {}
        }
        if javascript {
            found.warnings.extend(imports.frozen());
        }
        found
    }

    /// Blanks debug information and overlong names in place, so that nothing else moves.
    pub fn hide(&self, component: &mut [u8]) {
        for (name, data) in &self.hidden {
            if let Some(first) = component.get_mut(*name) {
                *first = b'x';
            }
            if let Some(data) = component.get_mut(data.clone()) {
                data.fill(0);
            }
        }
    }

    /// Returns the component with bodies that only trap: it has the same imports and exports, and
    /// compiles quickly.
    pub fn with_stub_bodies(&self, component: &[u8]) -> Vec<u8> {
        const UNREACHABLE: u8 = 0x00;
        const NOP: u8 = 0x01;
        const END: u8 = 0x0b;
        let mut stub = component.to_vec();
        for body in &self.bodies {
            // No locals, `unreachable`, and `nop` in the rest; the shortest body is no locals and
            // `end`.
            if let Some([locals, first, rest @ .., last]) = stub.get_mut(body.clone()) {
                (*locals, *first, *last) = (0, UNREACHABLE, END);
                rest.fill(NOP);
            }
        }
        stub
    }
}

/// Which interfaces of a JavaScript runtime are imported.
#[derive(Debug, Default)]
struct Imports {
    clock: bool,
    random: bool,
}

impl Imports {
    fn read(&mut self, section: ComponentImportSectionReader<'_>) {
        for import in section.into_iter().map_while(Result::ok) {
            self.clock |= import.name.name.starts_with("wasi:clocks/wall-clock@");
            self.random |= import.name.name.starts_with("wasi:random/");
        }
    }

    /// Returns a warning for each value that the snapshot has frozen because its interface is not
    /// imported.
    fn frozen(&self) -> impl Iterator<Item = String> + use<> {
        let clock = (!self.clock).then_some(
            "the component is JavaScript and does not import `wasi:clocks/wall-clock`: `Date` shows the time at which it was \
             built; build it with clocks, or use `tidemill:guest/clock`",
        );
        let random = (!self.random).then_some(
            "the component is JavaScript and does not import `wasi:random`: `Math.random` gives the same numbers in every \
             run; build it with random numbers, or use `tidemill:guest/random`",
        );
        clock.into_iter().chain(random).map(str::to_owned)
    }
}

fn has_long_name(names: NameSectionReader<'_>) -> bool {
    names.into_iter().map_while(Result::ok).any(|names| match names {
        Name::Function(names) => names.into_iter().map_while(Result::ok).any(|naming| naming.name.len() > NAME_BYTES),
        Name::Module { name, .. } => name.len() > NAME_BYTES,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(inside: &str) -> Vec<u8> {
        wat::parse_str(format!("(component {inside})")).unwrap()
    }

    fn with_schemas(section: &str) -> Inspection {
        Inspection::of(&component(&format!(r#"(core module (@custom "{SECTION}" "{section}"))"#)))
    }

    #[test]
    fn schemas_of_a_module_inside_are_found() {
        let known = with_schemas(r#"{\"workflow\":{\"input\":{\"type\":\"string\"}}}"#);
        assert!(known.schemas.unwrap().contains("string") && known.warnings.is_empty());
        let empty = with_schemas("");
        assert!(empty.schemas.is_none() && empty.warnings.is_empty());
        assert!(Inspection::of(b"not wasm").schemas.is_none());
    }

    #[test]
    fn schemas_that_are_too_long_are_a_warning() {
        let long = with_schemas(&" ".repeat(SECTION_BYTES + 1));
        assert!(long.schemas.is_none() && long.warnings[0].contains("bytes"), "{long:?}");
    }

    #[test]
    fn debug_sections_and_overlong_names_are_blanked_in_place() {
        let long = "n".repeat(NAME_BYTES + 1);
        for (inside, secret) in [
            (r#"(core module (@custom ".debug_info" "secret"))"#.to_owned(), "secret"),
            (r#"(component (core module (@custom ".debug_str" "secret")))"#.to_owned(), "secret"),
            (format!("(core module (func ${long}))"), long.as_str()),
        ] {
            let before = component(&inside);
            let mut after = before.clone();
            Inspection::of(&before).hide(&mut after);
            assert_eq!(after.len(), before.len());
            let found = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(found(&before) && !found(&after), "{inside:.60}");
            assert!(wasmparser::Validator::new().validate_all(&after).is_ok());
        }
    }

    #[test]
    fn a_hollow_component_is_valid_and_of_the_same_size() {
        let whole = component(
            r#"(core module (memory 1)
                (func) (func (param i32) (result i32) (local i64) local.get 0)
                (func (export "f") (result i64) i64.const 123456789012))"#,
        );
        let stub = Inspection::of(&whole).with_stub_bodies(&whole);
        assert_eq!(stub.len(), whole.len());
        assert_ne!(stub, whole);
        wasmparser::Validator::new().validate_all(&stub).unwrap();
    }

    #[test]
    fn a_javascript_snapshot_without_clock_and_random_is_warned_of() {
        let producers = r#"(@producers (language "JavaScript" "") (processed-by "ComponentizeJS" "0.18"))"#;
        let module = format!("(core module {producers})");
        let frozen = Inspection::of(&component(&module)).warnings;
        assert_eq!(frozen.len(), 2, "{frozen:?}");
        assert!(frozen[0].contains("`Date`") && frozen[1].contains("`Math.random`"), "{frozen:?}");
        let clock = r#"(import "wasi:clocks/wall-clock@0.2.3" (instance))"#;
        let random = r#"(import "wasi:random/random@0.2.3" (instance))"#;
        assert!(Inspection::of(&component(&format!("{clock} {random} {module}"))).warnings.is_empty());
        assert!(Inspection::of(&component("(core module)")).warnings.is_empty());
    }
}
