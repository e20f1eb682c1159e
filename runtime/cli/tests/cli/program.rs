//! Runs the program, and hosts in separate folders.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The result of one call.
#[derive(Debug, PartialEq, Eq)]
pub struct CallOutcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Builds a command of the program with a separate environment.
pub fn tidemill(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDEMILL_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null()).args(args);
    command
}

/// Runs the program and waits for its end.
pub fn call(args: &[&str]) -> CallOutcome {
    called(tidemill(args))
}

/// Runs a prepared command.
pub fn called(mut command: Command) -> CallOutcome {
    let output = command.output().unwrap();
    CallOutcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A host that ends with the test.
pub struct TestHost {
    child: Child,
    pub url: String,
}

impl TestHost {
    /// Starts a host over `data` on a free port and waits until it is ready.
    pub fn start(data: &Path, more: &[&str], token: Option<&str>) -> Self {
        let mut command = tidemill(&["serve", "--addr", "127.0.0.1:0", "--log", "warn", "--data"]);
        command.arg(data).args(more).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(token) = token {
            command.env("TIDEMILL_TOKEN", token);
        }
        Self::of(&mut command)
    }

    /// Starts a host with this maximum number of open files.
    pub fn with_open_files(data: &Path, open_files: u32) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {open_files} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_tidemill")]);
        command.args(["serve", "--addr", "127.0.0.1:0", "--log", "warn", "--data"]).arg(data).env("NO_COLOR", "1");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIDEMILL_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self::of(&mut command)
    }

    /// Starts the host of a prepared command, and waits until it is ready.
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the host did not come up: {said}");
            said.push_str(&line);
            if let Some((_, url)) = line.split_once("is up at ") {
                break url.trim().to_owned();
            }
        };
        // Drain later output, so that it does not fill the pipe.
        std::thread::spawn(move || lines.read_to_string(&mut String::new()));
        let mut served = Self { child, url };
        served.wait_until_ready();
        served
    }

    fn wait_until_ready(&mut self) {
        for _ in 0..600 {
            if self.call(&["doctor", "--quick"]).code == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the host is not ready");
    }

    /// Runs a command against the host.
    pub fn call(&self, args: &[&str]) -> CallOutcome {
        let mut command = tidemill(args);
        command.env("TIDEMILL_URL", &self.url);
        called(command)
    }

    /// Returns the id of the host's process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the exit code.
    pub fn terminate(mut self) -> i32 {
        signal("TERM", self.child.id());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by name.
pub fn signal(name: &str, process: u32) {
    assert!(Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap().success());
}
