//! Reads a policy file field by field, and reports all of its problems.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{CEILINGS, CeilingUnit, ENTRIES, OperatorRule, POLICY_BYTES, Policy, PolicyRules, SecretRule};
use crate::codes::Code;
use crate::flow::QUEUE_MAX;
use crate::ids::DeploymentName;
use crate::manifest::{CONCURRENCY_MAX, SCHEDULES};
use crate::operator::OperatorAction;
use crate::origin::OriginPattern;
use crate::schedule::EVERY_MAX_MILLIS;
use crate::wire::json::shown;
use crate::wire::{InputProblem, ObjectField, ObjectReader};

/// Maximum lifetime and active time that a policy can name, in milliseconds: 366 days.
const MILLIS_MAX: u64 = EVERY_MAX_MILLIS;

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// All problems of the file; only the first one if it is not TOML.
    pub fn parse_toml(text: &str) -> Result<Self, Vec<InputProblem>> {
        if text.len() > POLICY_BYTES {
            let message = format!("{} bytes; a policy holds at most {POLICY_BYTES}", text.len());
            return Err(vec![InputProblem::field("", message, "Name deployments by the beginning of their names.")]);
        }
        let fields: Map<String, Value> = toml::from_str(text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
            vec![InputProblem::field("", format!("line {line}: {}", error.message()), "Correct that line; it is TOML.")]
        })?;
        let mut problems = Vec::new();
        let policy = policy(ObjectReader::new(String::new(), fields), &mut problems);
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }
}

fn policy(mut object: ObjectReader, problems: &mut Vec<InputProblem>) -> Policy {
    let mut policy = Policy { rules: rules(&mut object, problems), ..Policy::default() };
    // With a policy, a secret goes only where the policy allows it.
    policy.secrets = Some(named(object.take("secrets"), is_secret, problems, |mut object, problems| {
        let to = origins(object.take("to"), problems).unwrap_or_default();
        let sign = object.take("sign").and_then(|field| field.boolean(problems)).unwrap_or(false);
        let deployments = list(object.take("deployments"), problems).unwrap_or_default();
        let deployments = deployments.into_iter().filter_map(|field| pattern(field, problems)).collect();
        object.finish(problems);
        SecretRule { to, sign, deployments }
    }));
    policy.deployments = named(object.take("deployments"), is_pattern, problems, |mut object, problems| {
        let rules = rules(&mut object, problems);
        object.finish(problems);
        rules
    });
    object.finish(problems);
    policy
}

fn rules(object: &mut ObjectReader, problems: &mut Vec<InputProblem>) -> PolicyRules {
    let mut rules = PolicyRules { origins: origins(object.take("origins"), problems), ..PolicyRules::default() };
    if let Some(mut limits) = object.take("limits").and_then(|field| field.object(problems)) {
        for (place, ceiling) in rules.limits.iter_mut().zip(&CEILINGS) {
            *place = limits.take(ceiling.name).and_then(|field| match ceiling.unit {
                CeilingUnit::Number => field.number(0..=u64::MAX, problems),
                CeilingUnit::Bytes => field.size(0..=u64::MAX, problems),
                CeilingUnit::Millis => field.duration(1..=MILLIS_MAX, problems),
            });
        }
        limits.finish(problems);
    }
    let concurrency = object.take("concurrency");
    rules.concurrency = concurrency.and_then(|field| field.number(1..=CONCURRENCY_MAX.into(), problems));
    rules.queue = object.take("queue").and_then(|field| field.number(1..=QUEUE_MAX, problems));
    if let Some(mut schedules) = object.take("schedules").and_then(|field| field.object(problems)) {
        let count = schedules.take("count");
        rules.schedules = count.and_then(|field| field.number(0..=SCHEDULES as u64, problems));
        let interval = schedules.take("minimum_interval");
        rules.minimum_interval_millis = interval.and_then(|field| field.duration(1..=MILLIS_MAX, problems));
        schedules.finish(problems);
    }
    if let Some(object) = object.take("operator").and_then(|field| field.object(problems)) {
        rules.operator = operator(object, problems);
    }
    rules
}

fn operator(mut object: ObjectReader, problems: &mut Vec<InputProblem>) -> OperatorRule {
    let actions = list(object.take("actions"), problems);
    let deployments = list(object.take("deployments"), problems);
    let mut action = |field: ObjectField| field.choice(&OperatorAction::choices(), problems);
    let actions = actions.map(|fields| fields.into_iter().filter_map(&mut action).collect());
    let deployments =
        deployments.map(|fields| fields.into_iter().filter_map(|field| pattern(field, problems)).collect());
    object.finish(problems);
    OperatorRule { actions, deployments }
}

/// Reads an object whose names the operator chooses.
fn named<T>(
    field: Option<ObjectField>,
    is_name: fn(&str) -> bool,
    problems: &mut Vec<InputProblem>,
    read: impl Fn(ObjectReader, &mut Vec<InputProblem>) -> T,
) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    let Some(mut object) = field.and_then(|field| field.object(problems)) else { return all };
    for (name, field) in object.take_all().into_iter().take(ENTRIES) {
        if !is_name(&name) {
            problems.push(InputProblem::field(
                &field.pointer,
                format!("`{}` is not a valid name", shown(&name)),
                NAME_FIX,
            ));
        } else if let Some(object) = field.object(problems) {
            all.insert(name, read(object, problems));
        }
    }
    all
}

const NAME_FIX: &str = "Use 1 to 63 lower-case letters, digits and hyphens, first and last a letter or digit; of deployments also a \
                        beginning of names, such as \"team-*\".";

fn is_secret(name: &str) -> bool {
    // Names of secrets follow the rules of deployment names.
    name.parse::<DeploymentName>().is_ok()
}

fn is_pattern(name: &str) -> bool {
    match name.strip_suffix('*') {
        Some("") => true,
        Some(beginning) => beginning.trim_end_matches('-').parse::<DeploymentName>().is_ok(),
        None => name.parse::<DeploymentName>().is_ok(),
    }
}

/// Reads the name of a deployment, or the beginning of names that `*` follows.
pub fn pattern(field: ObjectField, problems: &mut Vec<InputProblem>) -> Option<String> {
    let pointer = field.pointer.clone();
    let name = field.text(64, problems)?;
    if !is_pattern(&name) {
        problems.push(InputProblem::field(
            pointer,
            format!("`{}` is not a valid name or prefix of deployments", shown(&name)),
            NAME_FIX,
        ));
    }
    Some(name)
}

fn list(field: Option<ObjectField>, problems: &mut Vec<InputProblem>) -> Option<Vec<ObjectField>> {
    field?.one_or_many(ENTRIES, problems)
}

fn origins(field: Option<ObjectField>, problems: &mut Vec<InputProblem>) -> Option<Vec<OriginPattern>> {
    let fields = list(field, problems)?;
    Some(fields.into_iter().filter_map(|field| field.parse(problems)).collect())
}

/// Returns the problem of a manifest that exceeds the policy.
pub(super) fn denied(pointer: String, message: String, fix: String) -> InputProblem {
    InputProblem::field(pointer, message, fix).with_code(Code::PolicyDenied)
}
