//! `tidemill secrets set`.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::PathBuf;

use clap::ValueEnum;
use reqwest::Method;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use tidemill_api_types::{Secret, SecretRequest};
use tidemill_control::SECRET_BYTES;
use zeroize::Zeroizing;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::Printer;
use crate::query::Query;

/// Maximum length of a value's text, in bytes: hexadecimal digits take two for each byte, and there
/// may be a line break at the end.
const TEXT_BYTES: usize = 2 * SECRET_BYTES + 2;

/// Arguments of `tidemill secrets set`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --file, the value is read from standard input, or from a prompt that does not show it.\n\
                  One line break at the end is ignored. For example:\n  \
                  tidemill secrets set stripe-webhook --overlap 24h < new-secret.txt"
)]
pub struct SecretSetArgs {
    /// The secret
    name: String,

    /// Read the value from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// The form of the value: the text itself, or what its bytes are written in
    #[arg(long, value_enum, default_value = "text")]
    encoding: Encoding,

    /// How long hooks still accept signatures of older versions, such as 24h
    #[arg(long, value_name = "TIME", default_value = "0s")]
    overlap: String,
}

/// The text form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    /// The text itself
    Text,
    /// Base64
    Base64,
    /// Hexadecimal digits
    Hex,
}

impl Encoding {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        }
    }
}

/// Runs the command.
pub async fn run(args: &SecretSetArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let value = read(args, printer)?;
    let request = SecretRequest { value: value.as_str().into(), encoding: Some(args.encoding.as_str().into()) };
    let body = serde_json::to_vec(&request).unwrap_or_default();
    let path = Query::of("overlap", &args.overlap).of_path(&format!("/v1/secrets/{}", encoded(&args.name)));
    let secret: Record<Secret<'static>> = client.ask(Method::PUT, &path, body, &[]).await?;
    let older = match secret.older.as_slice() {
        [] => String::new(),
        older => {
            let older: Vec<_> = older.iter().map(|old| format!("{} until {}", old.version, old.ends_at)).collect();
            format!("; still valid: version {}", older.join(", "))
        }
    };
    let version = secret.version.unwrap_or_default();
    printer.record(&secret, &format!("{} has version {version}{older}", secret.name));
    Ok(())
}

fn read(args: &SecretSetArgs, printer: &Printer) -> Result<Zeroizing<String>, CliError> {
    let unread = |cause: std::io::Error| {
        CliError::usage(format!("cannot read the value: {cause}"), "name a file, or give it on standard input")
    };
    let bytes = match &args.file {
        Some(file) => File::open(file).and_then(take_all),
        None if std::io::stdin().is_terminal() => {
            printer.prompt(&format!("Value of {}: ", args.name));
            let value = without_echo(|| take_line(std::io::stdin().lock()));
            printer.prompt("\n");
            value
        }
        None => take_all(std::io::stdin().lock()),
    };
    text(bytes.map_err(unread)?)
}

/// Returns the text of a value, without one line break at the end.
fn text(bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, CliError> {
    if bytes.len() > TEXT_BYTES {
        let what = format!("the value has more than {TEXT_BYTES} bytes");
        return Err(CliError::usage(what, "a secret has at most 64 KiB"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        let fix = "write it in base64: `base64 FILE | tidemill secrets set NAME --encoding base64`";
        CliError::usage("the value is not text in UTF-8", fix)
    })?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err(CliError::usage("the value is empty", "give at least one byte, or use `tidemill secrets delete`"));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Reads everything, up to one byte more than a value may have. The buffer does not grow: that
/// would leave parts of the value in memory.
fn take_all(source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(Vec::with_capacity(TEXT_BYTES + 1));
    source.take(TEXT_BYTES as u64 + 1).read_to_end(&mut value)?;
    Ok(value)
}

/// Reads one line.
fn take_line(mut source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut value = Zeroizing::new(Vec::with_capacity(TEXT_BYTES + 1));
    let mut byte = [0];
    while value.len() <= TEXT_BYTES && source.read(&mut byte)? == 1 && byte != *b"\n" {
        value.push(byte[0]);
    }
    Ok(value)
}

/// Calls `read` while the terminal does not show what is typed.
fn without_echo<T>(read: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    let terminal = std::io::stdin();
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let value = read();
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_ignored() {
        let of = |value: &str| text(take_all(value.as_bytes()).unwrap()).map(|text| text.as_str().to_owned());
        assert_eq!(of("s3cret\n").unwrap(), "s3cret");
        assert_eq!(of("s3cret\r\n").unwrap(), "s3cret");
        assert_eq!(of("s3\ncret\n\n").unwrap(), "s3\ncret\n");
        assert!(of("").is_err() && of("\n").is_err() && of(&"x".repeat(TEXT_BYTES + 1)).is_err());
        assert!(text(take_all(&[0xff][..]).unwrap()).is_err());
        assert_eq!(take_line(&b"typed\nmore"[..]).unwrap().as_slice(), b"typed");
    }
}
