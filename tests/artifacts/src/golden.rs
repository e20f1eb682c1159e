//! Golden files: output that users see and bytes that are stored. Tests compare them with the
//! output of the present code.
//!
//! `TIDEMILL_BLESS=1 cargo test` rewrites them. The difference is part of the review.

use std::path::Path;

/// Compares `text` with the golden file `name` in `tests/golden` of the crate in `crate_dir`.
///
/// # Panics
/// Panics with the first line that differs. If `TIDEMILL_BLESS` is set, writes the file instead.
pub fn check(crate_dir: &str, name: &str, text: &str) {
    check_file(&Path::new(crate_dir).join("tests/golden").join(name), text);
}

/// As [`check`], for a file at any path.
///
/// # Panics
/// As [`check`].
pub fn check_file(path: &Path, text: &str) {
    if std::env::var_os("TIDEMILL_BLESS").is_some() {
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
        assert!(written.is_ok(), "{} cannot be written: {written:?}", path.display());
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    if let Some(difference) = difference(&golden, text) {
        let path = path.display();
        assert!(golden == text, "{path} differs; if that is meant, run TIDEMILL_BLESS=1 cargo test\n{difference}");
    }
}

/// The first line in which two texts differ.
fn difference(golden: &str, text: &str) -> Option<String> {
    if golden == text {
        return None;
    }
    let (mut golden, mut text) = (golden.split('\n'), text.split('\n'));
    for line in 1_u32.. {
        let (before, now) = (golden.next(), text.next());
        if before != now {
            let shown = |line: Option<&str>| line.map_or_else(|| "(end)".to_owned(), str::to_owned);
            return Some(format!("line {line}\n  golden: {}\n  now:    {}", shown(before), shown(now)));
        }
    }
    None
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let found = difference("a\nb\n", "a\nc\n");
        assert_eq!(found.as_deref(), Some("line 2\n  golden: b\n  now:    c"));
        assert_eq!(difference("a", "a\n").as_deref(), Some("line 2\n  golden: (end)\n  now:    "));
        assert!(difference("", "a").is_some(), "a file that is missing");
    }

    #[test]
    fn hexadecimal_digits_are_two_a_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
