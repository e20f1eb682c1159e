//! A reader who follows a page: their folder, the commands that they type, and the host in their
//! second terminal.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::output::masked;
use super::page::{repository, steps, words};
use crate::program::{CallOutcome, called, signal, tidemill};

/// Maximum time for one build on a busy machine, and so for one line of a host.
const LINE_TIMEOUT: Duration = Duration::from_secs(900);

/// Settings of cargo that a developer also has. All other variables of cargo and rustc belong to
/// the build of this test.
const KEPT_SETTINGS: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_TERM_",
    "CARGO_BUILD_JOBS",
];

/// Follows one page in a folder of their own.
pub struct Reader {
    folder: PathBuf,
    host: Option<Host>,
    /// The variables that cargo needs here to build for the guests' target.
    toolchain: Vec<(String, String)>,
}

impl Reader {
    /// Empties the folder of that name. Its path is the same in each test run, so that build
    /// outputs do not pile up.
    pub fn new(name: &str) -> Self {
        let folder = shared_folder().join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, host: None, toolchain: toolchain() }
    }

    /// Changes into a folder below.
    pub fn enter(&mut self, folder: &str) {
        self.folder.push(folder);
    }

    /// The path of a file below the reader's folder.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Changes a file.
    pub fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) {
        let path = self.path(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = change(&before);
        assert_ne!(before, after, "{file} does not have the text that the page is about");
        std::fs::write(path, after).unwrap();
    }

    /// Returns the running host.
    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    /// Ends the host, if there is one, as Ctrl-C does.
    pub fn end_host(&mut self) {
        if let Some(host) = self.host.take() {
            host.end();
        }
    }

    /// Runs the steps of a `console` block. If the block shows an output, the step must print it;
    /// otherwise the step must succeed.
    pub fn follow(&mut self, block: &str) {
        for step in steps(block) {
            // The program under test is already built.
            if step.command == "make install" {
                continue;
            }
            let done = self.run(&step.command);
            if step.output.trim().is_empty() {
                assert_eq!(done.code, 0, "$ {}\n{done:?}", step.command);
            } else {
                let printed = if done.code == 0 { &done.stdout } else { &done.stderr };
                assert_eq!(masked(printed), masked(&step.output), "$ {}\n{done:?}", step.command);
            }
        }
    }

    /// Runs one command line, with the variables that are set in front of it. `tidemill dev` stays
    /// in the background after it has deployed the project.
    pub fn run(&mut self, line: &str) -> CallOutcome {
        let words = words(line.trim_end_matches('&'));
        let assignments = words.iter().map_while(|word| word.split_once('=')).collect::<Vec<_>>();
        let words: Vec<_> = words[assignments.len()..].iter().map(String::as_str).collect();
        match words[..] {
            ["tidemill", "dev", ref rest @ ..] => {
                let project = self.folder.join(rest.first().copied().unwrap_or(""));
                let name = project.components().next_back().unwrap().as_os_str().to_str().unwrap().to_owned();
                self.end_host();
                let mut host = self.prepared(tidemill(&words[1..]));
                host.envs(assignments);
                self.host = Some(Host::start(host));
                self.host().wait_until_deployed(&name);
                CallOutcome { code: 0, stdout: String::new(), stderr: String::new() }
            }
            ["tidemill", ref args @ ..] => {
                let done = called(self.prepared(tidemill(args)));
                if let (["new", _, project], 0) = (args, done.code) {
                    self.share_target(project);
                }
                done
            }
            ["cargo", ref args @ ..] => {
                let mut cargo = Command::new("cargo");
                cargo.args(args).stdin(Stdio::null());
                called(self.prepared(cargo))
            }
            ["curl", url, "-H", header, "--data", body] => self.post(url, header, body),
            _ => panic!("a step is not a command of tidemill, cargo or curl: {line}"),
        }
    }

    /// Sends a request as curl does, to the port of the reader's host instead of the default port.
    fn post(&self, url: &str, header: &str, body: &str) -> CallOutcome {
        let url = url.replace("http://127.0.0.1:7077", &self.host().url);
        let (name, value) = header.split_once(": ").unwrap();
        // An error means that another test has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let request = reqwest::Client::new().post(url).header(name, value).body(body.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (status, stdout) = runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status(), response.text().await.unwrap())
        });
        CallOutcome { code: i32::from(!status.is_success()), stdout, stderr: String::new() }
    }

    /// A command in the reader's folder, with a developer's environment.
    fn prepared(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_kept = KEPT_SETTINGS.iter().any(|kept| text.starts_with(kept));
            let is_of_build = ["CARGO", "__CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"]
                .iter()
                .any(|prefix| text.starts_with(prefix));
            if is_of_build && !is_kept {
                command.env_remove(&name);
            }
        }
        command.current_dir(&self.folder).envs(self.toolchain.iter().map(|(name, value)| (name, value)));
        match &self.host {
            Some(host) => command.env("TIDEMILL_URL", &host.url),
            None => command.env("TIDEMILL_ADDR", "127.0.0.1:0"),
        };
        command
    }

    /// Lets the project share its target folder with the other projects of these tests, which have
    /// the same dependencies.
    fn share_target(&self, project: &str) {
        let shared = shared_folder().join("target");
        std::fs::create_dir_all(&shared).unwrap();
        std::os::unix::fs::symlink(shared, self.path(project).join("target")).unwrap();
    }
}

fn shared_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("steps")
}

/// Returns the variables that `.ci/wasm-toolchain.sh` prints for builds of guests: none if rustup
/// has the target.
fn toolchain() -> Vec<(String, String)> {
    let script = "environment=$(.ci/wasm-toolchain.sh) && eval \"$environment\" && echo \"${RUSTC-}\"";
    let output =
        Command::new("bash").args(["-c", script]).env_remove("RUSTC").current_dir(repository()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rustc = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    if rustc.is_empty() {
        return Vec::new();
    }
    vec![("RUSTC".to_owned(), rustc), ("RUSTUP_AUTO_INSTALL".to_owned(), "0".to_owned())]
}

/// `tidemill dev` in the reader's other terminal. It is ended with the test.
pub struct Host {
    child: Child,
    lines: Receiver<String>,
    url: String,
}

impl Host {
    fn start(mut command: Command) -> Self {
        // A group of its own holds the builds that it starts too.
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        let (sender, lines) = channel();
        forward(child.stdout.take().unwrap(), sender.clone());
        forward(child.stderr.take().unwrap(), sender);
        let mut host = Self { child, lines, url: String::new() };
        let line = host.line_with_prefix("tidemill is up at ");
        line.split(' ').nth(4).unwrap().clone_into(&mut host.url);
        host
    }

    /// Waits for a line that begins with that text. Fails if the host prints an error before it.
    pub fn line_with_prefix(&self, prefix: &str) -> String {
        self.wait_for(prefix, |line| line.starts_with(prefix))
    }

    /// Waits until the project is deployed, now or by an earlier host on the same data.
    fn wait_until_deployed(&self, name: &str) {
        let (new, old) = (format!("{name} deployed"), format!("{name} is unchanged"));
        self.wait_for(&new, |line| line.starts_with(&new) || line.starts_with(&old));
    }

    /// Waits for a line that contains that text. Fails if the host prints an error before it.
    pub fn line_with(&self, text: &str) -> String {
        self.wait_for(text, |line| line.contains(text))
    }

    fn wait_for(&self, text: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let mut seen = Vec::new();
        loop {
            let line = match self.lines.recv_timeout(LINE_TIMEOUT) {
                Ok(line) => line,
                Err(cause) => panic!("no line `{text}` ({cause}), but:\n{}", seen.join("\n")),
            };
            if is_wanted(&line) {
                return line;
            }
            // The address of a test upstream is fixed: templates name it.
            let has_failed = line.starts_with("error") || line.contains("is not served");
            seen.push(line);
            assert!(!has_failed, "no line `{text}`, but:\n{}", seen.join("\n"));
        }
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        signal("INT", self.child.id());
        // Its output ends with it.
        loop {
            match self.lines.recv_timeout(LINE_TIMEOUT) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the host does not end"),
            }
        }
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A child that has been waited for is gone, and its number may belong to another process.
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("-{}", self.child.id());
            // Errors say that they have ended already.
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = self.child.wait();
        }
    }
}

fn forward(output: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The test may be past waiting for lines; the pipe must not fill up all the same.
            let _ = lines.send(line);
        }
    });
}
