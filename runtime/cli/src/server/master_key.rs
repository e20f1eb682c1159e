//! Reads the master key from its source: a variable, a file or the output of a command.
//!
//! No error shows a part of the key, or what a command prints.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tidemill_core::Code;
use tidemill_vault::{MasterKey, Vault};
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use crate::error::CliError;

/// Maximum length of a key's text in a file, and of a command's output, in bytes.
const TEXT_BYTES: u64 = 1_024;
/// Maximum time that a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Permissions that make the file of a key readable or writable by others.
const EXPOSED: u32 = 0o027;

/// Where a master key comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// The key itself, in base64.
    Value(Zeroizing<String>),
    /// A file that holds the key in base64.
    File(PathBuf),
    /// A program with its arguments, which prints the key in base64.
    Command(Vec<String>),
}

/// The sources of a host's master keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MasterKeySettings {
    /// The key that seals; `None` if the host has none.
    pub current: Option<MasterKeySource>,
    /// The key that was used before, during a rotation.
    pub old: Option<MasterKeySource>,
}

impl fmt::Debug for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(hidden)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Command(words) => f.debug_tuple("Command").field(&words.first()).finish_non_exhaustive(),
        }
    }
}

impl MasterKeySettings {
    /// Refuses an old key without a current one.
    ///
    /// # Errors
    /// Wrong usage.
    pub fn checked(self) -> Result<Self, CliError> {
        if self.old.is_some() && self.current.is_none() {
            return Err(CliError::usage(
                "there is an old master key, and no current one",
                "set TIDEMILL_MASTER_KEY, its _FILE or its _COMMAND; without a rotation, the present key goes there",
            ));
        }
        Ok(self)
    }

    /// Reads the keys. Without a source, the vault has no key.
    ///
    /// # Errors
    /// `host/master-key` if a source has no key.
    pub async fn read(&self) -> Result<Vault, CliError> {
        let Some(current) = &self.current else { return Ok(Vault::without_key()) };
        let old = match &self.old {
            Some(old) => Some(old.read().await?),
            None => None,
        };
        Ok(Vault::new(current.read().await?, old))
    }
}

impl MasterKeySource {
    /// Reads the key.
    ///
    /// # Errors
    /// `host/master-key` with the reason, without a part of the key.
    pub async fn read(&self) -> Result<MasterKey, CliError> {
        let text = match self {
            Self::Value(text) => text.clone(),
            Self::File(path) => {
                read_file(path).map_err(|why| refused(&format!("the file {}", path.display()), &why))?
            }
            Self::Command(words) => {
                run(words, COMMAND_TIMEOUT).await.map_err(|why| refused(&self.to_string(), &why))?
            }
        };
        MasterKey::parse(&text).map_err(|why| refused(&self.to_string(), &why.to_string()))
    }
}

impl fmt::Display for MasterKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("the variable of the master key"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Command(words) => write!(f, "the command {}", words.first().map_or("", String::as_str)),
        }
    }
}

fn refused(place: &str, why: &str) -> CliError {
    CliError::Failed {
        code: Some(Code::MasterKey.as_str().to_owned()),
        message: format!("{place}: {why}"),
        fix: Some("correct it, or remove the setting to run without a master key".to_owned()),
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<String>, String> {
    // Opening a pipe without a writer would wait for ever.
    let is_file = std::fs::metadata(path).map_err(|cause| cause.to_string())?.is_file();
    if !is_file {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|cause| cause.to_string())?;
    let mode = file.metadata().map_err(|cause| cause.to_string())?.permissions().mode();
    if mode & EXPOSED != 0 {
        return Err(format!(
            "other users can read or change it (mode {:04o}); run `chmod 600 {}`",
            mode & 0o7777,
            path.display()
        ));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(TEXT_BYTES as usize + 1));
    file.take(TEXT_BYTES + 1).read_to_end(&mut bytes).map_err(|cause| cause.to_string())?;
    text(&bytes)
}

/// Runs a command without a shell, without an environment and in a process group of its own, and
/// returns what it prints.
async fn run(words: &[String], timeout: Duration) -> Result<Zeroizing<String>, String> {
    let (program, args) = words.split_first().ok_or("it is empty")?;
    if !Path::new(program).is_absolute() {
        return Err("write the absolute path of the program: it gets no environment, so there is no PATH".to_owned());
    }
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| format!("it cannot be started: {cause}"))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    let output = child.stdout.take();
    let work = async {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TEXT_BYTES as usize + 1));
        if let Some(output) = output {
            output.take(TEXT_BYTES + 1).read_to_end(&mut bytes).await?;
        }
        // A process that prints more than a key is not waited for.
        let status = if bytes.len() as u64 > TEXT_BYTES { None } else { Some(child.wait().await?) };
        Ok::<_, io::Error>((bytes, status))
    };
    let done = tokio::time::timeout(timeout, work).await;
    let ended = matches!(&done, Ok(Ok((_, Some(_)))));
    if let Some(group) = group.filter(|_| !ended) {
        // An error means that the group has ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let (bytes, status) = done
        .map_err(|_| format!("it did not end within {} seconds", timeout.as_secs()))?
        .map_err(|cause| format!("its output cannot be read: {cause}"))?;
    match status {
        Some(status) if !status.success() => Err(format!("it failed: {}", outcome(status))),
        _ => text(&bytes),
    }
}

fn outcome(status: ExitStatus) -> String {
    status.code().map_or_else(|| "a signal ended it".to_owned(), |code| format!("exit code {code}"))
}

fn text(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
    if bytes.len() as u64 > TEXT_BYTES {
        return Err(format!("it has more than {TEXT_BYTES} bytes; a key is 32 bytes in base64"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text; a key is 32 bytes in base64".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use tidemill_core::clock::Stopwatch;

    use super::*;

    const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, MasterKeySource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, MasterKeySource::File(path))
    }

    fn command(words: &[&str]) -> MasterKeySource {
        MasterKeySource::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    async fn refusal(source: &MasterKeySource) -> String {
        let refused = source.read().await.unwrap_err();
        assert_eq!(refused.code(), Some("host/master-key"));
        let text = refused.to_string();
        assert!(!text.contains("BwcHBwc"), "{text}");
        text
    }

    #[tokio::test]
    async fn each_source_gives_the_key() {
        let id = MasterKey::from_bytes([7; 32]).id();
        let (_folder, file) = file(&format!("{KEY}\n"), 0o600);
        let value = MasterKeySource::Value(Zeroizing::new(KEY.to_owned()));
        for source in [value, file, command(&["/bin/echo", KEY])] {
            assert_eq!(source.read().await.unwrap().id(), id, "{source:?}");
            assert!(!format!("{source:?}").contains(KEY));
        }
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_or_change_is_refused() {
        for mode in [0o604, 0o644, 0o620, 0o602, 0o601, 0o777] {
            let (_folder, source) = file(KEY, mode);
            assert!(refusal(&source).await.contains("chmod 600"), "{mode:o}");
        }
        // A group may read it: orchestrators hand files to a process in this way.
        let (_folder, source) = file(KEY, 0o440);
        assert!(source.read().await.is_ok());
    }

    #[tokio::test]
    async fn other_contents_are_refused() {
        let short = &KEY[..42];
        for (text, why) in [(short, "31 bytes"), ("", "0 bytes"), ("key", "base64"), (&"A".repeat(2_000), "1024")] {
            let (_folder, source) = file(text, 0o600);
            let refusal = refusal(&source).await;
            assert!(refusal.contains(why), "{refusal}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(&MasterKeySource::File(folder.path().to_owned())).await.contains("regular"));
        assert!(refusal(&MasterKeySource::File(folder.path().join("none"))).await.contains("No such file"));
    }

    #[tokio::test]
    async fn a_command_gets_no_shell_and_no_environment() {
        assert!(refusal(&command(&["/usr/bin/env"])).await.contains("0 bytes"), "there is no environment");
        assert!(refusal(&command(&["/bin/echo", "$(echo x)"])).await.contains("base64"), "there is no shell");
        assert!(refusal(&command(&["echo", KEY])).await.contains("absolute path"));
        assert!(refusal(&command(&[])).await.contains("empty"));
        assert!(refusal(&command(&["/bin/false"])).await.contains("exit code 1"));
        assert!(refusal(&command(&["/there/is/no/program"])).await.contains("cannot be started"));
        assert!(refusal(&command(&["/bin/cat", "/dev/zero"])).await.contains("1024 bytes"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", marker.display());
        let words: Vec<_> = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        let watch = Stopwatch::start();
        let refused = run(&words, Duration::from_secs(1)).await.unwrap_err();
        assert!(refused.contains("within 1 seconds"), "{refused}");
        assert!(watch.elapsed() < Duration::from_secs(5));
        let child: i32 = std::fs::read_to_string(marker).unwrap().trim().parse().unwrap();
        let child = rustix::process::Pid::from_raw(child).unwrap();
        // The child is gone, or is about to be removed from the table of processes.
        while rustix::process::test_kill_process(child).is_ok() {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", child.as_raw_nonzero())).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                break;
            }
            assert!(watch.elapsed() < Duration::from_secs(30), "{state}");
            tokio::task::yield_now().await;
        }
    }
}
