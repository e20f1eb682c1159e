//! How long a thread may run before another that woke up takes its place.
//!
//! A guest that computes or touches fresh memory uses its slice to the last microsecond; Linux lets a thread that wakes meanwhile
//! interrupt it at once only where that one has asked for a shorter slice (`sched_setattr(2)`, `sched_runtime`, since
//! 6.12). So the host's threads ask for the shortest there is, the quick guests' for none, and the slow ones' for the longest, so
//! that whoever wakes on the machine interrupts them. A thread inherits the slice of the one that starts it. Where the
//! kernel knows nothing of it, all threads are as before.

/// The shortest slice that the kernel grants, in nanoseconds.
#[cfg(target_os = "linux")]
const SHORTEST: u64 = 100_000;
/// The longest.
#[cfg(target_os = "linux")]
const LONGEST: u64 = 100_000_000;

/// The calling thread, and those that it starts from now on, run as soon as they wake. For the host's own threads, which
/// work in short turns: call it before the first of them is started.
pub fn ask_for_short() {
    #[cfg(target_os = "linux")]
    set(SHORTEST);
}

/// The calling thread gives way to all that wake, and has longer turns for it.
pub(crate) fn ask_for_long() {
    #[cfg(target_os = "linux")]
    set(LONGEST);
}

/// The calling thread takes the system's usual turns.
pub(crate) fn ask_for_usual() {
    #[cfg(target_os = "linux")]
    set(0);
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no library has this call for ordinary threads")]
fn set(nanoseconds: u64) {
    // As in the manual page of `sched_setattr`; all that is not named is zero, policy SCHED_OTHER included.
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
    // SAFETY: the kernel reads `size` bytes from the pointer, which is a live value of that size and layout.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const attributes, no_flags) };
    if answer != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "threads keep their slice");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The thread's slice in nanoseconds, where the kernel shows it.
    fn slice() -> Option<u64> {
        let shown = std::fs::read_to_string("/proc/thread-self/sched").ok()?;
        let line = shown.lines().find(|line| line.starts_with("se.slice"))?;
        line.rsplit(':').next()?.trim().parse().ok()
    }

    #[test]
    fn a_thread_inherits_a_short_slice_and_can_have_the_usual_one() {
        let Some(usual) = slice() else { return };
        let (short, inherited, reset) = std::thread::spawn(|| {
            ask_for_short();
            let mine = slice();
            let theirs = std::thread::spawn(|| {
                let inherited = slice();
                ask_for_usual();
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
