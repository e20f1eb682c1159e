//! Finds the line of a `tidemill.toml` to which the JSON pointer of a problem refers.

use toml::de::{DeTable, DeValue};

/// The 1-based line of `text` to which `pointer` refers, or the line of the deepest part of the
/// pointer that exists. `None` if the text is not TOML or no part of the pointer exists.
///
/// The lists of a manifest have other names in the file: `[[schedule]]` is `/schedules/0` in a
/// manifest. The fields under `[deployment]` are top-level fields of a manifest.
#[must_use]
pub fn line_of(text: &str, pointer: &str) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let parts: Vec<String> =
        pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let top = table.get_ref();
    let place = walk(top, &parts).or_else(|| {
        let deployment = top.iter().find(|(key, _)| key.get_ref() == "deployment")?.1;
        walk(deployment.get_ref().as_table()?, &parts)
    })?;
    Some(text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1)
}

/// The byte offset of the deepest part of the pointer that exists.
fn walk(table: &DeTable<'_>, parts: &[String]) -> Option<usize> {
    let (first, mut rest) = parts.split_first()?;
    let (key, value) = find(table, first)?;
    let (mut place, mut value) = (key, value);
    while let Some((part, after)) = rest.split_first() {
        let next = match value {
            DeValue::Table(table) => find(table, part),
            DeValue::Array(items) => {
                let item = part.parse::<usize>().ok().and_then(|at| items.get(at));
                item.map(|item| (item.span().start, item.get_ref()))
            }
            _ => None,
        };
        let Some((found, inner)) = next else { break };
        (place, value, rest) = (found, inner, after);
    }
    Some(place)
}

/// The position and the value of a key. A list may have its name in the singular.
fn find<'a, 'i>(table: &'a DeTable<'i>, name: &str) -> Option<(usize, &'a DeValue<'i>)> {
    let named = |name: &str| table.iter().find(|(key, _)| key.get_ref() == name);
    let (key, value) = named(name).or_else(|| named(name.strip_suffix('s')?))?;
    Some((key.span().start, value.get_ref()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
[module]
name = \"hello\"

[deployment]
priority = 9
labels = { tier = \"gold\" }

[limits]
fuel = 1

[[schedule]]
name = \"a\"
every = \"1h\"

[[schedule]]
name = \"b\"
input = { list = [1, 2] }
";

    #[test]
    fn a_pointer_leads_to_its_line() {
        for (pointer, line) in [
            ("/module/name", 2),
            ("/deployment/priority", 5),
            ("/priority", 5),
            ("/labels/tier", 6),
            ("/limits/fuel", 9),
            ("/limits/memory", 8),
            ("/schedules/0/every", 13),
            ("/schedule/1/name", 16),
            ("/schedules/1/cron", 15),
            ("/schedules/1/input/list/1", 17),
        ] {
            assert_eq!(line_of(TEXT, pointer), Some(line), "{pointer}");
        }
        assert_eq!(line_of(TEXT, ""), None);
        assert_eq!(line_of(TEXT, "/grants/http"), None);
        assert_eq!(line_of("= no toml", "/a"), None);
    }

    proptest! {
        #[test]
        fn no_text_and_no_pointer_make_a_panic(text in "\\PC{0,60}|(\\[?\\[?[a-c]{1,2}\\]?\\]?( = [0-9])?\n){0,6}", pointer in "(/[a-c0-9~]{0,3}){0,5}") {
            if let Some(line) = line_of(&text, &pointer) {
                prop_assert!(line >= 1 && line <= text.lines().count().max(1));
            }
        }
    }
}
