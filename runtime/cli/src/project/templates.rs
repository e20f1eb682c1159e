//! The files that `tidemill new` writes: the templates and the SDK, embedded in the binary, so that
//! a project builds without a published SDK. Pure: the command checks names and writes files.

use std::path::{Path, PathBuf};

/// Folder of the embedded sources, relative to a project's folder.
const VENDOR_FOLDER: &str = ".tidemill";
/// Path of the SDK, relative to a project's folder.
const SDK_FOLDER: &str = ".tidemill/sdk/rust";

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
        let vendored = vendored.map(|&(path, text)| (Path::new(VENDOR_FOLDER).join(path), text.to_owned()));
        own.chain(vendored).collect()
    }
}

macro_rules! embedded {
    ($folder:literal: $($path:literal = $source:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $folder, "/", $source)))),+]
    };
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
            ("streams list", "what it earned"),
        ],
    },
    Template {
        name: "webhook",
        about: "Receives HTTP deliveries that the host has authenticated",
        files: embedded!("templates/webhook": "src/lib.rs" = "lib.rs", "tidemill.toml" = "tidemill.toml", "README.md" = "README.md"),
        steps: &[
            ("test {dir}", "its tests, without a host"),
            ("dev {dir}", "a host that rebuilds and redeploys it on every change"),
            ("deliveries list", "in another terminal: what its hook received"),
        ],
    },
];

/// The files that every project has.
const SHARED: &[(&str, &str)] = embedded!("templates/shared":
    "Cargo.toml" = "Cargo.toml.template",
    ".gitignore" = "gitignore.template",
    "rust-toolchain.toml" = "rust-toolchain.toml.template",
);

/// The sources of the SDK and of the core crate, which its test harness uses, by their paths in the
/// repository.
const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

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
            assert!(text("Cargo.toml").unwrap().contains("tidemill-sdk = { path = \".tidemill/sdk/rust\" }"));
            assert!(text("tidemill.toml").unwrap().contains("release/my_first.wasm"));
            assert!(text(".tidemill/sdk/rust/wit/host.wit").is_some());
            assert!(text(".tidemill/runtime/core/src/lib.rs").is_some());
            let own = files.iter().filter(|(path, _)| !path.starts_with(VENDOR_FOLDER));
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
