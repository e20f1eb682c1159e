//! The files that `tidemill new` writes: the templates and the SDK, embedded in the binary, so that
//! a project builds without a published SDK. Pure: the command checks names and writes files.

use std::path::{Path, PathBuf};

/// Path of the SDK, relative to a project's folder.
pub const SDK_FOLDER: &str = ".tidemill/sdk";

/// A kind of project.
#[derive(Debug)]
pub struct Template {
    /// The name of the template, as `tidemill new` takes it.
    pub name: &'static str,
    /// A description on one line.
    pub about: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The next commands, each with its effect. `{name}` is the project's name, `{dir}` its folder.
    pub steps: &'static [(&'static str, &'static str)],
}

impl Template {
    /// Returns the template of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TEMPLATES.iter().find(|template| template.name == name)
    }

    /// Returns the files of a project of that name, by their paths in its folder. They include the
    /// SDK, unless `sdk` names an existing one, absolutely or from the project's folder.
    ///
    /// The name must be a crate's: letters, digits, `-` and `_`, with a letter first.
    #[must_use]
    pub fn project(&self, name: &str, sdk: Option<&Path>) -> Vec<(PathBuf, String)> {
        let crate_name = name.replace('-', "_");
        // Cargo accepts `/` on every system, and a backslash would begin an escape in TOML.
        let sdk_path = sdk.map_or_else(|| SDK_FOLDER.to_owned(), |path| path.to_string_lossy().replace('\\', "/"));
        let filled =
            |text: &str| text.replace("{{name}}", name).replace("{{crate}}", &crate_name).replace("{{sdk}}", &sdk_path);
        let own = SHARED.iter().chain(self.files).map(|&(path, text)| (PathBuf::from(path), filled(text)));
        let vendored = SDK.iter().filter(|_| sdk.is_none());
        let vendored = vendored.map(|&(path, text)| (Path::new(SDK_FOLDER).join(path), text.to_owned()));
        own.chain(vendored).collect()
    }
}

macro_rules! embedded {
    ($folder:literal: $($path:literal = $source:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $source)))),+]
    };
    ($folder:literal: $($source:literal),+ $(,)?) => { embedded!($folder: $($source = $source),+) };
}

/// Every template, in display order.
pub const TEMPLATES: &[Template] = &[
    Template {
        name: "workflow",
        about: "Started by hand, by a schedule, by an event or by another run",
        files: embedded!("templates/workflow": "src/lib.rs" = "lib.rs", "tidemill.toml" = "tidemill.toml", "README.md" = "README.md"),
        steps: &[
            ("dev {dir}", "a host that rebuilds and redeploys it on every change"),
            ("run {name} --wait", "in another terminal: run it"),
        ],
    },
    Template {
        name: "revenue-stream",
        about: "Collects revenue on its schedule",
        files: embedded!("templates/revenue-stream": "src/lib.rs" = "lib.rs", "tidemill.toml" = "tidemill.toml", "README.md" = "README.md",
            "upstream/sales.json" = "sales.json"),
        steps: &[
            ("dev {dir}", "a host that rebuilds and redeploys it on every change, and serves its test upstream"),
            ("schedules trigger {name} collect", "in another terminal: collect now"),
            ("streams", "what it earned"),
        ],
    },
    Template {
        name: "webhook",
        about: "Receives HTTP deliveries that the host has authenticated",
        files: embedded!("templates/webhook": "src/lib.rs" = "lib.rs", "tidemill.toml" = "tidemill.toml", "README.md" = "README.md"),
        // Hosts do not route webhooks yet.
        steps: &[("test {dir}", "its tests, without a host"), ("build {dir}", "the component")],
    },
];

/// The files that every project has.
const SHARED: &[(&str, &str)] = embedded!("templates/shared":
    "Cargo.toml" = "Cargo.toml.template",
    ".gitignore" = "gitignore.template",
    "rust-toolchain.toml" = "rust-toolchain.toml.template",
);

/// The SDK's sources, without files that only its own tests use.
const SDK: &[(&str, &str)] = embedded!("../../sdk/rust":
    "Cargo.toml",
    "macros/Cargo.toml",
    "macros/src/lib.rs",
    "macros/src/schema/attributes.rs",
    "macros/src/schema/mod.rs",
    "macros/src/schema/names.rs",
    "macros/src/signature.rs",
    "src/bindings.rs",
    "src/clock.rs",
    "src/collections.rs",
    "src/context.rs",
    "src/durable/children.rs",
    "src/durable/mod.rs",
    "src/durable/saga.rs",
    "src/durable/select.rs",
    "src/durable/signals.rs",
    "src/durable/start.rs",
    "src/durable/step.rs",
    "src/durable/wait.rs",
    "src/error.rs",
    "src/events.rs",
    "src/export.rs",
    "src/host.rs",
    "src/http.rs",
    "src/json.rs",
    "src/ledger.rs",
    "src/lib.rs",
    "src/log.rs",
    "src/metrics.rs",
    "src/money.rs",
    "src/random.rs",
    "src/retry.rs",
    "src/schema.rs",
    "src/schema/tests.rs",
    "src/secrets.rs",
    "src/state.rs",
    "src/status.rs",
    "src/stream.rs",
    "src/testing/crashes.rs",
    "src/testing/drive.rs",
    "src/testing/grants.rs",
    "src/testing/harness.rs",
    "src/testing/host/clock.rs",
    "src/testing/host/durable.rs",
    "src/testing/host/http.rs",
    "src/testing/host/ledger.rs",
    "src/testing/host/mod.rs",
    "src/testing/host/plain.rs",
    "src/testing/host/state.rs",
    "src/testing/journal.rs",
    "src/testing/layer.rs",
    "src/testing/ledger.rs",
    "src/testing/limits.rs",
    "src/testing/manifest.rs",
    "src/testing/mod.rs",
    "src/testing/origin.rs",
    "src/testing/ran.rs",
    "src/testing/run.rs",
    "src/testing/tests/bounds.rs",
    "src/testing/tests/crashes.rs",
    "src/testing/tests/durable.rs",
    "src/testing/tests/effects.rs",
    "src/testing/tests/mod.rs",
    "src/testing/tests/waits.rs",
    "src/testing/wait.rs",
    "src/testing/web.rs",
    "src/testing/world.rs",
    "src/time.rs",
    "src/webhook.rs",
    "wit/guest.wit",
    "wit/host.wit",
    "wit/types.wit",
    "wit/worlds.wit",
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the paths of all files in `folder` and below, relative to it.
    fn files_below(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn every_source_of_the_sdk_is_embedded() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust");
        for folder in ["src", "macros/src", "wit"] {
            let there = files_below(&sdk.join(folder));
            let embedded: Vec<_> =
                SDK.iter().filter_map(|(path, _)| path.strip_prefix(&format!("{folder}/"))).collect();
            assert_eq!(there, embedded, "sdk/rust/{folder}");
        }
    }

    #[test]
    fn every_template_is_embedded_whole() {
        let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let there = files_below(&templates).len() - 1; // README.md is about them
        assert_eq!(there, SHARED.len() + TEMPLATES.iter().map(|template| template.files.len()).sum::<usize>());
    }

    #[test]
    fn a_project_has_its_own_name_and_sdk_and_no_placeholder() {
        for template in TEMPLATES {
            let files = template.project("my-first", None);
            let text =
                |path: &str| files.iter().find(|(file, _)| file == Path::new(path)).map(|(_, text)| text.as_str());
            assert!(text("Cargo.toml").unwrap().contains("tidemill-sdk = { path = \".tidemill/sdk\" }"));
            assert!(text("tidemill.toml").unwrap().contains("release/my_first.wasm"));
            assert!(text(".tidemill/sdk/wit/host.wit").is_some());
            let own = files.iter().filter(|(path, _)| !path.starts_with(SDK_FOLDER));
            for (path, text) in own {
                for placeholder in ["{{name}}", "{{crate}}", "{{sdk}}"] {
                    assert!(!text.contains(placeholder), "{} of {}", path.display(), template.name);
                }
            }
        }
    }

    #[test]
    fn an_sdk_elsewhere_is_not_vendored() {
        let files = TEMPLATES[0].project("x", Some(Path::new("../tidemill/sdk/rust")));
        assert!(files.iter().all(|(path, _)| !path.starts_with(".tidemill")));
        assert!(files[0].1.contains("path = \"../tidemill/sdk/rust\""));
    }
}
