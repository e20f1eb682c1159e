//! The modules that the demo deploys: manifests from the repository, pointed at the demo's own
//! world.

use std::path::{Path, PathBuf};

use tidemill_core::manifest::ModuleFile;

use super::expect::Prices;
use crate::error::CliError;
use crate::project::{Project, read_component};

const UPTIME: &str = include_str!("../../../../../guests/uptime/tidemill.toml");
const BILLING: &str = include_str!("../../../../../guests/usage-billing/tidemill.toml");
const HELLO: &str = include_str!("../../../../../examples/hello/tidemill.toml");

/// A module with its component's bytes.
#[derive(Debug)]
pub struct DemoModule {
    /// The manifest, as the demo deploys it.
    pub project: Project,
    /// The component's bytes.
    pub component: Vec<u8>,
}

/// Returns the three modules, and the prices of the second.
///
/// # Errors
/// If a component was not built.
pub fn modules(folder: &Path, world: &str, urls: &[String]) -> Result<(Vec<DemoModule>, Prices), CliError> {
    let mut watched = vec![format!("{world}/steady"), format!("{world}/shop")];
    watched.extend(urls.iter().cloned());
    let mut origins: Vec<String> = watched.iter().map(|url| origin(url)).collect::<Result<_, _>>()?;
    origins.sort_unstable();
    origins.dedup();

    let uptime = changed(UPTIME, |manifest| {
        set(manifest, "config", "urls", watched.into());
        set(manifest, "grants", "http", origins.into());
    })?;
    let billing = changed(BILLING, |manifest| {
        set(manifest, "config", "feed", world.into());
        set(manifest, "grants", "http", vec![world].into());
    })?;
    let prices = billing.get("config").cloned().and_then(|config| config.try_into().ok());
    let prices = prices.ok_or_else(|| CliError::failed("the manifest of usage-billing has no prices"))?;
    let hello = changed(HELLO, |_| {})?;
    let modules = [("uptime", uptime), ("usage-billing", billing), ("hello", hello)];
    let modules =
        modules.into_iter().map(|(name, manifest)| module(folder, name, &manifest)).collect::<Result<_, _>>()?;
    Ok((modules, prices))
}

fn module(folder: &Path, name: &str, manifest: &toml::Table) -> Result<DemoModule, CliError> {
    let component = read_component(&folder.join(format!("{name}.wasm"))).map_err(|error| {
        error.with_fix("build the modules with `make guests` in a checkout, and name their folder with --modules")
    })?;
    let text = manifest.to_string();
    let file = ModuleFile::parse_toml(&text).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        CliError::failed(format!("the manifest of {name}: {}", problems.join("; ")))
    })?;
    let mut project = Project { folder: PathBuf::from(folder), file, text };
    crate::server::dev::mark_version(&mut project, &component)?;
    Ok(DemoModule { project, component })
}

fn changed(text: &str, change: impl FnOnce(&mut toml::Table)) -> Result<toml::Table, CliError> {
    let mut manifest: toml::Table =
        toml::from_str(text).map_err(|cause| CliError::machine("a manifest of the demo", &cause))?;
    change(&mut manifest);
    Ok(manifest)
}

fn set(manifest: &mut toml::Table, section: &str, name: &str, value: toml::Value) {
    if let Some(toml::Value::Table(section)) = manifest.get_mut(section) {
        section.insert(name.to_owned(), value);
    }
}

/// Returns the origin of a URL, in the form that grants use.
pub fn origin(url: &str) -> Result<String, CliError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.map(|url| url.origin().ascii_serialization()).ok_or_else(|| {
        CliError::usage(format!("`{url}` is not a url that can be watched"), "give one such as https://example.org/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_the_repository_can_be_pointed_at_the_demo() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["uptime", "usage-billing", "hello"] {
            std::fs::write(folder.path().join(format!("{name}.wasm")), name).unwrap();
        }
        let urls = ["https://example.org/a?b".to_owned()];
        let (modules, prices) = modules(folder.path(), "http://127.0.0.1:9", &urls).unwrap();
        assert_eq!((modules.len(), prices.currency.as_str()), (3, "USD"));
        let uptime = modules[0].project.file.manifest.to_json();
        assert_eq!(uptime["config"]["urls"].as_array().unwrap().len(), 3);
        assert!(uptime["grants"]["http"].to_string().contains("https://example.org"));
    }

    #[test]
    fn a_url_that_cannot_be_watched_is_wrong_usage() {
        assert_eq!(origin("https://a.example:8443/x?y").unwrap(), "https://a.example:8443");
        assert_eq!(origin("file:///etc/passwd").unwrap_err().exit_code(), 2);
    }
}
