//! The stack of a failed run, with source lines if its component has debug information.

use tidemill_core::{Code, ComponentDigest, RunId};
use tidemill_engine::{EngineError, SourceFrame, StackFrame, stack_of};

use crate::error::ControlError;
use crate::state::ControlPlane;

/// A failed run's stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunStack {
    /// The component that failed.
    pub component: ComponentDigest,
    /// Its frames, innermost first. Inlined functions have frames of their own.
    pub frames: Vec<StackFrame>,
    /// Why there are no source lines, if they could not be found.
    pub note: Option<String>,
}

impl ControlPlane {
    /// Returns the stack of a failed run. Reads the debug information of its component in a
    /// separate process.
    ///
    /// # Errors
    /// `host/run-not-found`; `host/run-state` if the run has no failure, or one without a stack.
    pub async fn stack(&self, id: RunId) -> Result<RunStack, ControlError> {
        let run = self.stored_run(id).await?;
        let frames = run.state.failure().and_then(stack_of).ok_or_else(|| {
            let detail = format!("the run is {}, and no failure with a stack is known of it", run.state.name());
            ControlError::refused_with(Code::RunState, detail, "A run has a stack after its guest has trapped.")
        })?;
        let component = run.component;
        let places: Vec<u64> = frames.iter().filter_map(|frame| frame.offset).collect();
        if places.is_empty() {
            return Ok(RunStack { component, frames, note: None });
        }
        match self.0.guests.source_lines(component, &places).await {
            Ok(lines) => Ok(RunStack { component, frames: with_lines(frames, lines), note: None }),
            Err(error) => {
                let why = match error {
                    EngineError::Refused { refused, .. } => refused.to_string(),
                    error => error.to_string(),
                };
                Ok(RunStack { component, frames, note: Some(format!("there are no source lines: {why}")) })
            }
        }
    }
}

/// Expands each frame with the source frames found at its offset. `lines` is in the order of the
/// offsets.
fn with_lines(frames: Vec<StackFrame>, lines: Vec<Vec<SourceFrame>>) -> Vec<StackFrame> {
    let mut lines = lines.into_iter();
    let each = frames.into_iter().flat_map(|frame| {
        let found = frame.offset.and_then(|_| lines.next()).unwrap_or_default();
        if found.is_empty() {
            return vec![frame];
        }
        let shown = |source: SourceFrame| StackFrame {
            function: source.function.unwrap_or_else(|| frame.function.clone()),
            offset: frame.offset,
            file: source.file,
            line: source.line,
        };
        found.into_iter().map(shown).collect()
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inlined_functions_have_frames_of_their_own() {
        let frame =
            |function: &str, offset| StackFrame { function: function.to_owned(), offset, ..StackFrame::default() };
        let source = |function: Option<&str>, line| SourceFrame {
            function: function.map(str::to_owned),
            file: Some("src/lib.rs".to_owned()),
            line: Some(line),
        };
        let frames = vec![frame("old", None), frame("outer", Some(7)), frame("bare", Some(9))];
        let lines = vec![vec![source(Some("inner"), 1), source(None, 2)], Vec::new()];
        let shown = with_lines(frames, lines);
        let shown: Vec<_> = shown.iter().map(|frame| (frame.function.as_str(), frame.line)).collect();
        assert_eq!(shown, [("old", None), ("inner", Some(1)), ("outer", Some(2)), ("bare", None)]);
    }
}
