//! Extracts a guest's own panic message: languages write it to standard error and then execute
//! `unreachable`.

/// Maximum size of a panic's text in a failure's message, in bytes.
const TEXT_BYTES: usize = 4 * 1024;

/// The last bytes that a guest wrote to standard error, logged or replayed.
#[derive(Debug, Default)]
pub(crate) struct StderrTail(Vec<u8>);

impl StderrTail {
    /// Number of bytes kept.
    const BYTES: usize = 16 * 1024;

    /// Appends bytes that the guest wrote.
    pub fn extend(&mut self, more: &[u8]) {
        let more = more.get(more.len().saturating_sub(Self::BYTES)..).unwrap_or_default();
        // Make room for several writes at once, so that each byte moves only once.
        if self.0.len() + more.len() > 2 * Self::BYTES {
            self.0.drain(..(self.0.len() + more.len() - Self::BYTES).min(self.0.len()));
        }
        self.0.extend_from_slice(more);
    }

    /// Returns the last panic in one line: place and message.
    pub fn panic(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0);
        // Rust: "thread 'main' panicked at src/lib.rs:3:5:\nmessage\nnote: run with …".
        let rust = text.rfind("panicked at ").map(|at| ("the guest ", text.get(at..).unwrap_or_default()));
        // Go writes "panic: message", and C "Assertion failed: …".
        let other = || {
            let starts = ["panic: ", "Assertion failed: "];
            let at = starts.iter().filter_map(|start| text.rfind(start)).max()?;
            Some(("the guest ended with: ", text.get(at..)?))
        };
        let (prefix, words) = rust.or_else(other)?;
        let end = ["\nnote: run with", "\nstack backtrace:", "\n\ngoroutine ", "\nthread '"];
        let end = end.iter().filter_map(|end| words.find(end)).min().unwrap_or(words.len());
        let mut line = prefix.to_owned();
        let whole = words.get(..end).unwrap_or_default().split(|c: char| c.is_whitespace() || c.is_control());
        for word in whole.filter(|word| !word.is_empty()) {
            if line.len() + word.len() > TEXT_BYTES {
                line.push('…');
                break;
            }
            line.push_str(word);
            line.push(' ');
        }
        line.truncate(line.trim_end().len());
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn panic(text: &str) -> Option<String> {
        let mut tail = StderrTail::default();
        // The result must not depend on how the writes are split.
        text.as_bytes().chunks(7).for_each(|piece| tail.extend(piece));
        tail.panic()
    }

    #[test]
    fn a_panic_is_reported_in_one_line() {
        let rust = "\nthread 'main' (1) panicked at src/lib.rs:3:5:\nassertion `left == right` failed: sums\n  left: 1\n \
                    right: 2\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            panic(rust).unwrap(),
            "the guest panicked at src/lib.rs:3:5: assertion `left == right` failed: sums left: 1 right: 2"
        );
        let go = "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:\n";
        assert_eq!(
            panic(go).unwrap(),
            "the guest ended with: panic: runtime error: index out of range [3] with length 3"
        );
        let c = "Assertion failed: n > 0 (main.c: f: 7)\n";
        assert_eq!(panic(c).unwrap(), "the guest ended with: Assertion failed: n > 0 (main.c: f: 7)");
        assert_eq!(panic("all is well\n"), None);
    }

    #[test]
    fn the_last_of_several_panics_counts() {
        let text = "thread 'a' panicked at a.rs:1:1:\nfirst\nthread 'b' panicked at b.rs:2:2:\nsecond\n";
        assert_eq!(panic(text).unwrap(), "the guest panicked at b.rs:2:2: second");
        let after = format!("{}{text}", "x".repeat(100_000));
        assert!(panic(&after).unwrap().ends_with("second"));
    }

    proptest! {
        #[test]
        fn a_panic_is_bounded_whatever_is_written(pieces in prop::collection::vec(("panicked at |panic: |x\n|\u{1b}\\[2J", 0usize..40_000), 0..20)) {
            let mut tail = StderrTail::default();
            for (piece, times) in pieces {
                tail.extend(piece.repeat(times).as_bytes());
                prop_assert!(tail.0.len() <= 2 * StderrTail::BYTES);
            }
            let line = tail.panic().unwrap_or_default();
            prop_assert!(line.len() <= TEXT_BYTES + 8 && !line.contains(char::is_control));
        }
    }
}
