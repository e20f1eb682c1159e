//! `tidemill new TEMPLATE NAME`: creates a project that builds at once.

use std::path::PathBuf;

use tidemill_core::ModuleName;

use super::templates::{TEMPLATES, Template};
use crate::error::CliError;
use crate::printer::Printer;

/// Arguments of `tidemill new`.
#[derive(Debug, clap::Args)]
pub struct NewArgs {
    /// Template: workflow, revenue-stream or webhook
    template: String,

    /// Name: lower-case letters, digits and hyphens, a letter first
    name: String,

    /// Folder to create [default: the name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Use the SDK in this folder, and do not copy one into the project
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

/// Runs the command. Never overwrites an existing file.
pub fn run(args: &NewArgs, printer: &Printer) -> Result<(), CliError> {
    let template = Template::find(&args.template).ok_or_else(|| {
        let known: Vec<_> = TEMPLATES.iter().map(|it| format!("{} ({})", it.name, it.about)).collect();
        CliError::usage(format!("there is no template `{}`", args.template), format!("use one of {}", known.join("; ")))
    })?;
    // A module name that is also a valid crate name.
    let good = args.name.parse::<ModuleName>().is_ok() && args.name.starts_with(|c: char| c.is_ascii_lowercase());
    if !good {
        return Err(CliError::usage(
            format!("`{}` cannot be a module's name", args.name),
            "use up to 63 lower-case letters, digits and hyphens, a letter first and no hyphen last",
        ));
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let occupied = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || folder.is_file() {
        return Err(CliError::usage(format!("{} already exists", folder.display()), "choose another name, or --dir"));
    }
    let sdk = args.sdk.as_ref().map(std::fs::canonicalize).transpose();
    let sdk = sdk.map_err(|cause| CliError::usage(format!("--sdk: {cause}"), "name an existing folder"))?;
    let files = template.project(&args.name, sdk.as_deref());
    for (path, text) in &files {
        let path = folder.join(path);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|cause| CliError::machine(format!("cannot write {}", path.display()), &cause))?;
    }
    let own: Vec<_> = files.iter().map(|(path, _)| path).filter(|path| !path.starts_with(".tidemill")).collect();
    let record = serde_json::json!({ "name": args.name, "template": template.name, "dir": folder, "files": own });
    let (name, dir) = (&args.name, folder.display());
    let steps: Vec<_> = template
        .steps
        .iter()
        .map(|(step, does)| (step.replace("{name}", name).replace("{dir}", &dir.to_string()), does))
        .collect();
    let width = steps.iter().map(|(step, _)| step.chars().count()).max().unwrap_or(0);
    let steps: String = steps.iter().map(|(step, does)| format!("\n  tidemill {step:width$}   {does}")).collect();
    printer.record(&record, &format!("{name} made in {dir}\n{steps}"));
    Ok(())
}
