//! The host's side of compiling: calls the child, bounds it, and says why it failed.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tidemill_core::{Code, ComponentDigest};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

use super::cache::Cache;
use super::worker::{EXIT_FAILED, EXIT_INVALID, EXIT_IO};
use crate::config::CompilerCommand;
use crate::error::{Problem, Refused};

/// What is read of the child's words.
const WORDS_BYTES: u64 = 16 * 1024;

/// Compiles components, so many at once.
#[derive(Debug)]
pub(crate) struct Compiler {
    command: CompilerCommand,
    jobs: Semaphore,
}

impl Compiler {
    /// With at most `jobs` at once.
    pub fn new(command: CompilerCommand, jobs: usize) -> Self {
        Self { command, jobs: Semaphore::new(jobs.max(1)) }
    }

    /// Compiles the component in `bytes_file` and leaves its code in the cache.
    ///
    /// # Errors
    /// With the problem of the component, or the host's own where the child could not be run.
    pub async fn compile(&self, bytes_file: &Path, digest: ComponentDigest, cache: &Cache) -> Result<(), Refused> {
        let _job = self.jobs.acquire().await.map_err(|error| Refused::by_host(error.to_string()))?;
        let scratch = cache.scratch();
        let compiled = self.run(bytes_file, &scratch).await.and_then(|()| {
            cache.keep(&scratch, digest).map_err(|error| Refused::by_host(format!("the code cache: {error}")))
        });
        if compiled.is_err() {
            let _ = std::fs::remove_file(&scratch);
        }
        compiled
    }

    async fn run(&self, from: &Path, to: &Path) -> Result<(), Refused> {
        let CompilerCommand { program, args, seconds, memory } = &self.command;
        let mut child = Command::new(program)
            .args(args)
            .arg(from)
            .arg(to)
            .arg(seconds.to_string())
            .arg(memory.to_string())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Refused::by_host(format!("the compiler could not be started: {error}")))?;
        let stderr = child.stderr.take();
        let work = async {
            let mut words = Vec::new();
            if let Some(stderr) = stderr {
                let mut stderr = stderr.take(WORDS_BYTES);
                let _ = stderr.read_to_end(&mut words).await;
                // What is beyond goes nowhere: the pipe closes here.
            }
            (child.wait().await, words)
        };
        // The child's own limit is of CPU time; this one is of the clock on the wall, for a child that waits.
        match tokio::time::timeout(Duration::from_secs(*seconds), work).await {
            Ok((Ok(status), words)) => judge(status, &String::from_utf8_lossy(&words), &self.command),
            Ok((Err(error), _)) => Err(Refused::by_host(format!("the compiler was lost: {error}"))),
            Err(_) => Err(too_much(&self.command)),
        }
    }
}

fn judge(status: ExitStatus, words: &str, command: &CompilerCommand) -> Result<(), Refused> {
    let words = words.trim();
    let last: String = words.lines().last().unwrap_or_default().chars().take(2000).collect();
    let starved = words.contains("memory allocation of") || words.contains("Cannot allocate memory");
    let problem = |code| Err(Refused::one(Problem::new(code, last.clone())));
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        _ if starved => Err(too_much(command)),
        (Some(code), _) if code == i32::from(EXIT_INVALID) => problem(Code::ComponentInvalid),
        (Some(code), _) if code == i32::from(EXIT_FAILED) => problem(Code::CompileFailed),
        (Some(code), _) if code == i32::from(EXIT_IO) => Err(Refused::by_host(format!("the compiler: {last}"))),
        // Killed: by its CPU limit, by the machine for want of memory, or by its own overflow.
        (None, Some(_)) => Err(too_much(command)),
        (code, _) => Err(Refused::by_host(format!("the compiler ended with {code:?}: {last}"))),
    }
}

fn too_much(command: &CompilerCommand) -> Refused {
    Refused::one(Problem::new(
        Code::CompileLimit,
        format!(
            "compiling took more than {} s or {} MiB, which is all that one component may take",
            command.seconds,
            command.memory >> 20
        ),
    ))
}
