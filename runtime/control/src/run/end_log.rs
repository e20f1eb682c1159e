//! Logs runs that failed or were parked. The number of lines is bounded, so that runs that keep
//! failing do not fill the disk.

use parking_lot::Mutex;
use tidemill_core::clock::Stopwatch;
use tidemill_core::run::{Run, RunState};

/// Maximum number of lines per second. The next line reports how many were omitted.
const LINES_PER_SECOND: u32 = 50;
/// Maximum length of a failure's message in a line, in characters.
const MESSAGE_CHARS: usize = 300;

/// Writes the log lines.
#[derive(Debug)]
pub(crate) struct EndLog {
    started: Stopwatch,
    budget: Mutex<Budget>,
}

/// What may still be written in the present second.
#[derive(Debug, Default)]
struct Budget {
    second: u64,
    lines: u32,
    left_out: u64,
}

impl Default for EndLog {
    fn default() -> Self {
        Self { started: Stopwatch::start(), budget: Mutex::default() }
    }
}

impl EndLog {
    /// Writes a line if the run failed or is parked.
    pub(crate) fn record(&self, run: &Run) {
        let (RunState::Failed(failure) | RunState::Parked(failure)) = &run.state else { return };
        let second = self.started.elapsed().as_secs();
        let budget = self.budget.lock().take(second);
        let Some(left_out) = budget else { return };
        if left_out > 0 {
            tracing::info!(left_out, "omitted log lines of failed or parked runs");
        }
        // The guest chose code and message. The `?` format escapes control characters.
        let detail: String = failure.message.chars().take(MESSAGE_CHARS).collect();
        let (id, deployment, attempt, code) = (run.id, &run.deployment, run.attempt, &failure.code);
        if matches!(run.state, RunState::Parked(_)) {
            tracing::info!(run = %id, %deployment, attempt, ?code, ?detail, "parked run");
        } else {
            tracing::info!(run = %id, %deployment, attempt, ?code, ?detail, "run failed for good");
        }
    }
}

impl Budget {
    /// Returns the number of omitted lines if a line may be written now.
    fn take(&mut self, second: u64) -> Option<u64> {
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_maximum_are_counted_and_not_written() {
        let mut budget = Budget::default();
        let written = (0..LINES_PER_SECOND + 7).filter(|_| budget.take(3).is_some()).count();
        assert_eq!(written, LINES_PER_SECOND as usize);
        assert_eq!((budget.take(4), budget.take(4)), (Some(7), Some(0)));
    }
}
