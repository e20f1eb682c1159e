//! The child's side of compiling: bounds itself, compiles, writes the code, and says in one line on standard error why not.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use wasmtime::component::Component;

use crate::module::words;
use crate::sandbox::{self, Purpose};
use crate::slice;

/// The bytes are no component.
pub(super) const EXIT_INVALID: u8 = 10;
/// The compiler refused it.
pub(super) const EXIT_FAILED: u8 = 11;
/// A file could not be read or written, or the child could not bound itself.
pub(super) const EXIT_IO: u8 = 12;

/// The lowest priority: uploads must not be felt.
const NICE: i32 = 19;

/// What the hidden command `compile-component` does: reads the component at the first of `args` and writes its code to
/// the second, within the CPU seconds of the third (default 60) and the bytes of memory of the fourth (default 2 GiB). It bounds the whole
/// process: call it first thing in `main`, and return what it returns.
#[must_use]
pub fn compile_component_main(args: &[OsString]) -> ExitCode {
    match work(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            let _ = writeln!(std::io::stderr(), "{}", message.replace('\n', " "));
            ExitCode::from(code)
        }
    }
}

fn work(args: &[OsString]) -> Result<(), (u8, String)> {
    let [from, to, rest @ ..] = args else {
        return Err((EXIT_IO, "give the paths of component and code".to_owned()));
    };
    let number = |at: usize, default: u64| {
        rest.get(at).and_then(|arg| arg.to_str()).and_then(|arg| arg.parse().ok()).unwrap_or(default)
    };
    bound(number(0, 60), number(1, 2 << 30)).map_err(|error| (EXIT_IO, format!("no limits: {error}")))?;
    let bytes = fs::read(from).map_err(|error| (EXIT_IO, format!("reading the component: {error}")))?;
    header(&bytes).map_err(|message| (EXIT_INVALID, message.to_owned()))?;
    let sandbox = sandbox::build(Purpose::Compile).map_err(|error| (EXIT_IO, error.to_string()))?;
    let component = Component::from_binary(&sandbox.engine, &bytes).map_err(|error| {
        let words = words(&error);
        let code = if words.contains("ompilation error") || words.contains("odegen error") {
            EXIT_FAILED
        } else {
            EXIT_INVALID
        };
        (code, words)
    })?;
    let code = component.serialize().map_err(|error| (EXIT_FAILED, words(&error)))?;
    write(Path::new(to), &code).map_err(|error| (EXIT_IO, format!("writing the code: {error}")))
}

fn bound(seconds: u64, memory: u64) -> Result<(), rustix::io::Errno> {
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    slice::ask_for_usual();
    setpriority_process(None, NICE)?;
    setrlimit(Resource::As, limit(memory))?;
    setrlimit(Resource::Cpu, limit(seconds))?;
    setrlimit(Resource::Core, limit(0))
}

/// What the first bytes tell, in words that help more than the parser's.
pub(crate) fn header(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err("this is a core module, not a component: build for `wasm32-wasip2`, or make a component of it")
        }
        [b'(', ..] => Err("this is WebAssembly text; upload the binary"),
        _ => Err("this is not WebAssembly: it does not begin with its four bytes"),
    }
}

fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(code)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_what_was_sent() {
        assert!(header(b"\0asm\x0d\0\x01\0").is_ok());
        assert!(header(b"\0asm\x01\0\0\0").unwrap_err().contains("core module"));
        assert!(header(b"(component)").unwrap_err().contains("text"));
        assert!(header(b"").is_err());
    }
}
