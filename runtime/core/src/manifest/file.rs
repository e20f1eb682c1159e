//! The `tidemill.toml` of a module folder: a module and its deployment in one file.
//!
//! The file is converted to the JSON of a manifest, which one reader reads. Pointers of problems
//! refer to the file: `/deployment/priority` for a field under `[deployment]`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Manifest, ModuleRef, ModuleVersion, Source, read};
use crate::codes::Code;
use crate::ids::{DeploymentName, ModuleName};
use crate::wire::{InputProblem, ObjectField, ObjectReader};

/// Maximum size of a `tidemill.toml`, in bytes.
pub const MODULE_FILE_BYTES: usize = super::MANIFEST_BYTES;

/// The content of a `tidemill.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleFile {
    /// The module; `None` if the file deploys an existing module.
    pub module: Option<ModuleSection>,
    /// The deployment. Its default name is that of the module.
    pub manifest: Manifest,
}

/// `[module]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSection {
    /// The module's name.
    pub name: ModuleName,
    /// Its version.
    pub version: ModuleVersion,
    /// Path of the built component, relative to the file.
    pub component: String,
}

impl ModuleFile {
    /// Reads a `tidemill.toml`.
    ///
    /// # Errors
    /// All problems of the file; only the first one if it is not TOML.
    pub fn parse_toml(text: &str) -> Result<Self, Vec<InputProblem>> {
        if text.len() > MODULE_FILE_BYTES {
            let message = format!("{} bytes; at most {MODULE_FILE_BYTES} are allowed", text.len());
            return Err(vec![InputProblem::field("", message, "Keep what is large in the deployment's state.")]);
        }
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start.min(text.len()));
                let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
                let problem =
                    InputProblem::field("", format!("line {line}: {}", error.message()), "Correct that line.");
                return Err(vec![problem.with_code(Code::BadManifest)]);
            }
        };
        let mut problems = Vec::new();
        let file = read_file(table, &mut problems);
        match file {
            Some(file) if problems.is_empty() => Ok(file),
            _ => Err(problems),
        }
    }
}

fn read_file(table: toml::Table, problems: &mut Vec<InputProblem>) -> Option<ModuleFile> {
    let mut top: Map<String, Value> = table.into_iter().map(|(name, value)| (name, json(value))).collect();
    // A text is a reference to an existing module. It remains in the manifest.
    let module = match top.remove("module") {
        Some(value @ Value::String(_)) => {
            top.insert("module".to_owned(), value);
            None
        }
        Some(value) => {
            let field = ObjectField { pointer: "/module".to_owned(), value };
            Some(module_section(field.object(problems)?, problems)?)
        }
        None => None,
    };

    // One flat object, and the place of each of its fields in the file.
    let mut places = BTreeMap::new();
    let mut flat = Map::new();
    if let Some(deployment) = top.remove("deployment") {
        let field = ObjectField { pointer: "/deployment".to_owned(), value: deployment };
        for (name, field) in field.object(problems)?.take_all() {
            places.insert(name.clone(), "/deployment");
            flat.insert(name, field.value);
        }
    }
    for (name, value) in top {
        if places.contains_key(&name) {
            let message = format!("`{name}` is given twice, once of them under `[deployment]`");
            problems.push(InputProblem::field(format!("/{name}"), message, "Keep one of the two."));
        } else {
            flat.insert(name, value);
        }
    }
    if let Some(module) = &module {
        let reference = ModuleRef { name: module.name.clone(), version: module.version.clone() };
        for name in ["module", "component"] {
            if flat.remove(name).is_some() {
                let message = format!("`{name}` is given, but `[module]` defines the component");
                problems.push(InputProblem::field(format!("/deployment/{name}"), message, "Remove it."));
            }
        }
        flat.insert("module".to_owned(), Source::Module(reference).to_string().into());
    }

    let from = problems.len();
    #[cfg(feature = "host")]
    let (schedules, budgets) = (
        if flat.contains_key("schedule") { "/schedule/" } else { "/schedules/" },
        if flat.contains_key("budget") { "/budget/" } else { "/budgets/" },
    );
    let manifest = read::manifest(ObjectReader::new(String::new(), flat), problems);
    #[cfg(feature = "host")]
    if problems.is_empty() {
        let unknown = manifest.iter().flat_map(Manifest::unknown_zones);
        problems.extend(unknown.map(|mut problem| {
            problem.pointer = problem.pointer.replacen("/schedules/", schedules, 1).replacen("/budgets/", budgets, 1);
            problem
        }));
    }
    for problem in problems.iter_mut().skip(from) {
        let first = problem.pointer.split('/').nth(1).unwrap_or_default().replace("~1", "/").replace("~0", "~");
        if let Some(place) = places.get(&first) {
            problem.pointer.insert_str(0, place);
        }
    }
    let mut manifest = manifest?;
    if let (None, Some(module)) = (&manifest.name, &module) {
        manifest.name = module.name.as_str().parse::<DeploymentName>().ok();
    }
    Some(ModuleFile { module, manifest })
}

fn module_section(mut object: ObjectReader, problems: &mut Vec<InputProblem>) -> Option<ModuleSection> {
    let name = object.require("name", "Name the module, such as name = \"uptime\".", problems);
    let name = name.and_then(|field| field.parse(problems));
    let version = object.require("version", "Give its version, such as version = \"0.1.0\".", problems);
    let version = version.and_then(|field| field.parse(problems));
    let fix =
        "Write the path of the built component, such as component = \"target/wasm32-wasip2/release/uptime.wasm\".";
    let component = object.require("component", fix, problems).and_then(|field| field.text(4_096, problems));
    object.finish(problems);
    Some(ModuleSection { name: name?, version: version?, component: component? })
}

/// Converts TOML to JSON. Times become text, because JSON has no times.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}
