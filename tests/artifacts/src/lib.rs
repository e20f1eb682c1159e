//! The components that tests run. `.ci/build-guests.sh` builds each from source if it is out of
//! date. A process builds a component at most once, at its first use; concurrent builds wait for
//! each other in cargo.
//!
//! Golden files are in [`golden`].
//!
//! Only for tests, benches and the build of the demo: it needs the repository and a compiler.
#![forbid(unsafe_code)]

pub mod golden;
#[cfg(feature = "certificates")]
pub mod paypal;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Why a guest cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The build script did not start.
    #[error("cannot run {script}: {source}")]
    Script {
        /// Path of the script.
        script: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The build failed.
    #[error("guest `{name}` does not build:\n{output}")]
    Failed {
        /// Name of the guest.
        name: String,
        /// Standard error of the build.
        output: String,
    },
}

/// Builds the guest `name` if its sources are newer than its component. Returns the path of the
/// component, which is in `guests/` of cargo's target folder.
///
/// # Errors
/// The build fails; the error contains the output of the compiler.
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

/// Root folder of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Cargo's target folder as the script finds it: a relative path begins at the root.
fn target(root: &Path) -> PathBuf {
    root.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

fn built(path: &'static OnceLock<PathBuf>, name: &str) -> &'static Path {
    path.get_or_init(|| match build(name) {
        Ok(path) => path,
        #[expect(clippy::panic, reason = "only tests call it, and they need the output of the compiler")]
        Err(error) => panic!("{error}"),
    })
}

macro_rules! guests {
    ($($(#[$doc:meta])* $function:ident = $name:literal;)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// Panics if the build fails, with the output of the compiler.
            #[must_use]
            pub fn $function() -> &'static Path {
                static PATH: OnceLock<PathBuf> = OnceLock::new();
                built(&PATH, $name)
            }
        )+
        /// Names of all guests that this crate builds, as [`build`] takes them.
        pub const NAMES: &[&str] = &[$($name),+];
    };
}

guests! {
    /// `examples/hello`: greets by name and counts in `state`.
    hello = "hello";
    /// `examples/order-saga`: an order at three services, undone in reverse if one refuses.
    order_saga = "order-saga";
    /// `examples/approval`: waits for days for a signal, with reminders.
    approval = "approval";
    /// `examples/runbook`: pauses another deployment, waits, and resumes it.
    runbook = "runbook";
    /// `examples/fan-out`: distributes work over runs of `fan-out-child`.
    fan_out = "fan-out";
    /// `examples/fan-out-child`: counts the primes in a span.
    fan_out_child = "fan-out-child";
    /// `examples/order-events`: takes orders and publishes their outcome.
    order_events = "order-events";
    /// `examples/order-invoices`: receives those events and writes invoices.
    order_invoices = "order-invoices";
    /// `examples/poller`: polls a page without end, and continues as new.
    poller = "poller";
    /// `guests/uptime`: watches URLs, with latency and changes in `state`.
    uptime = "uptime";
    /// `guests/usage-billing`: bills usage from a feed.
    usage_billing = "usage-billing";
    /// `guests/prepaid`: serves calls that customers have paid for in advance.
    prepaid = "prepaid";
    /// `tests/guests/hostile`: behaves on request like a broken or malicious module.
    hostile = "hostile";
    /// `tests/guests/durable`: executes the durable acts of its input.
    durable = "durable";
    /// `tests/guests/parity`: programs that run in the SDK's harness and on a host.
    parity = "parity";
    /// `tests/guests/noop`: the smallest workflow; returns its input.
    noop = "noop";
    /// `tests/guests/ten-steps`: ten steps that each return a number.
    ten_steps = "ten-steps";
    /// `tests/guests/survivor`: orders, transfers and waits whose outcome does not depend on
    /// crashes of the host.
    survivor = "survivor";
    /// `tests/guests/all-worlds`: all four exports in one component.
    all_worlds = "all-worlds";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_of_the_repository_has_a_function() {
        let listed = Command::new(root().join(".ci/build-guests.sh")).arg("--list").output().unwrap();
        let mut listed: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
        let mut names = NAMES.to_vec();
        listed.sort_unstable();
        names.sort_unstable();
        assert_eq!(listed, names);
    }

    #[test]
    fn a_component_is_built_from_inside_cargo() {
        let bytes = std::fs::read(noop()).unwrap();
        // Magic number, version 13, layer 1: a component. A core module has version 1, layer 0.
        assert_eq!(bytes[..8], *b"\0asm\x0d\0\x01\0");
    }

    #[test]
    fn an_unknown_guest_is_refused_with_the_known_names() {
        let error = build("uptim").unwrap_err().to_string();
        assert!(error.contains("there is no guest `uptim`") && error.contains("hello"), "{error}");
    }
}
