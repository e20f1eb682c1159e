//! Checks a manifest against the policy, and names the line of the policy that would allow each
//! excess.

use super::read::denied;
use super::{CEILINGS, CeilingUnit, Policy, PolicyRules};
use crate::ids::{DeploymentName, Timestamp};
use crate::manifest::{Grants, Manifest, OperatorGrant, SecretGrant};
use crate::schedule::Schedule;
use crate::wire::json::shown;
use crate::wire::{InputProblem, duration_text, size_text};

/// Number of firings among which the shortest distance of a schedule is searched.
const FIRINGS: usize = 500;

impl Policy {
    /// Returns what the manifest requests beyond the policy: each problem with its pointer and
    /// with the line that the operator would add.
    #[must_use]
    pub fn check(&self, deployment: &DeploymentName, manifest: &Manifest, now: Timestamp) -> Vec<InputProblem> {
        let mut problems = Vec::new();
        let name = deployment.as_str();
        self.check_origins(name, &manifest.grants, &mut problems);
        for (index, secret) in manifest.grants.secrets.iter().enumerate() {
            self.check_secret(name, index, secret, &mut problems);
        }
        if let Some(operator) = &manifest.grants.operator {
            self.check_operator(name, operator, &mut problems);
        }
        for (index, ceiling) in CEILINGS.iter().enumerate() {
            let Some(most) = self.ceiling(name, index) else { continue };
            let asked = (ceiling.get)(&manifest.limits);
            if asked.is_none_or(|asked| asked > most) {
                let written = |value| written(ceiling.unit, value);
                let asked_text = asked.map_or_else(|| "not bounded".to_owned(), written);
                let message = format!("`{}` is {asked_text}; the policy allows {}", ceiling.name, written(most));
                let line = format!("deployments.{name}.limits.{} = {asked_text}", ceiling.name);
                let fix = match asked {
                    Some(_) => format!("Lower it, or {}", add(&line)),
                    None => format!("Set it under `[limits]` to at most {}.", written(most)),
                };
                problems.push(denied(format!("/limits/{}", ceiling.name), message, fix));
            }
        }
        self.check_flow(name, manifest, &mut problems);
        self.check_schedules(name, &manifest.schedules, now, &mut problems);
        problems
    }

    /// Checks `concurrency` and `queue`. A manifest without `queue` requests nothing: the smaller
    /// bound of host and policy applies.
    fn check_flow(&self, name: &str, manifest: &Manifest, problems: &mut Vec<InputProblem>) {
        let concurrency = self.bound(name, |rules| rules.concurrency);
        let fields = [
            ("concurrency", concurrency, Some(u64::from(manifest.concurrency))),
            ("queue", self.queue_max(name), manifest.flow.queue),
        ];
        for (field, most, asked) in fields {
            let Some((most, asked)) = most.zip(asked).filter(|(most, asked)| asked > most) else { continue };
            let message = format!("`{field}` is {asked}; the policy allows {most}");
            let fix = format!("Lower it, or {}", add(&format!("deployments.{name}.{field} = {asked}")));
            problems.push(denied(format!("/{field}"), message, fix));
        }
    }

    /// The schedules of a deployment that the policy denies, by their index in the manifest, each
    /// with the reason: those after the first `schedules.count`, and those that fire too
    /// often. A policy may become stricter after the deployment.
    #[must_use]
    pub fn denied_schedules(
        &self,
        deployment: &DeploymentName,
        schedules: &[Schedule],
        now: Timestamp,
    ) -> Vec<(usize, String)> {
        let name = deployment.as_str();
        let most = self.bound(name, |rules| rules.schedules).unwrap_or(u64::MAX);
        let allowed = usize::try_from(most).unwrap_or(usize::MAX);
        let mut denied: Vec<_> = self.frequent(name, schedules, now).filter(|(index, ..)| *index < allowed).collect();
        denied.extend((allowed..schedules.len()).map(|index| (index, 0, 0)));
        let why = |interval, least| match least {
            0 => format!("the policy allows {most} schedules, and it comes after them in the manifest"),
            _ => fires_often(interval, least),
        };
        denied.into_iter().map(|(index, interval, least)| (index, why(interval, least))).collect()
    }

    /// The schedules that fire more often than the policy allows: their index, the shortest
    /// distance between two firings, and the minimum distance.
    fn frequent<'a>(
        &self,
        name: &str,
        schedules: &'a [Schedule],
        now: Timestamp,
    ) -> impl Iterator<Item = (usize, u64, u64)> + use<'a> {
        let least = self.bound(name, |rules| rules.minimum_interval_millis);
        schedules.iter().enumerate().filter_map(move |(index, schedule)| {
            let least = least?;
            let interval = shortest_distance(schedule, now).filter(|interval| *interval < least)?;
            Some((index, interval, least))
        })
    }

    fn check_origins(&self, name: &str, grants: &Grants, problems: &mut Vec<InputProblem>) {
        let Some(origins) = self.origins(name) else { return };
        for (index, grant) in grants.http.iter().enumerate() {
            if !origins.iter().any(|origin| origin.covers(grant)) {
                let list = match self.own(name) {
                    Some((pattern, rules)) if rules.origins.is_some() => format!("deployments.\"{pattern}\".origins"),
                    _ => "origins".to_owned(),
                };
                let message = format!("the policy does not allow requests to {grant}");
                let fix = format!("Remove it, or ask the operator to add \"{grant}\" to `{list}` of the policy.");
                problems.push(denied(format!("/grants/http/{index}"), message, fix));
            }
        }
    }

    fn check_secret(&self, name: &str, index: usize, secret: &SecretGrant, problems: &mut Vec<InputProblem>) {
        let Some(rules) = &self.secrets else { return };
        let pointer = format!("/grants/secrets/{index}");
        let own = shown(&secret.name);
        let Some(rule) = rules.get(&secret.name) else {
            let to = secret.to.iter().map(|to| format!("\"{to}\"")).collect::<Vec<_>>().join(", ");
            let sign = if secret.sign { "sign = true, " } else { "" };
            let line = format!("secrets.{own} = {{ to = [{to}], {sign}deployments = [\"{name}\"] }}");
            let message = format!("the policy allows no deployment to use the secret `{own}`");
            problems.push(denied(pointer, message, format!("Remove it, or {}", add(&line))));
            return;
        };
        let mut missing = Vec::new();
        if self.secret(name, &secret.name).flatten().is_none() {
            missing.push(format!("\"{name}\" to its `deployments`"));
        }
        let beyond = secret.to.iter().filter(|to| !rule.to.iter().any(|pattern| pattern.covers(to)));
        missing.extend(beyond.map(|to| format!("\"{to}\" to its `to`")));
        if secret.sign && !rule.sign {
            missing.push("`sign = true`".to_owned());
        }
        if !missing.is_empty() {
            let message = format!("the policy does not allow this deployment to use the secret `{own}` in this way");
            let fix = format!(
                "Remove it, or ask the operator to add to `secrets.{own}` of the policy: {}.",
                missing.join(", ")
            );
            problems.push(denied(pointer, message, fix));
        }
    }

    fn check_operator(&self, name: &str, grant: &OperatorGrant, problems: &mut Vec<InputProblem>) {
        for (index, action) in grant.actions.iter().enumerate() {
            if !self.may_act(name, *action) {
                let message = format!("the policy does not allow this deployment to {action} other deployments");
                let fix = self.operator_fix(name, "actions", action.as_str());
                problems.push(denied(format!("/grants/operator/actions/{index}"), message, fix));
            }
        }
        for (index, on) in grant.deployments.iter().enumerate() {
            if !self.may_act_on(name, on.as_str()) {
                let message = format!("the policy does not allow this deployment to act on `{on}`");
                let fix = self.operator_fix(name, "deployments", on.as_str());
                problems.push(denied(format!("/grants/operator/deployments/{index}"), message, fix));
            }
        }
    }

    fn operator_fix(&self, name: &str, list: &str, item: &str) -> String {
        let has_own = |rules: &PolicyRules| match list {
            "actions" => rules.operator.actions.is_some(),
            _ => rules.operator.deployments.is_some(),
        };
        let place = match self.own(name) {
            Some((pattern, rules)) if has_own(rules) => format!("deployments.\"{pattern}\".operator.{list}"),
            _ => format!("operator.{list}"),
        };
        format!("Remove it, or ask the operator to add \"{item}\" to `{place}` of the policy.")
    }

    fn check_schedules(&self, name: &str, schedules: &[Schedule], now: Timestamp, problems: &mut Vec<InputProblem>) {
        let count = schedules.len() as u64;
        if let Some(most) = self.bound(name, |rules| rules.schedules)
            && count > most
        {
            let message = format!("{count} schedules; the policy allows {most}");
            let fix = format!("Remove some, or {}", add(&format!("deployments.{name}.schedules.count = {count}")));
            problems.push(denied("/schedules".to_owned(), message, fix));
        }
        for (index, interval, least) in self.frequent(name, schedules, now) {
            let message = match schedules.get(index) {
                Some(schedule) => format!("schedule `{}`: {}", schedule.name(), fires_often(interval, least)),
                None => fires_often(interval, least),
            };
            let line = format!("deployments.{name}.schedules.minimum_interval = \"{}\"", duration_text(interval));
            problems.push(denied(
                format!("/schedules/{index}"),
                message,
                format!("Let it fire less often, or {}", add(&line)),
            ));
        }
    }
}

fn fires_often(interval: u64, least: u64) -> String {
    format!("it fires {} apart; the policy allows {}", duration_text(interval), duration_text(least))
}

fn add(line: &str) -> String {
    format!("ask the operator to put this line at the top of the policy: {line}")
}

/// Formats a value as a manifest and a policy write it.
fn written(unit: CeilingUnit, value: u64) -> String {
    match unit {
        CeilingUnit::Number => value.to_string(),
        CeilingUnit::Bytes => format!("\"{}\"", size_text(value)),
        CeilingUnit::Millis => format!("\"{}\"", duration_text(value)),
    }
}

/// The shortest distance between two of the next firings, in milliseconds; `None` if there are
/// fewer than two.
fn shortest_distance(schedule: &Schedule, now: Timestamp) -> Option<u64> {
    let first = schedule.next_after(now)?;
    let firings = std::iter::successors(Some(first), |at| schedule.next_after(*at));
    let after = std::iter::successors(schedule.next_after(first), |at| schedule.next_after(*at));
    firings.zip(after).take(FIRINGS).map(|(earlier, later)| later.millis_since(earlier)).min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codes::Code;
    use crate::limits::{Limits, MIB};
    use crate::operator::OperatorAction;
    use crate::origin::Origin;

    const POLICY: &str = r#"
        origins = ["https://*.example.com", "http://10.0.0.1:8080"]
        concurrency = 16
        queue = 1_000
        [limits]
        fuel = 2_000_000_000
        memory = "64MiB"
        lifetime = "1h"
        http_calls = 2_000
        [schedules]
        count = 2
        minimum_interval = "1m"
        [secrets.stripe-key]
        to = ["https://api.example.com"]
        deployments = ["billing", "team-*"]
        [secrets.signing]
        sign = true
        deployments = ["*"]
        [deployments."team-*"]
        limits.fuel = 5_000_000_000
        [deployments.team-big]
        limits.memory = "128MiB"
        concurrency = 64
        origins = ["https://*"]
    "#;

    fn policy() -> Policy {
        Policy::parse_toml(POLICY).unwrap()
    }

    fn problems(name: &str, manifest: &str) -> Vec<InputProblem> {
        let text = format!(r#"{{"module": "m@1.0.0", "limits": {{"lifetime": "10m"}}, {manifest}}}"#);
        check(&policy(), name, &text)
    }

    fn check(policy: &Policy, name: &str, manifest: &str) -> Vec<InputProblem> {
        let manifest = Manifest::parse_json(manifest.as_bytes()).unwrap();
        policy.check(&name.parse().unwrap(), &manifest, Timestamp::from_millis(1_767_225_600_000))
    }

    fn pointers(problems: &[InputProblem]) -> Vec<&str> {
        problems.iter().map(|problem| problem.pointer.as_str()).collect()
    }

    #[test]
    fn a_manifest_within_the_policy_is_allowed() {
        let manifest = r#"
            "grants": {"http": ["https://api.example.com", "https://*.eu.example.com"], "secrets": [
                {"name": "stripe-key", "to": ["https://api.example.com"]}, {"name": "signing", "use": "sign"}]},
            "schedules": [{"name": "a", "cron": "* * * * *"}, {"name": "b", "every": "1m"}]"#;
        for name in ["billing", "team-x"] {
            assert_eq!(problems(name, manifest), [], "{name}");
        }
        assert_eq!(check(&Policy::default(), "x", r#"{"module": "m@1.0.0", "limits": {"fuel": 9000000000}}"#), []);
    }

    #[test]
    fn a_manifest_beyond_the_policy_is_refused_with_the_line_to_add() {
        let beyond = check(
            &policy(),
            "x",
            r#"{"module": "m@1.0.0", "limits": {"fuel": 3000000000, "memory": "65MiB", "http_calls": 1},
                "concurrency": 17, "queue": 1001,
                "grants": {"http": ["https://example.com", "https://other.org"],
                    "secrets": [{"name": "stripe-key", "to": ["https://api.example.com", "https://x.example.com"]},
                        {"name": "new", "to": ["https://api.example.com"], "use": "sign"}]},
                "schedules": [{"name": "a", "every": "30s"}, {"name": "b", "every": "1h"}, {"name": "c", "every": "1h"}]}"#,
        );
        assert_eq!(
            pointers(&beyond),
            [
                "/grants/http/0",
                "/grants/http/1",
                "/grants/secrets/0",
                "/grants/secrets/1",
                "/limits/fuel",
                "/limits/memory",
                "/limits/lifetime",
                "/concurrency",
                "/queue",
                "/schedules",
                "/schedules/0"
            ]
        );
        assert!(beyond.iter().all(|problem| problem.code == crate::Code::PolicyDenied));
        let fixes: String = beyond.iter().map(|problem| format!("{}\n", problem.fix)).collect();
        for line in [
            "add \"https://other.org\" to `origins` of the policy",
            "`secrets.stripe-key` of the policy: \"x\" to its `deployments`, \"https://x.example.com\" to its `to`",
            "secrets.new = { to = [\"https://api.example.com\"], sign = true, deployments = [\"x\"] }",
            "deployments.x.limits.fuel = 3000000000",
            "deployments.x.limits.memory = \"65MiB\"",
            "deployments.x.concurrency = 17",
            "deployments.x.queue = 1001",
            "deployments.x.schedules.count = 3",
            "deployments.x.schedules.minimum_interval = \"30s\"",
        ] {
            assert!(fixes.contains(line), "{line} in {fixes}");
        }
    }

    #[test]
    fn the_lines_to_add_allow_it() {
        let manifest = r#"{"module": "m@1.0.0", "limits": {"fuel": 3000000000, "memory": "65MiB", "active": "2m"},
            "concurrency": 16, "queue": 5, "grants": {"secrets": [{"name": "new", "to": ["https://a.org"], "use": "sign"}]},
            "schedules": [{"name": "a", "every": "30s"}]}"#;
        let strict = "concurrency = 1\nqueue = 1\n[limits]\nfuel = 1\nmemory = 0\nactive = \"1s\"\n[schedules]\ncount = 0\nminimum_interval = \"1h\"";
        let problems = check(&Policy::parse_toml(strict).unwrap(), "x", manifest);
        assert_eq!(problems.len(), 8);
        let lines: String =
            problems.iter().map(|it| format!("{}\n", it.fix.split("policy: ").nth(1).unwrap())).collect();
        let wider = Policy::parse_toml(&format!("{lines}{strict}")).unwrap();
        assert_eq!(check(&wider, "x", manifest), []);
    }

    #[test]
    fn the_longest_prefix_decides_and_the_general_rules_fill_the_rest() {
        let (policy, limits) = (policy(), Limits { fuel: crate::Fuel::new(9_000_000_000), ..Limits::default() });
        let fuel = |name: &str| policy.bounded(name, &limits).fuel.get();
        assert_eq!((fuel("x"), fuel("team-a"), fuel("team-big")), (2_000_000_000, 5_000_000_000, 2_000_000_000));
        let limits = Limits { memory: 512 * MIB, ..Limits::default() };
        assert_eq!(policy.bounded("team-big", &limits).memory, 128 * MIB);
        assert_eq!(policy.bounded("team-a", &limits).memory, 64 * MIB);
        assert_eq!(policy.bounded("x", &Limits::default()).lifetime_millis, Some(3_600_000));
        let allows = |name: &str, url: &str| policy.allows_origin(name, &Origin::of_url(url).unwrap());
        assert!(allows("team-big", "https://anything.org"));
        assert!(!allows("team-big", "https://anything.org:8443"));
        assert!(!allows("team-big", "http://10.0.0.1:8080"));
        assert!(allows("team-a", "http://10.0.0.1:8080"));
        assert!(!allows("team-a", "https://anything.org"));
    }

    #[test]
    fn concurrency_and_queue_are_within_the_policy() {
        let policy = policy();
        let concurrency = |name: &str, asked: u32| policy.bounded_concurrency(name, asked);
        assert_eq!((concurrency("x", 17), concurrency("x", 3), concurrency("team-big", 100)), (16, 3, 64));
        assert_eq!((policy.queue_max("x"), policy.queue_max("team-big")), (Some(1_000), Some(1_000)));
        assert_eq!(
            (Policy::default().bounded_concurrency("x", 9_999), Policy::default().queue_max("x")),
            (9_999, None)
        );
        // A manifest without `queue` requests no queue length.
        assert_eq!(check(&policy, "x", r#"{"module": "m@1.0.0", "limits": {"lifetime": "10m"}}"#), []);
    }

    #[test]
    fn schedules_beyond_the_policy_are_those_after_the_count_and_those_that_fire_too_often() {
        let manifest = r#"{"module": "m@1.0.0", "schedules": [{"name": "a", "every": "1h"}, {"name": "b", "every": "30s"},
            {"name": "c", "every": "30s"}]}"#;
        let schedules = Manifest::parse_json(manifest.as_bytes()).unwrap().schedules;
        let denied = |policy: &Policy| policy.denied_schedules(&"x".parse().unwrap(), &schedules, Timestamp::default());
        let found = denied(&policy());
        assert_eq!(found.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found[0].1, "it fires 30s apart; the policy allows 1m");
        assert!(found[1].1.contains("the policy allows 2 schedules"), "{found:?}");
        assert_eq!(denied(&Policy::default()), []);
    }

    #[test]
    fn a_secret_goes_only_to_the_origins_of_the_policy() {
        let policy = policy();
        let to = |host: &str| Origin::of_url(&format!("https://{host}")).unwrap();
        let may = |name: &str, host: &str| policy.allows_secret(name, "stripe-key", &to(host));
        assert!(may("billing", "api.example.com") && may("team-a", "api.example.com"));
        assert!(!may("billing", "x.example.com") && !may("other", "api.example.com"));
        assert!(!policy.allows_secret("billing", "unnamed", &to("api.example.com")));
        assert!(policy.may_sign("x", "signing") && !policy.may_sign("billing", "stripe-key"));
        assert!(Policy::default().allows_secret("x", "y", &to("z")) && Policy::default().may_sign("x", "y"));
    }

    #[test]
    fn a_policy_allows_the_origins_of_the_common_table() {
        let table = include_str!("../../tests/data/origins.json");
        let table: Vec<serde_json::Value> = serde_json::from_str(table).unwrap();
        for row in table {
            let (text, origins) = (&row["text"], row["operator"].as_str());
            let policy = toml::to_string(&serde_json::json!({ "origins": [text] })).unwrap();
            let read = Policy::parse_toml(&policy).ok().map(|policy| policy.origins("x").unwrap()[0].to_string());
            assert_eq!(read.as_deref(), origins.filter(|it| it.len() <= 256), "{text}");
        }
    }

    #[test]
    fn an_invalid_policy_is_refused_with_its_problems() {
        for (text, part) in [
            ("origins = 5", "/origins"),
            ("[limits]\nfule = 1", "/limits/fule"),
            ("[secrets.a]\nto = [\"nowhere\"]", "/secrets/a/to/0"),
            ("[deployments.\"A B\"]", "/deployments/A B"),
            ("[schedules]\nminimum_interval = 5", "/schedules/minimum_interval"),
            ("origins = 2026-01-01", "/origins"),
            ("x = [", "line 1"),
        ] {
            let problems = Policy::parse_toml(text).unwrap_err();
            assert!(problems.iter().any(|problem| problem.to_string().contains(part)), "{text}: {problems:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_policy_or_refused(text in "\\PC{0,200}|([a-z_.\"*]{1,12} ?= ?(\"[^\"\\\\]{0,20}\"|[0-9]{1,20}|\\{\\})\n){0,5}") {
            let _ = Policy::parse_toml(&text);
        }

        #[test]
        fn bounded_limits_are_within_the_policy(fuel in 1_000u64..10_000_000_000, memory in 1u64..1_000, name in "[a-z]{1,5}|team-(big|x)") {
            let limits = Limits { fuel: crate::Fuel::new(fuel), memory: memory * MIB, ..Limits::default() };
            let bounded = policy().bounded(&name, &limits);
            let mut manifest = Manifest::parse_json(br#"{"module": "m@1.0.0"}"#).unwrap();
            manifest.limits = bounded.clone();
            prop_assert_eq!(policy().check(&name.parse().unwrap(), &manifest, Timestamp::default()), []);
            prop_assert_eq!(policy().bounded(&name, &bounded), bounded);
        }
    }

    #[test]
    fn a_policy_bounds_the_actions_on_other_deployments() {
        let policy = Policy::parse_toml(
            r#"
            [operator]
            actions = ["pause", "resume"]
            [deployments."team-*"]
            operator.deployments = ["team-*"]
            [deployments.team-none.operator]
            actions = []
            "#,
        )
        .unwrap();
        let problems = |name: &str| {
            let text = r#"{"module": "m@1.0.0", "grants": {"operator": {
                "actions": ["pause", "rollback"], "deployments": ["team-shop", "billing"]}}}"#;
            let manifest = Manifest::parse_json(text.as_bytes()).unwrap();
            policy.check(&name.parse().unwrap(), &manifest, Timestamp::default())
        };
        let pointers = |name: &str| problems(name).into_iter().map(|problem| problem.pointer).collect::<Vec<_>>();
        assert_eq!(pointers("runbook"), ["/grants/operator/actions/1"]);
        assert_eq!(pointers("team-a"), ["/grants/operator/actions/1", "/grants/operator/deployments/1"]);
        assert_eq!(pointers("team-none"), ["/grants/operator/actions/0", "/grants/operator/actions/1"]);
        let found = problems("team-a");
        assert_eq!(
            found[0].fix,
            "Remove it, or ask the operator to add \"rollback\" to `operator.actions` of the policy."
        );
        let place = "`deployments.\"team-*\".operator.deployments` of the policy.";
        assert!(found[1].fix.ends_with(place), "{found:#?}");
        assert!(found.iter().all(|problem| problem.code == Code::PolicyDenied));

        assert!(policy.may_operate("team-a", OperatorAction::Pause, "team-shop"));
        assert!(!policy.may_operate("team-a", OperatorAction::Pause, "billing"));
        assert!(policy.may_operate("runbook", OperatorAction::Resume, "billing"));
        assert!(!policy.may_operate("runbook", OperatorAction::Retry, "billing"));
        assert!(Policy::default().may_operate("runbook", OperatorAction::Retry, "billing"));

        let bad = r#"operator = { actions = ["destroy"], deployments = ["Team"], to = 1 }"#;
        let bad: Vec<_> = Policy::parse_toml(bad).unwrap_err().into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(bad, ["/operator/actions/0", "/operator/deployments/0", "/operator/to"]);
    }
}
