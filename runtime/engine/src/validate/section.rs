//! The schemas that a component carries in a section of its own. Where there is none, or none that can be used, nothing is checked by it.

use std::path::Path;

use tidemill_core::schema::{SECTION, SECTION_BYTES, read_section};
use wasmparser::{Parser, Payload};

/// The component's schemas as text, or what its author should know of them. The file is a component that compiles.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn read(component: &Path) -> std::io::Result<(Option<String>, Option<String>)> {
    let bytes = std::fs::read(component)?;
    let Some(section) = find(&bytes) else { return Ok((None, None)) };
    Ok(match read_section(section) {
        Ok(schemas) => (Some(schemas), None),
        Err(bad) => (None, Some(bad.to_string())),
    })
}

/// The first of that name, in the component or in a module inside it. One that is too long is cut by nobody, and refused by who reads it.
fn find(component: &[u8]) -> Option<&[u8]> {
    let found = Parser::new(0).parse_all(component).map_while(Result::ok).find_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == SECTION => Some(section.data()),
        _ => None,
    })?;
    let first = found.get(..found.len().min(SECTION_BYTES + 1))?;
    (!first.is_empty()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(section: &str) -> Vec<u8> {
        let text = format!(r#"(component (core module (@custom "{SECTION}" "{section}")))"#);
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn a_section_of_a_module_inside_is_found() {
        assert_eq!(find(&component("hello")), Some(&b"hello"[..]));
        assert_eq!(find(&component("")), None);
        assert_eq!(find(&wat::parse_str("(component)").unwrap()), None);
        assert_eq!(find(b"not wasm"), None);
    }

    #[test]
    fn one_that_is_too_long_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, component(&" ".repeat(SECTION_BYTES + 1))).unwrap();
        let (schemas, warning) = read(file.path()).unwrap();
        assert!(schemas.is_none() && warning.unwrap().contains("bytes"));
    }
}
