//! The child's side of compiling: limits itself, then inspects, validates and compiles one
//! component, or finds its source lines. It answers on standard output, and reports a failure in
//! one line on standard error.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use tidemill_core::ComponentDigest;
use wasmtime::component::Component;

use crate::component::compile::confine;
use crate::component::compile::inspect::Inspection;
use crate::component::compile::lines;
use crate::component::compile::report::Report;
use crate::component::module::words;
use crate::component::validate;
use crate::host;
use crate::host::Contract;
use crate::sandbox;
use crate::sandbox::{Purpose, Sandbox};

/// Exit code: the bytes are not a component.
pub(crate) const EXIT_INVALID: u8 = 10;
/// Exit code: the compiler refused the component.
pub(crate) const EXIT_FAILED: u8 = 11;
/// Exit code: a file could not be read or written, or the child could not limit itself.
pub(crate) const EXIT_IO: u8 = 12;
/// Exit code: the bytes are not the uploaded ones.
pub(crate) const EXIT_DAMAGED: u8 = 13;

/// Why the child ends without an answer: its exit code, and one line.
type WorkerFailure = (u8, String);

/// Runs the hidden command `compile-component`. Its arguments are the task (`compile`, `inspect` or
/// `lines`), the component's path, its digest, seconds of CPU time, bytes of memory and the id of
/// the host's process; then, for `compile`, the path of the code, and for `lines`, offsets in the
/// component. It limits the whole process: call it at the beginning of `main`, and return its
/// result.
#[must_use]
pub fn compile_component_main(args: &[OsString]) -> ExitCode {
    let answer = work(args).and_then(|report| {
        let answer = serde_json::to_vec(&report).map_err(|error| (EXIT_IO, error.to_string()))?;
        std::io::stdout().write_all(&answer).map_err(|error| (EXIT_IO, format!("the answer: {error}")))
    });
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            let _ = writeln!(std::io::stderr(), "{}", message.replace('\n', " "));
            ExitCode::from(code)
        }
    }
}

fn work(args: &[OsString]) -> Result<Report, WorkerFailure> {
    let usage = || (EXIT_IO, "the arguments are invalid".to_owned());
    let [task, component, digest, seconds, memory, host, rest @ ..] = args else { return Err(usage()) };
    let text = |arg: &OsString| arg.to_str().map(str::to_owned).ok_or_else(usage);
    let number = |arg: &OsString| text(arg)?.parse::<u64>().map_err(|_| usage());
    let digest: ComponentDigest = text(digest)?.parse().map_err(|_| usage())?;
    let host = u32::try_from(number(host)?).map_err(|_| usage())?;
    confine::limit(number(seconds)?, number(memory)?, host).map_err(|message| (EXIT_IO, message))?;
    let bytes = read(PathBuf::from(component), digest)?;
    match (text(task)?.as_str(), rest) {
        ("compile", [code]) => compile(bytes, PathBuf::from(code)),
        ("inspect", []) => {
            confine()?;
            Ok(admitted(Inspection::of(&bytes)))
        }
        ("lines", places) => {
            let places = places.iter().map(number).collect::<Result<Vec<_>, _>>()?;
            confine()?;
            Ok(Report::Lines(lines::find(&bytes, &places)))
        }
        _ => Err(usage()),
    }
}

fn confine() -> Result<(), WorkerFailure> {
    confine::confine().map_err(|error| (EXIT_IO, format!("cannot confine the thread: {error}")))
}

/// Reads the component, and rejects bytes that do not match the digest.
fn read(path: PathBuf, digest: ComponentDigest) -> Result<Vec<u8>, WorkerFailure> {
    let bytes = fs::read(path).map_err(|error| (EXIT_IO, format!("reading the component: {error}")))?;
    let found = ComponentDigest::of(&bytes);
    if found != digest {
        return Err((EXIT_DAMAGED, format!("the bytes have the digest {found}")));
    }
    header(&bytes).map_err(|message| (EXIT_INVALID, message.to_owned()))?;
    Ok(bytes)
}

fn compile(mut bytes: Vec<u8>, code: PathBuf) -> Result<Report, WorkerFailure> {
    let io = |what: &str, error: std::io::Error| (EXIT_IO, format!("{what}: {error}"));
    let sandbox = sandbox::build(Purpose::Compile).map_err(|error| (EXIT_IO, error.to_string()))?;
    let contract = host::contract(&sandbox.engine).map_err(|error| (EXIT_IO, error.to_string()))?;
    let open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(code);
    let file = open.map_err(|error| io("the code", error))?;
    confine()?;
    let inspection = Inspection::of(&bytes);
    inspection.hide(&mut bytes);
    if let Some(refused) = misfit(&inspection, &bytes, &sandbox, &contract) {
        return Ok(refused);
    }
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
    write(file, &code).map_err(|error| io("writing the code", error))?;
    Ok(admitted(inspection))
}

/// Returns the problems of a component's imports and exports. They are found before its code is
/// compiled, which can take a minute.
fn misfit(inspection: &Inspection, bytes: &[u8], sandbox: &Sandbox, contract: &Contract) -> Option<Report> {
    let stub = inspection.with_stub_bodies(bytes);
    // If even this does not compile, compiling the whole component reports why.
    let component = Component::from_binary(&sandbox.engine, &stub).ok()?;
    let refused = validate::check(&sandbox.engine, &component, contract, ComponentDigest::of(&stub)).err()?;
    Some(Report::Refused(refused.problems.into_iter().map(Into::into).collect()))
}

fn admitted(inspection: Inspection) -> Report {
    Report::Admitted { schemas: inspection.schemas, warnings: inspection.warnings }
}

/// Checks the first bytes, with clearer messages than the parser's.
pub(crate) fn header(bytes: &[u8]) -> Result<(), &'static str> {
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            Err("this is a core module, not a component: build for `wasm32-wasip2`, or convert it to a component")
        }
        [b'(', ..] => Err("this is WebAssembly text; upload the binary"),
        _ => Err("this is not WebAssembly: the magic number is missing"),
    }
}

fn write(mut file: File, code: &[u8]) -> std::io::Result<()> {
    file.write_all(code)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_identifies_the_kind_of_file() {
        assert!(header(b"\0asm\x0d\0\x01\0").is_ok());
        assert!(header(b"\0asm\x01\0\0\0").unwrap_err().contains("core module"));
        assert!(header(b"(component)").unwrap_err().contains("text"));
        assert!(header(b"").is_err());
    }
}
