//! Failpoints: named places at which a test can end the process, as `kill -9` does. The host must
//! recover from the disk alone.
//!
//! Besides `clock.rs`, this is the only file of this crate that reads from the machine: two
//! environment variables, once.
//!
//! - `TIDEMILL_CRASH_AT=NAME:COUNT` ends the process when execution passes the failpoint for the
//!   COUNT-th time since it started.
//! - `TIDEMILL_CRASH_TRACE=FILE` appends the name of each failpoint that is passed to that file,
//!   one line each.
//!
//! If neither is set, a failpoint is one relaxed load. In a release build without the feature
//! `failpoints` it compiles to nothing.

/// Passes the failpoint `name`: ends the process here if a test requested it.
#[inline]
pub fn hit(name: &'static str) {
    #[cfg(any(debug_assertions, feature = "failpoints"))]
    guarded::pass(name);
    #[cfg(not(any(debug_assertions, feature = "failpoints")))]
    let _ = name;
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
mod guarded {
    use std::fs::File;
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    const UNKNOWN: u8 = 0;
    const OPEN: u8 = 1;
    const WATCHED: u8 = 2;

    static WATCH: AtomicU8 = AtomicU8::new(UNKNOWN);

    #[inline]
    pub(super) fn pass(name: &'static str) {
        if WATCH.load(Ordering::Relaxed) != OPEN {
            watched(name);
        }
    }

    #[cold]
    fn watched(name: &'static str) {
        static REQUEST: OnceLock<CrashRequest> = OnceLock::new();
        let request = REQUEST.get_or_init(|| {
            let request = CrashRequest::of(
                std::env::var("TIDEMILL_CRASH_AT").ok().as_deref(),
                std::env::var_os("TIDEMILL_CRASH_TRACE")
                    .and_then(|path| File::options().append(true).create(true).open(path).ok()),
            );
            WATCH.store(if request.is_empty() { OPEN } else { WATCHED }, Ordering::Relaxed);
            request
        });
        if request.ends(name) {
            // No destructor runs and nothing is flushed.
            std::process::abort();
        }
    }

    /// The request in the environment variables.
    #[derive(Debug, Default)]
    pub(super) struct CrashRequest {
        at: Option<(String, u64)>,
        passed: AtomicU64,
        trace: Option<File>,
    }

    impl CrashRequest {
        pub(super) fn of(at: Option<&str>, trace: Option<File>) -> Self {
            let at = at
                .and_then(|at| at.rsplit_once(':'))
                .and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
            Self { at, trace, ..Self::default() }
        }

        fn is_empty(&self) -> bool {
            self.at.is_none() && self.trace.is_none()
        }

        /// Records that execution passes a failpoint; returns whether the process ends there.
        pub(super) fn ends(&self, name: &str) -> bool {
            if let Some(mut trace) = self.trace.as_ref() {
                // One write, so that lines of several threads do not mix.
                let _ = trace.write_all(format!("{name}\n").as_bytes());
            }
            let Some((at, count)) = &self.at else { return false };
            at == name && self.passed.fetch_add(1, Ordering::Relaxed) + 1 == *count
        }
    }
}

#[cfg(all(test, any(debug_assertions, feature = "failpoints")))]
mod tests {
    use super::guarded::CrashRequest;

    #[test]
    fn a_failpoint_ends_the_process_once_at_its_count_and_no_other_failpoint_does() {
        let request = CrashRequest::of(Some("store/append:3"), None);
        let ends: Vec<bool> = (0..5).map(|_| request.ends("store/append")).collect();
        assert_eq!(ends, [false, false, true, false, false]);
        assert!(!request.ends("store/synced"));
    }

    #[test]
    fn a_malformed_request_ends_nothing() {
        for at in [None, Some(""), Some("store/append"), Some("store/append:often")] {
            assert!(!CrashRequest::of(at, None).ends("store/append"), "{at:?}");
        }
    }

    #[test]
    fn the_trace_has_a_line_for_each_passed_failpoint() {
        let file = std::env::temp_dir().join(format!("tidemill-failpoint-{}", std::process::id()));
        let trace = std::fs::File::options().append(true).create(true).open(&file).unwrap();
        let request = CrashRequest::of(None, Some(trace));
        assert!(!request.ends("a") && !request.ends("b"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a\nb\n");
        std::fs::remove_file(&file).unwrap();
    }
}
