//! Selects the export that a trigger runs if it names none, and finds what a manifest needs and its
//! component lacks.

use tidemill_core::Code;
use tidemill_core::limits::LOG_BYTES;
use tidemill_core::manifest::Manifest;
use tidemill_core::run::Export;
use tidemill_core::schema::InputCheck;
use tidemill_core::wire::InputProblem;

use crate::error::ControlError;

/// Selects the export of an invocation: the named one, else the only one that takes a caller's
/// input.
pub(crate) fn of_call(has: &[Export], asked: Option<Export>) -> Result<Export, ControlError> {
    choose(has, asked, "`?export=`")
}

/// Selects the export of a schedule: the named one, else the only one that fits.
pub(crate) fn of_schedule(has: &[Export], asked: Option<Export>) -> Result<Export, ControlError> {
    match asked {
        Some(export @ (Export::Webhook | Export::Health)) => Err(ControlError::refused(
            Code::UnknownExport,
            format!("a schedule runs `workflow` or `revenue-stream`, not `{}`", export.as_str()),
        )),
        asked => choose(has, asked, "`export` of the schedule"),
    }
}

/// Selects the export of an event: the named one, else the only one that fits.
pub(crate) fn of_event(has: &[Export], asked: Option<Export>) -> Result<Export, ControlError> {
    choose(has, asked, "`export` of the subscription")
}

fn choose(has: &[Export], asked: Option<Export>, place: &str) -> Result<Export, ControlError> {
    let list = |exports: &[Export]| exports.iter().map(|export| export.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = |detail| ControlError::refused(Code::UnknownExport, detail);
    if let Some(export) = asked {
        return if has.contains(&export) {
            Ok(export)
        } else {
            Err(unknown(format!("the component has no export `{}`; it has: {}", export.as_str(), list(has))))
        };
    }
    let fitting: Vec<Export> =
        has.iter().copied().filter(|export| matches!(export, Export::Workflow | Export::RevenueStream)).collect();
    match fitting[..] {
        [export] => Ok(export),
        [] => Err(unknown(format!("the component exports neither workflow nor revenue-stream; it has: {}", list(has)))),
        _ => Err(ControlError::refused_with(
            Code::UnknownExport,
            format!("more than one export fits: {}", list(&fitting)),
            format!("Name one of them as {place}."),
        )),
    }
}

/// Returns every mismatch between a manifest and its component, whose exports are `has` and whose
/// schema section is the JSON `schemas`: missing exports that schedules, subscriptions and hooks
/// need, inputs of schedules that the component does not accept, and limits above the host's.
#[must_use]
pub fn misfits(manifest: &Manifest, has: &[Export], schemas: Option<&str>) -> Vec<InputProblem> {
    let check = schemas.and_then(|schemas| InputCheck::of_section(schemas).ok().flatten());
    let unfit = |pointer: String, error: &ControlError| {
        InputProblem::field(pointer, error.to_string(), error.fix()).with_code(error.code())
    };
    let mut found = Vec::new();
    if manifest.limits.log > LOG_BYTES {
        let message = format!("`log` is {} bytes; a commit takes at most {LOG_BYTES}", manifest.limits.log);
        found.push(InputProblem::field("/limits/log", message, "Write at most \"8MiB\", and let the runs log less."));
    }
    for (index, schedule) in manifest.schedules.iter().enumerate() {
        match of_schedule(has, schedule.spec().export) {
            Ok(Export::Workflow) => {
                let wrong = check.iter().flat_map(|check| check.problems(schedule.spec().input.as_bytes()));
                found.extend(wrong.map(|problem| problem.under(&format!("/schedules/{index}/input"))));
            }
            Ok(_) => {}
            Err(error) => found.push(unfit(format!("/schedules/{index}/export"), &error)),
        }
    }
    for (index, subscription) in manifest.subscriptions.iter().enumerate() {
        if let Err(error) = of_event(has, subscription.export) {
            found.push(unfit(format!("/subscriptions/{index}/export"), &error));
        }
    }
    for (index, hook) in manifest.hooks.iter().enumerate().filter(|_| !has.contains(&Export::Webhook)) {
        let has: Vec<_> = has.iter().map(|export| export.as_str()).collect();
        let message =
            format!("the hook `{}` needs the export `webhook`; the component has: {}", hook.name, has.join(", "));
        let fix = "Export `webhook` from the component, or remove the hook.";
        found.push(InputProblem::field(format!("/hooks/{index}"), message, fix).with_code(Code::UnknownExport));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use Export::{Health, RevenueStream, Webhook, Workflow};

    #[test]
    fn the_only_fitting_export_need_not_be_named() {
        assert_eq!(of_call(&[Workflow, Health], None).unwrap(), Workflow);
        assert_eq!(of_schedule(&[RevenueStream, Webhook], None).unwrap(), RevenueStream);
        for has in [&[Workflow, RevenueStream][..], &[Webhook, Health], &[]] {
            assert_eq!(of_call(has, None).unwrap_err().code(), Code::UnknownExport);
        }
    }

    #[test]
    fn a_named_export_is_selected_if_the_component_has_it() {
        assert_eq!(of_call(&[Workflow, RevenueStream], Some(RevenueStream)).unwrap(), RevenueStream);
        assert_eq!(of_call(&[Workflow, Webhook], Some(Webhook)).unwrap(), Webhook);
        assert!(of_call(&[Workflow], Some(RevenueStream)).is_err());
        assert!(of_schedule(&[Workflow, Webhook], Some(Webhook)).is_err());
    }
}
