//! Calls code that panics on unexpected input (sled does, on some damage and I/O errors). Turns the
//! panic into an error, and keeps its message off standard error because the error is handled.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`. If it panics, returns the panic's message as the error.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    hook();
    let before = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    QUIET.set(before);
    result.map_err(|panicked| panic_message(&*panicked))
}

/// Returns the message of a panic.
pub(super) fn panic_message(panicked: &(dyn Any + Send)) -> String {
    panicked
        .downcast_ref::<&str>()
        .map(|said| (*said).to_owned())
        .or_else(|| panicked.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Installs a panic hook: panics in a quiet call, and in sled's own threads, go to the log instead
/// of standard error.
fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            let sled = thread::current().name().is_some_and(|name| name.starts_with("sled-io-"));
            if sled || QUIET.get() {
                tracing::debug!(%panicked, "caught a panic");
            } else {
                before(panicked);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(catch(|| 7), Ok(7));
        assert_eq!(catch(|| panic!("torn at {}", 3)), Err::<(), _>("torn at 3".to_owned()));
    }
}
