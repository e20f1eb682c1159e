//! Validates that a component can run here, and otherwise reports every problem: each import is
//! compared with the host's interfaces and each export with the four worlds. A problem names the
//! nearest known name and a fix.
//!
//! Signatures of the contract's functions are checked one by one; those of WASI last, by wasmtime,
//! which stops at the first difference.

mod shape;
mod table;

use tidemill_core::run::Export;
use tidemill_core::{Code, ComponentDigest};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::component::module::{Module, words};
use crate::component::validate::table::{CONTRACT, PACKAGE, VERSION, WASI, WASI_VERSION};
use crate::error::{ComponentInfo, ComponentProblem, ComponentRejection};
use crate::host::Contract;

/// Maximum number of reported problems.
const PROBLEMS: usize = 100;
/// Maximum number of imports and of exports that are checked.
const ITEMS: usize = 1_000;
/// Packages that the host does not have, with their replacements.
const INSTEAD: [(&str, &str); 6] = [
    (
        "wasi:http/",
        "Send requests through `tidemill:guest/http`, which is journaled and bound to the deployment's grants.",
    ),
    ("wasi:keyvalue/", "Keep values in `tidemill:guest/state`, which is committed together with the run."),
    ("wasi:blobstore/", "Keep values in `tidemill:guest/state`, which is committed together with the run."),
    ("wasi:messaging/", "Publish through `tidemill:guest/events`; subscriptions are in the manifest."),
    ("wasi:config/", "Read the deployment's configuration through `tidemill:guest/context`."),
    ("wasi:logging/", "Write lines through `tidemill:guest/log`, or to standard output."),
];

/// Checks a compiled component, and links it if it can run.
///
/// # Errors
/// Every problem that was found.
pub(crate) fn check(
    engine: &Engine,
    component: &Component,
    contract: &Contract,
    digest: ComponentDigest,
) -> Result<(ComponentInfo, Module), ComponentRejection> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    let imports = imports(engine, component, contract, &mut problems, &mut warnings);
    if problems.is_empty()
        && let Err(error) = contract.linker.instantiate_pre(component)
    {
        problems.push(ComponentProblem::new(Code::ImportMissing, words(&error)));
    }
    let exports = exports(engine, component, &mut problems);
    problems.truncate(PROBLEMS);
    if !problems.is_empty() {
        return Err(ComponentRejection { problems, host: false });
    }
    let module = Module::link(digest, component, exports.clone(), &contract.linker)?;
    Ok((ComponentInfo { exports, imports, warnings, schemas: None }, module))
}

fn imports(
    engine: &Engine,
    component: &Component,
    contract: &Contract,
    problems: &mut Vec<ComponentProblem>,
    warnings: &mut Vec<String>,
) -> Vec<String> {
    let mut names = Vec::new();
    let whole = component.component_type();
    for (name, item) in whole.imports(engine).take(ITEMS) {
        let shown = shown(name);
        names.push(shown.clone());
        let Some(import) = InterfaceName::parse(name) else {
            problems.push(
                ComponentProblem::new(
                    Code::ImportMissing,
                    format!("the component imports `{shown}`, which is not an interface"),
                )
                .with_fix("Import only interfaces of `tidemill:guest` and WASI 0.2."),
            );
            continue;
        };
        match &item.ty {
            ComponentItem::ComponentInstance(instance) => {
                if let Err(problem) = known(&import, &shown) {
                    problems.push(problem);
                    continue;
                }
                if import.interface.starts_with("wasi:sockets/") {
                    warnings.push(format!("`{shown}` provides no network: use `tidemill:guest/http`"));
                }
                let Some(interface) = import.contract() else { continue };
                for (function, member) in instance.exports(engine).take(ITEMS) {
                    if let ComponentItem::ComponentFunc(imported) = &member.ty
                        && let Err(problem) =
                            called(interface, &shown, function, || contract.fits(interface, function, imported, &whole))
                    {
                        problems.push(problem);
                    }
                }
            }
            ComponentItem::Module(_) => problems.push(
                ComponentProblem::new(
                    Code::ComponentInvalid,
                    format!("the component imports a core module, `{shown}`"),
                )
                .with_fix("Link all modules into the component."),
            ),
            _ => problems.push(
                ComponentProblem::new(
                    Code::ImportMissing,
                    format!("the component imports `{shown}`, which is not an interface"),
                )
                .with_fix("Import only interfaces of `tidemill:guest` and WASI 0.2."),
            ),
        }
    }
    names.sort();
    names
}

/// Checks that the host has the interface in that version.
fn known(import: &InterfaceName<'_>, shown: &str) -> Result<(), ComponentProblem> {
    let missing = |message: String, fix: String| Err(ComponentProblem::new(Code::ImportMissing, message).with_fix(fix));
    if let Some(interface) = import.contract() {
        if !CONTRACT.contains_key(interface) {
            let near = nearest(interface, CONTRACT.keys().copied());
            return missing(
                format!("`{shown}` is not an interface of the contract{near}"),
                format!("Import one of: {}.", CONTRACT.keys().copied().collect::<Vec<_>>().join(", ")),
            );
        }
        if import.version != Some(VERSION) {
            return missing(
                format!("the component imports `{shown}`; the host has `{}@{VERSION}`", import.interface),
                format!("Build against `{PACKAGE}@{VERSION}`."),
            );
        }
        return Ok(());
    }
    if WASI.contains(&import.interface) {
        let fits = import.version.is_some_and(|version| {
            version.strip_prefix(WASI_VERSION).is_some_and(|rest| rest.starts_with('.') && !rest.contains('-'))
        });
        if fits {
            return Ok(());
        }
        return missing(
            format!("the component imports `{shown}`; the host has `{}@{WASI_VERSION}`", import.interface),
            format!("Build for WASI {WASI_VERSION} (target `wasm32-wasip2`)."),
        );
    }
    if let Some((_, fix)) = INSTEAD.iter().find(|(package, _)| import.interface.starts_with(package)) {
        return missing(format!("the component imports `{shown}`, which the host does not have"), (*fix).to_owned());
    }
    let all = CONTRACT.keys().map(|name| format!("{PACKAGE}/{name}")).chain(WASI.iter().map(ToString::to_string));
    let all: Vec<_> = all.collect();
    let near = nearest(import.interface, all.iter().map(String::as_str));
    missing(
        format!("the component imports `{shown}`, which the host does not have{near}"),
        "Import only interfaces of `tidemill:guest` and WASI 0.2.".to_owned(),
    )
}

/// Checks that the host has a function of a contract interface with the imported type.
fn called(
    interface: &str,
    shown: &str,
    function: &str,
    fits: impl FnOnce() -> wasmtime::Result<()>,
) -> Result<(), ComponentProblem> {
    let Some(functions) = CONTRACT.get(interface) else { return Ok(()) };
    let problem = |message: String| {
        Err(ComponentProblem::new(Code::ImportMissing, message)
            .with_fix("Build against the `wit/` of this release, or run on a later one."))
    };
    let Some(signature) = functions.get(function) else {
        let near = nearest(function, functions.keys().copied());
        return problem(format!("`{shown}` has no function `{}`{near}", self::shown(function)));
    };
    match fits() {
        Ok(()) => Ok(()),
        Err(error) => problem(format!(
            "the component imports `{function}` of `{shown}` with a different type ({}); the host has `{signature}`",
            words(&error)
        )),
    }
}

fn exports(engine: &Engine, component: &Component, problems: &mut Vec<ComponentProblem>) -> Vec<Export> {
    let mut found = Vec::new();
    let mut others = Vec::new();
    let whole = component.component_type();
    for (name, item) in whole.exports(engine).take(ITEMS) {
        let parsed = InterfaceName::parse(name);
        let export = parsed.as_ref().and_then(InterfaceName::contract).and_then(Export::parse);
        match (export, parsed.and_then(|name| name.version)) {
            (Some(export), Some(VERSION)) => match shape::differs(export, &item.ty, engine, &whole) {
                None => found.push(export),
                Some(problem) => problems.push(problem),
            },
            (Some(export), _) => problems.push(
                ComponentProblem::new(
                    Code::ExportMissing,
                    format!(
                        "the component exports `{}`; the host calls `{PACKAGE}/{}@{VERSION}`",
                        shown(name),
                        export.as_str()
                    ),
                )
                .with_fix(format!("Build against `{PACKAGE}@{VERSION}`.")),
            ),
            (None, _) => others.push(shown(name)),
        }
    }
    if found.is_empty() && problems.iter().all(|problem| problem.code != Code::ExportMissing) {
        let has = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
        let fix = if others.iter().any(|name| name.starts_with("wasi:cli/run")) {
            "This is a command. Build a library (`crate-type = [\"cdylib\"]`) with one of the four exports."
        } else {
            Code::ExportMissing.fix()
        };
        problems.push(
            ComponentProblem::new(
                Code::ExportMissing,
                format!("the component exports none of workflow, revenue-stream, webhook and health, but {has}"),
            )
            .with_fix(fix),
        );
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// `package:name/interface@version`.
struct InterfaceName<'a> {
    interface: &'a str,
    version: Option<&'a str>,
}

impl<'a> InterfaceName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (interface, version) = match name.split_once('@') {
            Some((interface, version)) => (interface, Some(version)),
            None => (name, None),
        };
        (interface.contains(':') && interface.contains('/')).then_some(Self { interface, version })
    }

    /// Returns the interface's name in the contract.
    fn contract(&self) -> Option<&'a str> {
        self.interface.strip_prefix(PACKAGE)?.strip_prefix('/')
    }
}

/// Returns the known name that was most likely meant: that of the same package with the fewest
/// changes, if these are few.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let name = shown(name);
    let (package, own) = split(&name);
    let most = own.chars().count().max(3) / 3;
    known
        .filter_map(|known| {
            let (its_package, its_own) = split(known);
            let changes = strsim::osa_distance(own, its_own);
            (strsim::osa_distance(package, its_package) <= 1 && changes <= most).then_some((changes, known))
        })
        .min_by_key(|(changes, _)| *changes)
        .map_or_else(String::new, |(_, near)| format!("; the nearest is `{near}`"))
}

/// Splits a name into its package, which is empty for a function, and the rest.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Names come from the component, so they are bounded like all of its texts.
fn shown(name: &str) -> String {
    name.chars().take(120).collect()
}
