//! Confines the child process once it has opened its files: it may compute, allocate, write to open
//! files, and end.
//!
//! Limits apply on every Unix. On Linux the child also ends with the host, and a seccomp filter
//! refuses every other system call with `EPERM`: a component that exploits the compiler reaches no
//! files, network or processes.

use rustix::process::{Resource, Rlimit, getppid, setpriority_process, setrlimit};

use crate::threads::sched;

/// The lowest priority, so that uploads do not slow runs down.
const NICE: i32 = 19;
/// Maximum size of a file that the child writes, in bytes.
const FILE_BYTES: u64 = 1 << 30;
/// Maximum number of open files of the child.
const FILES: u64 = 64;

/// Limits the process to `seconds` of CPU time and `memory` bytes of address space. `host` is the
/// process that started it.
///
/// # Errors
/// If the system refuses a limit, or the host has ended.
pub(crate) fn limit(seconds: u64, memory: u64, host: u32) -> Result<(), String> {
    let limit = |resource, value| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
            .map_err(|error| format!("cannot set a limit: {error}"))
    };
    sched::request_default_slice();
    setpriority_process(None, NICE).map_err(|error| format!("cannot lower the priority: {error}"))?;
    limit(Resource::As, memory)?;
    limit(Resource::Cpu, seconds)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES)?;
    limit(Resource::Nproc, 0)?;
    limit(Resource::Fsize, FILE_BYTES)?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|error| format!("cannot set the parent-death signal: {error}"))?;
    // The host may have ended before the death signal was set.
    if getppid().is_none_or(|parent| parent.as_raw_nonzero().get().unsigned_abs() != host) {
        return Err("the host has ended".to_owned());
    }
    Ok(())
}

/// Restricts the thread to computing, allocating, writing to open files and ending. On a kernel
/// without seccomp only the limits apply.
#[cfg(target_os = "linux")]
pub(crate) fn confine() -> Result<(), seccompiler::Error> {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};

    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
    let rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error().unsigned_abs());
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, arch)?;
    // It sets `no_new_privs` as well.
    match seccompiler::apply_filter(&seccompiler::BpfProgram::try_from(filter)?) {
        Err(seccompiler::Error::Prctl(_) | seccompiler::Error::Seccomp(_)) => Ok(()),
        applied => applied,
    }
}

/// Other systems have no such filter.
#[cfg(not(target_os = "linux"))]
pub(crate) fn confine() -> Result<(), std::convert::Infallible> {
    Ok(())
}

/// The system calls of allocators, locks, standard output, an open file, signals and the end of the
/// process.
#[cfg(target_os = "linux")]
const ALLOWED: [i64; 31] = [
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{ErrorKind, Write as _};

    #[test]
    fn a_confined_thread_can_only_compute_and_write() {
        let mut open = tempfile::tempfile().unwrap();
        let refused = std::thread::spawn(move || {
            super::confine().unwrap();
            let room = std::hint::black_box(vec![1_u8; 8 << 20]);
            open.write_all(&room).unwrap();
            open.sync_all().unwrap();
            [
                std::fs::read("/etc/hostname").map(drop).unwrap_err().kind(),
                std::net::TcpListener::bind("127.0.0.1:0").map(drop).unwrap_err().kind(),
                std::process::Command::new("/bin/true").status().map(drop).unwrap_err().kind(),
                std::fs::remove_file("/nowhere/at/all").unwrap_err().kind(),
            ]
        });
        assert_eq!(refused.join().unwrap(), [ErrorKind::PermissionDenied; 4]);
    }
}
