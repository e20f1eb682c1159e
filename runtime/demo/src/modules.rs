//! The modules that the demo deploys: manifests from the repository, pointed at the demo's own
//! world.

use tidemill_core::manifest::ModuleFile;

use crate::expect::Prices;

const UPTIME: &str = include_str!("../../../guests/uptime/tidemill.toml");
const BILLING: &str = include_str!("../../../guests/usage-billing/tidemill.toml");
const PREPAID: &str = include_str!("../../../guests/prepaid/tidemill.toml");
const HELLO: &str = include_str!("../../../examples/hello/tidemill.toml");

/// A module, as the demo deploys it.
#[derive(Debug)]
pub struct DemoModule {
    /// The name of the module; its component is `NAME.wasm`.
    pub name: &'static str,
    /// The text of its manifest.
    pub text: String,
    /// The manifest.
    pub file: ModuleFile,
}

/// Returns the modules, and the prices of usage-billing. `world` is the address of the demo's
/// world. Uptime watches `urls` too; `origins` are their origins.
///
/// # Errors
/// If a manifest of the repository cannot be pointed at the demo.
pub fn modules(world: &str, urls: &[String], origins: &[String]) -> Result<(Vec<DemoModule>, Prices), String> {
    let mut watched = vec![format!("{world}/steady"), format!("{world}/shop")];
    watched.extend(urls.iter().cloned());
    let mut origins = [&[world.to_owned()], origins].concat();
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
    let prices = prices.ok_or("the manifest of usage-billing has no prices")?;
    let hello = changed(HELLO, |_| {})?;
    let prepaid = changed(PREPAID, |_| {})?;
    let modules = [("uptime", uptime), ("usage-billing", billing), ("prepaid", prepaid), ("hello", hello)];
    let modules = modules.into_iter().map(|(name, manifest)| module(name, &manifest)).collect::<Result<_, _>>()?;
    Ok((modules, prices))
}

fn module(name: &'static str, manifest: &toml::Table) -> Result<DemoModule, String> {
    let text = manifest.to_string();
    let file = ModuleFile::parse_toml(&text).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        format!("the manifest of {name}: {}", problems.join("; "))
    })?;
    Ok(DemoModule { name, text, file })
}

fn changed(text: &str, change: impl FnOnce(&mut toml::Table)) -> Result<toml::Table, String> {
    let mut manifest: toml::Table = toml::from_str(text).map_err(|cause| format!("a manifest of the demo: {cause}"))?;
    change(&mut manifest);
    Ok(manifest)
}

fn set(manifest: &mut toml::Table, section: &str, name: &str, value: toml::Value) {
    if let Some(toml::Value::Table(section)) = manifest.get_mut(section) {
        section.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_of_the_repository_can_be_pointed_at_the_demo() {
        let (urls, origins) = (["https://example.org/a?b".to_owned()], ["https://example.org".to_owned()]);
        let (modules, prices) = modules("http://127.0.0.1:9", &urls, &origins).unwrap();
        assert_eq!((modules.len(), prices.currency.as_str()), (4, "USD"));
        let uptime = modules[0].file.manifest.to_json();
        assert_eq!(uptime["config"]["urls"].as_array().unwrap().len(), 3);
        assert_eq!(uptime["grants"]["http"].as_array().unwrap().len(), 2);
        assert!(uptime["grants"]["http"].to_string().contains("https://example.org"));
    }
}
