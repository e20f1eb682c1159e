//! Reads and writes `operator` under `[grants]`. [`OperatorGrant`] documents the fields.

#[cfg(feature = "host")]
use serde_json::{Value, json};

use super::grants::{GRANTS, OperatorGrant};
use crate::ids::DeploymentName;
use crate::operator::OperatorAction;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

const FIX: &str = "Write { actions = [\"pause\", \"resume\"], deployments = [\"shop\"] }, or remove it.";

/// Reads the grant of the deployment `own`.
pub(super) fn read(
    field: ObjectField,
    own: Option<&DeploymentName>,
    problems: &mut Vec<InputProblem>,
) -> Option<OperatorGrant> {
    let before = problems.len();
    let mut object = field.object(problems)?;
    let actions = actions(&mut object, problems);
    let deployments = deployments(&mut object, own, problems);
    object.finish(problems);
    (problems.len() == before).then_some(OperatorGrant { actions, deployments })
}

fn actions(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> Vec<OperatorAction> {
    let mut actions = Vec::new();
    for field in required_items(object, "actions", OperatorAction::ALL.len(), problems) {
        let pointer = field.pointer.clone();
        let Some(action) = field.choice(&OperatorAction::choices(), problems) else { continue };
        if actions.contains(&action) {
            problems.push(InputProblem::field(pointer, format!("\"{action}\" is there twice"), "Remove one of them."));
        }
        actions.push(action);
    }
    actions
}

fn deployments(
    object: &mut ObjectReader,
    own: Option<&DeploymentName>,
    problems: &mut Vec<InputProblem>,
) -> Vec<DeploymentName> {
    let mut deployments: Vec<DeploymentName> = Vec::new();
    for field in required_items(object, "deployments", GRANTS, problems) {
        let pointer = field.pointer.clone();
        let Some(deployment) = field.parse::<DeploymentName>(problems) else { continue };
        if own == Some(&deployment) {
            let message = format!("`{deployment}` would operate itself");
            problems.push(InputProblem::field(pointer, message, "Name other deployments only."));
        } else if deployments.contains(&deployment) {
            let message = format!("`{deployment}` is there twice");
            problems.push(InputProblem::field(pointer, message, "Remove one of them."));
        }
        deployments.push(deployment);
    }
    deployments
}

/// Reads a list that must have an item.
fn required_items(
    object: &mut ObjectReader,
    name: &'static str,
    most: usize,
    problems: &mut Vec<InputProblem>,
) -> Vec<ObjectField> {
    let Some(field) = object.require(name, FIX, problems) else { return Vec::new() };
    let pointer = field.pointer.clone();
    let Some(items) = field.list(most, problems) else { return Vec::new() };
    if items.is_empty() {
        problems.push(InputProblem::field(pointer, "the list is empty, so the grant allows nothing", FIX));
    }
    items
}

/// Writes the grant.
#[cfg(feature = "host")]
pub(super) fn write(grant: &OperatorGrant) -> Value {
    json!({
        "actions": grant.actions.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
        "deployments": grant.deployments,
    })
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn parse(operator: &Value) -> Result<Manifest, Vec<InputProblem>> {
        let grants = json!({ "operator": operator });
        let manifest = json!({ "name": "runbook", "module": "hello@0.1.0", "grants": grants });
        Manifest::parse_json(manifest.to_string().as_bytes())
    }

    fn name(text: &str) -> DeploymentName {
        text.parse().unwrap()
    }

    #[test]
    fn the_grant_is_read_and_written() {
        let manifest = parse(&json!({ "actions": ["pause", "resume"], "deployments": ["shop", "billing"] })).unwrap();
        let grant = manifest.grants.operator.clone().unwrap();
        assert_eq!(grant.actions, [OperatorAction::Pause, OperatorAction::Resume]);
        assert!(grant.allows(OperatorAction::Pause, &name("shop")));
        assert!(!grant.allows(OperatorAction::Rollback, &name("shop")));
        assert!(!grant.allows(OperatorAction::Pause, &name("other")));
        assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
    }

    #[test]
    fn a_manifest_without_the_grant_keeps_its_text_and_its_difference_is_shown() {
        let plain = Manifest::parse_json(br#"{"name": "runbook", "module": "hello@0.1.0"}"#).unwrap();
        assert!(plain.to_json()["grants"].get("operator").is_none());
        let granted = parse(&json!({ "actions": ["retry"], "deployments": ["shop"] })).unwrap();
        let changes = granted.changes_from(&plain);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].pointer.as_str(), &changes[0].from), ("/grants/operator", &None));
        assert_eq!(changes[0].to, Some(json!({ "actions": ["retry"], "deployments": ["shop"] })));
    }

    #[test]
    fn problems_name_their_fields_and_the_fix() {
        let many: Vec<_> = (0..=GRANTS).map(|n| format!("d{n}")).collect();
        let cases = [
            (json!(["pause"]), "/grants/operator"),
            (json!({ "deployments": ["shop"] }), "/grants/operator/actions"),
            (json!({ "actions": ["pause"] }), "/grants/operator/deployments"),
            (json!({ "actions": [], "deployments": ["shop"] }), "/grants/operator/actions"),
            (json!({ "actions": ["pause"], "deployments": [] }), "/grants/operator/deployments"),
            (json!({ "actions": ["destroy"], "deployments": ["shop"] }), "/grants/operator/actions/0"),
            (json!({ "actions": ["pause", "pause"], "deployments": ["shop"] }), "/grants/operator/actions/1"),
            (json!({ "actions": ["pause"], "deployments": ["Shop"] }), "/grants/operator/deployments/0"),
            (json!({ "actions": ["pause"], "deployments": ["shop", "runbook"] }), "/grants/operator/deployments/1"),
            (json!({ "actions": ["pause"], "deployments": ["shop", "shop"] }), "/grants/operator/deployments/1"),
            (json!({ "actions": ["pause"], "deployments": many }), "/grants/operator/deployments"),
            (json!({ "actions": ["pause"], "deployments": ["shop"], "to": 1 }), "/grants/operator/to"),
        ];
        for (operator, pointer) in cases {
            let problems = parse(&operator).unwrap_err();
            assert_eq!(problems.len(), 1, "{operator}: {problems:#?}");
            assert_eq!(problems[0].pointer, pointer, "{operator}: {problems:#?}");
            assert!(problems[0].fix.ends_with('.'), "{problems:#?}");
        }
    }

    #[test]
    fn the_line_that_grants_an_action_keeps_what_is_granted() {
        let line = OperatorGrant::line_with(None, Some(OperatorAction::Retry), &name("shop"));
        assert_eq!(line, r#"operator = { actions = ["retry"], deployments = ["shop"] }"#);
        let present = OperatorGrant { actions: vec![OperatorAction::Pause], deployments: vec![name("shop")] };
        let line = OperatorGrant::line_with(Some(&present), Some(OperatorAction::Resume), &name("billing"));
        assert_eq!(line, r#"operator = { actions = ["pause", "resume"], deployments = ["shop", "billing"] }"#);
        let same = OperatorGrant::line_with(Some(&present), Some(OperatorAction::Pause), &name("shop"));
        assert_eq!(same, r#"operator = { actions = ["pause"], deployments = ["shop"] }"#);
    }
}
