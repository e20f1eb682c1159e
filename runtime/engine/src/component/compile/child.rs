//! The host's side of compiling: starts the child, limits it, and explains its failure.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tidemill_core::{Code, ComponentDigest};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::component::compile::cache::CodeCache;
use crate::component::compile::report::{REPORT_BYTES, Report, refusal};
use crate::component::compile::worker::{EXIT_DAMAGED, EXIT_FAILED, EXIT_INVALID, EXIT_IO};
use crate::config::CompilerCommand;
use crate::error::{ComponentProblem, ComponentRejection};
use crate::guest::stack::SourceFrame;

/// Maximum size of the child's standard error, in bytes.
const WORDS_BYTES: u64 = 16 * 1024;
/// Maximum wall time of a child for each second of CPU time: it has the lowest priority.
const WALL_PER_CPU: u32 = 10;
/// Interval at which the CPU time of a quick compilation is checked.
const LOOK: Duration = Duration::from_millis(250);
/// Maximum CPU time in seconds and memory in bytes for finding source lines.
const LINES_SECONDS: u64 = 10;
const LINES_BYTES: u64 = 1 << 30;

/// Starts a child for every task that reads the bytes of a component.
#[derive(Debug)]
pub(crate) struct Compiler {
    command: CompilerCommand,
    /// Slots for compilations that have just begun.
    quick: Semaphore,
    /// Slots for compilations that are no longer quick, so that they do not delay others.
    slow: Semaphore,
    /// Slot for children that inspect.
    inspections: Semaphore,
    /// Slot for children that find source lines.
    lookups: Semaphore,
}

/// The result of a component's inspection.
#[derive(Debug, Default)]
pub(crate) struct InspectionReport {
    /// The schemas of its workflow, as JSON.
    pub schemas: Option<String>,
    /// Warnings for the component's author.
    pub warnings: Vec<String>,
}

/// Why a child failed.
#[derive(Debug)]
pub(crate) enum ChildError {
    /// The component cannot run here, or the host could not inspect it.
    Refused(ComponentRejection),
    /// The bytes do not match the digest.
    Damaged(String),
}

/// The task of a child.
struct ChildTask<'a> {
    task: &'static str,
    component: &'a Path,
    digest: ComponentDigest,
    seconds: u64,
    memory: u64,
    rest: Vec<OsString>,
}

impl Compiler {
    /// Returns a compiler with at most `jobs` quick and `jobs` slow concurrent compilations.
    pub fn new(command: CompilerCommand, jobs: usize) -> Self {
        let jobs = jobs.max(1);
        Self {
            command,
            quick: Semaphore::new(jobs),
            slow: Semaphore::new(jobs),
            inspections: Semaphore::new(1),
            lookups: Semaphore::new(1),
        }
    }

    /// Compiles the component in `bytes_file` and stores its code in the cache.
    ///
    /// # Errors
    /// Every problem of the component, or a failure of the host if the child could not run.
    pub async fn compile(
        &self,
        bytes_file: &Path,
        digest: ComponentDigest,
        cache: &CodeCache,
    ) -> Result<InspectionReport, ChildError> {
        if let Some(inspected) = self.compile_quickly(bytes_file, digest, cache).await? {
            return Ok(inspected);
        }
        let _slow = self.slow.acquire().await.map_err(closed)?;
        let scratch = ScratchFile(cache.scratch());
        let order = self.compilation(bytes_file, digest, &scratch);
        keep(order.end(&mut self.start(&order)?).await?, &scratch, digest, cache)
    }

    /// Compiles in a quick slot until the quick CPU time is used, then in a slow slot if one is
    /// free. Otherwise the compilation ends without a result, so that a long one delays no others.
    async fn compile_quickly(
        &self,
        bytes_file: &Path,
        digest: ComponentDigest,
        cache: &CodeCache,
    ) -> Result<Option<InspectionReport>, ChildError> {
        let mut quick = Some(self.quick.acquire().await.map_err(closed)?);
        let mut slow = None;
        let scratch = ScratchFile(cache.scratch());
        let order = self.compilation(bytes_file, digest, &scratch);
        let mut child = self.start(&order)?;
        let pid = child.id();
        let report = {
            let mut ends = std::pin::pin!(order.end(&mut child));
            loop {
                match tokio::time::timeout(LOOK, &mut ends).await {
                    Ok(report) => break Some(report?),
                    Err(_)
                        if quick.is_none() || pid.and_then(cpu_time).is_some_and(|used| used < self.command.quick) => {}
                    Err(_) => match self.slow.try_acquire() {
                        Ok(room) => (slow, quick) = (Some(room), None),
                        Err(_) => break None,
                    },
                }
            }
        };
        if report.is_none() {
            child.kill().await.map_err(lost)?;
        }
        let inspected = report.map(|report| keep(report, &scratch, digest, cache)).transpose();
        drop((quick, slow));
        inspected
    }

    fn compilation<'a>(&self, component: &'a Path, digest: ComponentDigest, scratch: &ScratchFile) -> ChildTask<'a> {
        let CompilerCommand { seconds, memory, .. } = self.command;
        ChildTask { task: "compile", component, digest, seconds, memory, rest: vec![scratch.0.clone().into()] }
    }

    /// Inspects a component whose code is already in the cache.
    ///
    /// # Errors
    /// A failure of the host.
    pub async fn inspect(&self, bytes_file: &Path, digest: ComponentDigest) -> Result<InspectionReport, ChildError> {
        let _turn = self.inspections.acquire().await.map_err(closed)?;
        let CompilerCommand { seconds, memory, .. } = self.command;
        let order = ChildTask { task: "inspect", component: bytes_file, digest, seconds, memory, rest: Vec::new() };
        inspected(order.end(&mut self.start(&order)?).await?)
    }

    /// Finds the functions and source lines at `places` of a component, from its debug information.
    ///
    /// # Errors
    /// `host/compile-limit` if it takes too much; a failure of the host.
    pub async fn lines(
        &self,
        bytes_file: &Path,
        digest: ComponentDigest,
        places: &[u64],
    ) -> Result<Vec<Vec<SourceFrame>>, ChildError> {
        let _turn = self.lookups.acquire().await.map_err(closed)?;
        let rest = places.iter().map(|place| place.to_string().into()).collect();
        let memory = self.command.memory.min(LINES_BYTES);
        let seconds = self.command.seconds.min(LINES_SECONDS);
        let order = ChildTask { task: "lines", component: bytes_file, digest, seconds, memory, rest };
        match order.end(&mut self.start(&order)?).await? {
            Report::Lines(lines) => Ok(lines),
            Report::Admitted { .. } | Report::Refused(_) => Err(by_host("the compiler returned an unexpected answer")),
        }
    }

    /// Starts a child. The system ends the child with the thread that starts it, so that thread
    /// must live as long as the host: a thread of its runtime.
    fn start(&self, order: &ChildTask<'_>) -> Result<Child, ChildError> {
        let ChildTask { task, component, digest, seconds, memory, rest } = order;
        Command::new(&self.command.program)
            .args(&self.command.args)
            .arg(task)
            .arg(component)
            .arg(digest.to_string())
            .arg(seconds.to_string())
            .arg(memory.to_string())
            .arg(std::process::id().to_string())
            .args(rest)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| by_host(&format!("the compiler could not be started: {error}")))
    }
}

impl ChildTask<'_> {
    /// Waits for the child that performs the task.
    async fn end(&self, child: &mut Child) -> Result<Report, ChildError> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let work = async {
            let (mut report, mut words) = (Vec::new(), Vec::new());
            let read = async {
                if let Some(stdout) = stdout {
                    let _ = stdout.take(REPORT_BYTES).read_to_end(&mut report).await;
                }
            };
            let listen = async {
                if let Some(stderr) = stderr {
                    // The rest is dropped: the pipe closes here.
                    let _ = stderr.take(WORDS_BYTES).read_to_end(&mut words).await;
                }
            };
            tokio::join!(read, listen);
            (child.wait().await, report, words)
        };
        let wall = Duration::from_secs(self.seconds) * WALL_PER_CPU;
        match tokio::time::timeout(wall, work).await {
            Ok((status, report, words)) => self.judge(status.map_err(lost)?, &report, &String::from_utf8_lossy(&words)),
            Err(_) => Err(by_host(&format!(
                "the compiler did not finish within {} s of wall time (limit of CPU time: {} s): the machine is too busy",
                wall.as_secs(),
                self.seconds
            ))),
        }
    }

    fn judge(&self, status: ExitStatus, report: &[u8], words: &str) -> Result<Report, ChildError> {
        let words = words.trim();
        let last: String = words.lines().last().unwrap_or_default().chars().take(2000).collect();
        let starved = words.contains("memory allocation of") || words.contains("Cannot allocate memory");
        let problem =
            |code| Err(ChildError::Refused(ComponentRejection::one(ComponentProblem::new(code, last.clone()))));
        match (status.code(), status.signal()) {
            (Some(0), _) => {
                serde_json::from_slice(report).map_err(|error| by_host(&format!("the compiler's answer: {error}")))
            }
            _ if starved => Err(self.limit_error()),
            (Some(code), _) if code == i32::from(EXIT_INVALID) => problem(Code::ComponentInvalid),
            (Some(code), _) if code == i32::from(EXIT_FAILED) => problem(Code::CompileFailed),
            (Some(code), _) if code == i32::from(EXIT_IO) => Err(by_host(&format!("the compiler: {last}"))),
            (Some(code), _) if code == i32::from(EXIT_DAMAGED) => Err(ChildError::Damaged(last)),
            // Killed: by its CPU limit, by the machine for lack of memory, or by its own stack
            // overflow.
            (None, Some(_)) => Err(self.limit_error()),
            (code, _) => Err(by_host(&format!("the compiler ended with {code:?}: {last}"))),
        }
    }

    fn limit_error(&self) -> ChildError {
        ChildError::Refused(ComponentRejection::one(ComponentProblem::new(
            Code::CompileLimit,
            format!(
                "the component needs more than {} s of CPU time or {} MiB of memory to {}",
                self.seconds,
                self.memory >> 20,
                if self.task == "lines" { "find its source lines" } else { "compile" }
            ),
        )))
    }
}

/// A file that a child writes to; removed on drop, unless it was renamed.
struct ScratchFile(PathBuf);

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn keep(
    report: Report,
    scratch: &ScratchFile,
    digest: ComponentDigest,
    cache: &CodeCache,
) -> Result<InspectionReport, ChildError> {
    let inspected = inspected(report)?;
    cache.keep(&scratch.0, digest).map_err(|error| by_host(&format!("the code cache: {error}")))?;
    Ok(inspected)
}

fn inspected(report: Report) -> Result<InspectionReport, ChildError> {
    match report {
        Report::Admitted { schemas, warnings } => Ok(InspectionReport { schemas, warnings }),
        Report::Refused(reasons) => Err(ChildError::Refused(refusal(reasons))),
        Report::Lines(_) => Err(by_host("the compiler returned an unexpected answer")),
    }
}

/// Returns the CPU time of a process, if the system reports it.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it can contain anything; after it, user and system time are fields 12 and 13.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    let ticks = fields.next()? + fields.next()?;
    // Linux reports hundredths of a second here on every machine.
    Some(Duration::from_millis(ticks.saturating_mul(10)))
}

fn by_host(message: &str) -> ChildError {
    ChildError::Refused(ComponentRejection::by_host(message))
}

fn closed(error: tokio::sync::AcquireError) -> ChildError {
    by_host(&error.to_string())
}

fn lost(error: std::io::Error) -> ChildError {
    by_host(&format!("the compiler was lost: {error}"))
}
