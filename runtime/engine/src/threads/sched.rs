//! Sets the time slice of threads: how long a thread runs before a woken thread replaces it.
//!
//! A guest that computes or touches fresh memory uses its whole slice. A thread that wakes in that
//! time interrupts it at once only if the woken thread requested a shorter slice
//! (`sched_setattr(2)`, `sched_runtime`, since Linux 6.12). So the host's threads request the
//! shortest slice, quick guest threads the default, and slow guest threads the longest, so that
//! every woken thread interrupts them. A thread inherits the slice of its parent thread. On kernels
//! without this feature nothing changes.

/// Minimum slice of the kernel, in nanoseconds.
#[cfg(target_os = "linux")]
const SHORTEST: u64 = 100_000;
/// Maximum slice of the kernel, in nanoseconds.
#[cfg(target_os = "linux")]
const LONGEST: u64 = 100_000_000;

/// Requests the shortest slice for the calling thread and the threads that it starts later, so that
/// they run as soon as they wake. For the host's own threads, which work in short turns: call it
/// before the first of them is started.
pub fn request_short_slice() {
    #[cfg(target_os = "linux")]
    set(SHORTEST);
}

/// Requests the longest slice: the thread yields to every woken thread, and has longer turns in
/// return.
pub(crate) fn request_long_slice() {
    #[cfg(target_os = "linux")]
    set(LONGEST);
}

/// Requests the system's default slice.
pub(crate) fn request_default_slice() {
    #[cfg(target_os = "linux")]
    set(0);
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no library has this call for ordinary threads")]
fn set(nanoseconds: u64) {
    // As in the manual page of `sched_setattr`; fields that are not set are zero, including the
    // policy SCHED_OTHER.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        nice: rustix::process::getpriority_process(None).unwrap_or_default(),
        runtime: nanoseconds,
        ..Attributes::default()
    };
    let (this_thread, no_flags) = (0, 0);
    // SAFETY: the kernel reads `size` bytes from the pointer, which is a live value of that size
    // and layout.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const attributes, no_flags) };
    if answer != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the kernel refused a time slice for a thread");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Returns the thread's slice in nanoseconds, if the kernel reports it.
    fn slice() -> Option<u64> {
        let shown = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
        let line = shown.lines().find(|line| line.starts_with("se.slice"))?;
        line.rsplit(':').next()?.trim().parse().ok()
    }

    #[test]
    fn a_thread_inherits_a_short_slice_and_can_reset_it() {
        let Some(usual) = slice() else { return };
        let (short, inherited, reset) = std::thread::spawn(|| {
            request_short_slice();
            let mine = slice();
            let theirs = std::thread::spawn(|| {
                let inherited = slice();
                request_default_slice();
                (inherited, slice())
            });
            let (inherited, reset) = theirs.join().unwrap();
            (mine, inherited, reset)
        })
        .join()
        .unwrap();
        if short == Some(usual) {
            return; // An older kernel.
        }
        assert_eq!((short, inherited, reset), (Some(SHORTEST), Some(SHORTEST), Some(usual)));
    }
}
