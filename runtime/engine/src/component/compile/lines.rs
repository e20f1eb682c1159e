//! Finds source lines in the debug information of a component. Only the child process does so: a
//! megabyte of debug information can describe a tree that fills any memory.

use gimli::{DwarfSections, EndianSlice, LittleEndian, SectionId};
use wasmparser::{Parser, Payload};

use crate::guest::stack::{SourceFrame, bounded_text, demangled};

/// Maximum number of functions for one offset, the inlined ones first.
const FRAMES: usize = 20;

/// One core module of a component: the range of its code, and its debug information.
#[derive(Default)]
struct CoreModule<'a> {
    code: std::ops::Range<usize>,
    sections: Vec<(&'a str, &'a [u8])>,
}

/// Returns the functions at each of `places`, which are offsets in the component's bytes. An offset
/// without debug information has none.
pub(crate) fn find(component: &[u8], places: &[u64]) -> Vec<Vec<SourceFrame>> {
    let modules = modules(component);
    let mut found: Vec<Vec<SourceFrame>> = places.iter().map(|_| Vec::new()).collect();
    for module in modules {
        let within = |place: u64| usize::try_from(place).is_ok_and(|place| module.code.contains(&place));
        if module.sections.is_empty() || !places.iter().any(|place| within(*place)) {
            continue;
        }
        let load = |id: SectionId| {
            let section = module.sections.iter().find(|(name, _)| *name == id.name());
            Ok::<_, gimli::Error>(section.map_or(&[][..], |(_, data)| data))
        };
        let Ok(sections) = DwarfSections::load(load) else { continue };
        let dwarf = sections.borrow(|data| EndianSlice::new(data, LittleEndian));
        let Ok(context) = addr2line::Context::from_dwarf(dwarf) else { continue };
        for (place, frames) in places.iter().zip(&mut found).filter(|(place, _)| within(**place)) {
            // Addresses in WebAssembly's debug information are relative to the code section.
            let address = place.saturating_sub(module.code.start as u64);
            let Ok(mut at) = context.find_frames(address).skip_all_loads() else { continue };
            while let Ok(Some(frame)) = at.next() {
                let name = frame.function.as_ref().and_then(|function| function.raw_name().ok());
                let location = frame.location.as_ref();
                frames.push(SourceFrame {
                    function: name.map(|name| demangled(&name)),
                    file: location.and_then(|location| location.file).map(bounded_text),
                    line: location.and_then(|location| location.line),
                });
                if frames.len() >= FRAMES {
                    break;
                }
            }
        }
    }
    found
}

fn modules(component: &[u8]) -> Vec<CoreModule<'_>> {
    let mut done = Vec::new();
    // A nested component ends where its parent continues; modules contain neither.
    let mut open = CoreModule::default();
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } => open = CoreModule::default(),
            Payload::CodeSectionStart { range, .. } => open.code = range,
            Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                open.sections.push((section.name(), section.data()));
            }
            Payload::End(_) if !open.code.is_empty() => done.push(std::mem::take(&mut open)),
            _ => {}
        }
    }
    done
}
