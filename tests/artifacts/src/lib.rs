//! The components that tests run, built from source by `.ci/build-guests.sh` when they are older than it. Each is built
//! at most once a process, when first asked for; processes that ask at the same time wait for one another in cargo.
//!
//! Golden files are in [`golden`].
//!
//! Only for tests, benches and the demo's build: it needs the repository and a compiler.
#![forbid(unsafe_code)]

pub mod golden;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Why a guest is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The script did not even start.
    #[error("cannot run {script}: {source}")]
    Script {
        /// The script.
        script: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The script ended with a failure; what it and cargo said.
    #[error("guest `{name}` does not build:\n{output}")]
    Failed {
        /// The guest.
        name: String,
        /// Standard error of the build.
        output: String,
    },
}

/// Builds the guest of that name if its sources are newer than its component, and says where the component is: in
/// `guests/` of cargo's target folder.
///
/// # Errors
/// What kept it from being built, with the compiler's own words.
pub fn build(name: &str) -> Result<PathBuf, BuildError> {
    let root = root();
    let script = root.join(".ci/build-guests.sh");
    let built = Command::new(&script)
        .arg(name)
        .current_dir(&root)
        .output()
        .map_err(|source| BuildError::Script { script: script.clone(), source })?;
    if !built.status.success() {
        let output = String::from_utf8_lossy(&built.stderr).into_owned();
        return Err(BuildError::Failed { name: name.to_owned(), output });
    }
    Ok(target(&root).join("guests").join(format!("{name}.wasm")))
}

/// The repository's root.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Cargo's target folder as the script finds it: a relative one is meant from the root.
fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn built(path: &'static OnceLock<PathBuf>, name: &str) -> &'static Path {
    path.get_or_init(|| match build(name) {
        Ok(path) => path,
        #[expect(clippy::panic, reason = "only tests ask, and there the compiler's words are what is needed")]
        Err(error) => panic!("{error}"),
    })
}

macro_rules! guests {
    ($($(#[$doc:meta])* $function:ident = $name:literal;)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// Where it does not build, with the compiler's words.
            #[must_use]
            pub fn $function() -> &'static Path {
                static PATH: OnceLock<PathBuf> = OnceLock::new();
                built(&PATH, $name)
            }
        )+
        /// The names of all guests that this crate hands out, as [`build`] takes them.
        pub const NAMES: &[&str] = &[$($name),+];
    };
}

guests! {
    /// `examples/hello`: greets by name and counts in `state`.
    hello = "hello";
    /// `examples/order-saga`: an order at three services, undone in reverse where one refuses.
    order_saga = "order-saga";
    /// `examples/approval`: waits for days for a signal, with reminders.
    approval = "approval";
    /// `examples/fan-out`: shares work out over runs of `fan-out-child`.
    fan_out = "fan-out";
    /// `examples/fan-out-child`: counts the primes in a span.
    fan_out_child = "fan-out-child";
    /// `examples/order-events`: takes orders and publishes what becomes of them.
    order_events = "order-events";
    /// `examples/order-invoices`: is given those events and writes invoices.
    order_invoices = "order-invoices";
    /// `examples/poller`: looks at a page for ever, and continues as new.
    poller = "poller";
    /// `guests/uptime`: watches URLs, with latency and changes in `state`.
    uptime = "uptime";
    /// `guests/usage-billing`: bills usage from a feed.
    usage_billing = "usage-billing";
    /// `tests/guests/hostile`: does on request what a broken or malicious module does.
    hostile = "hostile";
    /// `tests/guests/durable`: carries out what it is given, durably.
    durable = "durable";
    /// `tests/guests/noop`: the smallest workflow; returns its input.
    noop = "noop";
    /// `tests/guests/ten-steps`: ten steps that each return a number.
    ten_steps = "ten-steps";
    /// `tests/guests/survivor`: orders, transfers and waits that come out the same however often the host dies.
    survivor = "survivor";
    /// `tests/guests/all-worlds`: all four exports in one component.
    all_worlds = "all-worlds";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_of_the_repository_is_handed_out() {
        let listed = Command::new(root().join(".ci/build-guests.sh")).arg("--list").output().unwrap();
        let mut listed: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
        let mut handed_out = NAMES.to_vec();
        listed.sort_unstable();
        handed_out.sort_unstable();
        assert_eq!(listed, handed_out);
    }

    #[test]
    fn a_component_is_built_from_inside_cargo() {
        let bytes = std::fs::read(noop()).unwrap();
        // The magic, then version 13 and layer 1: a component, not a core module.
        assert_eq!(bytes[..8], *b"\0asm\x0d\0\x01\0");
    }

    #[test]
    fn an_unknown_guest_is_refused_with_the_names_that_there_are() {
        let error = build("uptim").unwrap_err().to_string();
        assert!(error.contains("there is no guest `uptim`") && error.contains("hello"), "{error}");
    }
}
