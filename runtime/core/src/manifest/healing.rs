//! Reads and writes the `[healing]` table of a manifest. [`HealingPolicy`] documents the fields.

use serde_json::{Value, json};

use crate::healing::{HealingMode, HealingPolicy, LADDER_MAX, RepairStep};
use crate::ids::DeploymentName;
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField};

/// Maximum length of a step, in bytes.
const STEP_BYTES: usize = 256;
/// What to do about a text that is no step.
const STEP_FIX: &str = "Write \"retry\", \"recycle\", \"rollback\", \"standby\", \"quarantine\", or \"runbook:NAME\" with \
                        the name of a deployment.";

/// Reads the table, or a mode alone.
pub(super) fn read(field: ObjectField, problems: &mut Vec<InputProblem>) -> HealingPolicy {
    let mut policy = HealingPolicy::default();
    if field.value.is_string() {
        policy.mode = mode(field, problems);
        return policy;
    }
    let Some(mut object) = field.object(problems) else { return policy };
    if let Some(field) = object.take("mode") {
        policy.mode = mode(field, problems);
    }
    policy.standby = object.take("standby").and_then(|field| field.parse(problems));
    if let Some(field) = object.take("ladder") {
        policy.ladder = ladder(field, policy.standby.as_ref(), problems);
    }
    object.finish(problems);
    policy
}

fn mode(field: ObjectField, problems: &mut Vec<InputProblem>) -> HealingMode {
    field.choice(&HealingMode::ALL.map(|mode| (mode.as_str(), mode)), problems).unwrap_or_default()
}

fn ladder(field: ObjectField, standby: Option<&DeploymentName>, problems: &mut Vec<InputProblem>) -> Vec<RepairStep> {
    let mut steps: Vec<RepairStep> = Vec::new();
    for field in field.list(LADDER_MAX, problems).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(STEP_BYTES, problems) else { continue };
        match text.parse::<RepairStep>() {
            Err(_) => {
                let message = format!("`{}` is not a step of a ladder", shown(&text));
                problems.push(InputProblem::field(pointer, message, STEP_FIX));
            }
            Ok(step) if steps.contains(&step) => {
                let message = format!("the ladder has the step `{step}` twice");
                problems.push(InputProblem::field(pointer, message, "Remove one of them."));
            }
            Ok(RepairStep::Standby) if standby.is_none() => {
                let fix = "Name it, such as `standby = \"shop-spare\"`, or remove the step.";
                problems.push(InputProblem::field(pointer, "there is no standby deployment", fix));
            }
            Ok(step) => steps.push(step),
        }
    }
    if let Some(place) = steps.iter().position(|step| *step == RepairStep::Quarantine)
        && place + 1 < steps.len()
    {
        let message = "no step can follow the quarantine, because it pauses the deployment";
        problems.push(InputProblem::field(format!("/healing/ladder/{place}"), message, "Write it as the last step."));
    }
    steps
}

/// Returns the problems of a policy for the deployment `name`: what names the deployment itself.
pub(super) fn problems(policy: &HealingPolicy, name: &DeploymentName) -> Vec<InputProblem> {
    let mut problems = Vec::new();
    if policy.standby.as_ref() == Some(name) {
        let message = format!("`{name}` cannot be the standby of itself");
        problems.push(InputProblem::field("/healing/standby", message, "Name another deployment."));
    }
    for (place, step) in policy.ladder.iter().enumerate() {
        if *step == RepairStep::Runbook(name.clone()) {
            let message = format!("`{name}` cannot be the runbook of itself");
            let fix = "Name another deployment: a module that does not work cannot repair itself.";
            problems.push(InputProblem::field(format!("/healing/ladder/{place}"), message, fix));
        }
    }
    problems
}

/// Writes the table; `None` if every field has its default.
pub(super) fn write(policy: &HealingPolicy) -> Option<Value> {
    if *policy == HealingPolicy::default() {
        return None;
    }
    let HealingPolicy { mode, ladder, standby } = policy;
    let mut object = json!({ "mode": mode.as_str() });
    if let Some(object) = object.as_object_mut() {
        // The default ladder has a standby step even without a standby. No manifest can write that.
        if *ladder != HealingPolicy::default().ladder {
            object.insert("ladder".to_owned(), ladder.iter().map(ToString::to_string).collect());
        }
        if let Some(standby) = standby {
            object.insert("standby".to_owned(), standby.as_str().into());
        }
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;
    use super::*;

    fn parse(healing: &Value) -> Result<Manifest, Vec<InputProblem>> {
        Manifest::parse_json(json!({ "module": "hello@0.1.0", "healing": healing }).to_string().as_bytes())
    }

    #[test]
    fn every_field_is_read_and_written() {
        let ladder = ["retry", "runbook:fix-shop", "rollback", "standby", "quarantine"];
        let manifest = parse(&json!({ "mode": "advise", "ladder": ladder, "standby": "shop-spare" })).unwrap();
        assert_eq!(manifest.healing.mode, HealingMode::Advise);
        assert_eq!(manifest.healing.ladder[1], RepairStep::Runbook("fix-shop".parse().unwrap()));
        assert_eq!(manifest.healing.named().count(), 2);
        assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
        assert_eq!(parse(&json!("off")).unwrap(), parse(&json!({ "mode": "off" })).unwrap());
    }

    #[test]
    fn absent_fields_have_their_defaults_and_leave_the_text_unchanged() {
        let manifest = Manifest::parse_json(br#"{"module": "hello@0.1.0"}"#).unwrap();
        assert_eq!((&manifest.healing, manifest.to_json().get("healing")), (&HealingPolicy::default(), None));
        let standby = parse(&json!({ "standby": "spare" })).unwrap();
        assert_eq!(Manifest::parse_json(standby.to_json().to_string().as_bytes()), Ok(standby));
        assert_eq!(parse(&json!({ "ladder": [] })).unwrap().healing.ladder, []);
    }

    #[test]
    fn problems_name_their_fields_and_the_fix() {
        for (healing, pointer) in [
            (json!({ "mode": "on" }), "/healing/mode"),
            (json!("on"), "/healing"),
            (json!(true), "/healing"),
            (json!({ "ladder": ["restart"] }), "/healing/ladder/0"),
            (json!({ "ladder": ["runbook:"] }), "/healing/ladder/0"),
            (json!({ "ladder": ["retry", "retry"] }), "/healing/ladder/1"),
            (json!({ "ladder": ["standby"] }), "/healing/ladder/0"),
            (json!({ "ladder": ["quarantine", "retry"] }), "/healing/ladder/0"),
            (json!({ "ladder": vec!["retry"; 17] }), "/healing/ladder"),
            (json!({ "ladder": "retry" }), "/healing/ladder"),
            (json!({ "standby": "No Name" }), "/healing/standby"),
            (json!({ "repairs": 3 }), "/healing/repairs"),
        ] {
            let problems = parse(&healing).unwrap_err();
            assert_eq!(problems[0].pointer, pointer, "{problems:#?}");
            assert!(problems[0].fix.ends_with('.'), "{problems:#?}");
        }
    }

    #[test]
    fn a_deployment_is_neither_its_own_standby_nor_its_own_runbook() {
        let policy = parse(&json!({ "ladder": ["runbook:shop", "standby"], "standby": "shop" })).unwrap().healing;
        let pointers = |name: &str| {
            let problems = problems(&policy, &name.parse().unwrap());
            problems.into_iter().map(|problem| problem.pointer).collect::<Vec<_>>()
        };
        assert_eq!(pointers("shop"), ["/healing/standby", "/healing/ladder/0"]);
        assert!(pointers("other").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_back(
            steps in prop::collection::vec("(retry|recycle|rollback|standby|quarantine|runbook:[a-z]{0,3}|x)", 0..6),
            standby in prop::option::of("[a-z]{1,4}"), mode in "(act|advise|off)",
        ) {
            let mut healing = json!({ "mode": mode, "ladder": steps });
            if let Some(standby) = standby {
                healing["standby"] = standby.into();
            }
            match parse(&healing) {
                Ok(manifest) => {
                    prop_assert_eq!(Manifest::parse_json(manifest.to_json().to_string().as_bytes()), Ok(manifest));
                }
                Err(problems) => prop_assert!(problems.iter().all(|it| it.pointer.starts_with("/healing/"))),
            }
        }
    }
}
