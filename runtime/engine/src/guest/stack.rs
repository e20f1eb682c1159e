//! A guest's stack in a failure: names and offsets, which cost nothing at a trap. Source lines are
//! looked up when a reader requests them ([`Engine::source_lines`](crate::Engine::source_lines)).
//!
//! Names come from the component, so everything derived from them is bounded: a mangled name can
//! describe a text of exponential size.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use tidemill_core::Failure;
use wasmtime::WasmBacktrace;

/// Maximum number of frames in a failure.
const FRAMES: usize = 20;
/// Maximum size of a name or path in a frame, in bytes.
const TEXT_BYTES: usize = 200;

/// One frame of a guest's stack in a failure's `details`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFrame {
    /// The function's demangled name, or its index in its module.
    pub function: String,
    /// Offset of the instruction in the component's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The source file, in failures of older hosts, which looked it up at the trap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in the source file, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A function at an offset of a component, from its debug information.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFrame {
    /// The demangled name.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line in the source file.
    pub line: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct FailureDetails {
    stack: Vec<StackFrame>,
}

/// Returns the stack in a failure's details, or in the details of the last attempt's failure;
/// innermost frame first.
#[must_use]
pub fn stack_of(failure: &Failure) -> Option<Vec<StackFrame>> {
    let details = failure.details.as_deref()?;
    let details = match serde_json::from_str::<Failure>(details) {
        Ok(last) => last.details?,
        Err(_) => details.to_owned(),
    };
    let FailureDetails { mut stack } = serde_json::from_str(&details).ok()?;
    stack.truncate(FRAMES);
    (!stack.is_empty()).then_some(stack)
}

/// Returns the guest's stack as a failure's details, innermost frame first: `{"stack":
/// [{"function", "offset"}]}`.
pub(crate) fn details_of(error: &wasmtime::Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames().iter().take(FRAMES);
    let stack: Vec<_> = frames
        .map(|frame| StackFrame {
            function: frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled),
            offset: frame.module_offset().map(|offset| offset as u64),
            ..StackFrame::default()
        })
        .collect();
    if stack.is_empty() {
        return None;
    }
    serde_json::to_string(&FailureDetails { stack }).ok()
}

/// Demangles a Rust function name; other names are unchanged.
pub(crate) fn demangled(name: &str) -> String {
    match rustc_demangle::try_demangle(name) {
        Ok(name) => bounded(&format_args!("{name:#}"), TEXT_BYTES, false),
        Err(_) => bounded_text(name),
    }
}

/// Returns the beginning of a text from the component.
pub(crate) fn bounded_text(text: &str) -> String {
    bounded(&text, TEXT_BYTES, false)
}

/// Returns the first line of an error's cause. A backtrace displays names, which are never
/// formatted here.
pub(crate) fn first_line(cause: &dyn fmt::Display) -> String {
    bounded(&cause, 256, true)
}

fn bounded(shown: &dyn fmt::Display, most: usize, one_line: bool) -> String {
    let mut text = BoundedText { text: String::new(), most, one_line };
    // The error means that the maximum was reached.
    let _ = write!(text, "{shown}");
    text.text
}

/// A writer that stops the formatting at its maximum size.
struct BoundedText {
    text: String,
    most: usize,
    one_line: bool,
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let line = if self.one_line { more.split('\n').next().unwrap_or_default() } else { more };
        let end = line.floor_char_boundary(self.most - self.text.len());
        self.text.push_str(&line[..end]);
        if end < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rust_names_are_demangled_and_others_are_unchanged() {
        assert_eq!(demangled("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
        assert_eq!(demangled("run"), "run");
        assert_eq!(demangled("_ZN3fooE_not_rust"), "_ZN3fooE_not_rust");
    }

    /// Each type in the name is twice the previous one: without a maximum, the text would fill any
    /// memory.
    #[test]
    fn a_name_of_exponential_size_is_cut() {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let (mut name, mut last) = ("IC1aTyyE".to_owned(), 4);
        for _ in 0..40 {
            let at = name.len();
            let back: String =
                [(last - 1) / 62, (last - 1) % 62].map(|digit: usize| char::from(DIGITS[digit])).iter().collect();
            name.push_str(&format!("TB{back}_B{back}_E"));
            last = at;
        }
        let shown = demangled(&format!("_R{name}E"));
        assert!(shown.starts_with("a::<(u64, u64), ((u64") && shown.len() <= TEXT_BYTES, "{shown}");
    }

    #[test]
    fn only_the_first_line_of_a_cause_is_formatted() {
        struct StackTrace;
        impl fmt::Display for StackTrace {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                writeln!(f, "a backtrace:")?;
                panic!("the second line was worked out");
            }
        }
        assert_eq!(first_line(&StackTrace), "a backtrace:");
    }

    #[test]
    fn a_stack_is_read_back_from_a_failure_and_from_one_of_an_older_host() {
        let of = |details: &str| stack_of(&Failure::new("host/trap", "").with_details(details));
        let stack =
            of(r#"{"stack":[{"function":"a","offset":7},{"function":"b","file":"src/lib.rs","line":3}]}"#).unwrap();
        assert_eq!((stack[0].offset, stack[1].line), (Some(7), Some(3)));
        assert!(of(r#"{"stack":[]}"#).is_none() && of("7").is_none());
        let last = Failure::new("host/trap", "").with_details(r#"{"stack":[{"function":"a"}]}"#);
        let all = of(&serde_json::to_string(&last).unwrap()).unwrap();
        assert_eq!(all[0].function, "a");
    }

    proptest! {
        #[test]
        fn any_name_is_bounded(name in "_(ZN|R)[A-Za-z0-9_.$]{0,300}|\\PC{0,300}") {
            prop_assert!(demangled(&name).len() <= TEXT_BYTES);
        }
    }
}
