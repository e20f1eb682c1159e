//! The operator's policy: which grants deployments may have on this host, and how much they may
//! use.
//!
//! An author writes a manifest; the operator of the host writes the policy. A deployment whose
//! manifest exceeds the policy is refused ([`Policy::check`]). The policy also applies to each
//! request of a run, because it may become stricter after a deployment. Without a policy file
//! everything is allowed.

mod check;
mod read;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::ids::Fuel;
use crate::limits::Limits;
use crate::operator::OperatorAction;
use crate::origin::{Origin, OriginPattern};

pub use read::pattern;

/// Maximum size of a policy file, in bytes.
pub const POLICY_BYTES: usize = 256 * 1024;
/// Maximum number of secrets, of deployments, and of items of one list in a policy.
const ENTRIES: usize = 1_000;

/// What deployments may be granted and may use. The default allows everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Rules for all deployments that [`Self::deployments`] does not override.
    rules: PolicyRules,
    /// Where secrets may go, by name. `None` allows every secret everywhere.
    secrets: Option<BTreeMap<String, SecretRule>>,
    /// Rules by the name of a deployment, or by a prefix of names followed by `*`.
    deployments: BTreeMap<String, PolicyRules>,
}

/// What one deployment may use. A field that is `None` sets no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PolicyRules {
    origins: Option<Vec<OriginPattern>>,
    /// Maximum of each field of `[limits]`, in the order of [`CEILINGS`].
    limits: [Option<u64>; CEILINGS.len()],
    /// Maximum `concurrency`.
    concurrency: Option<u64>,
    /// Maximum `queue`: the number of queued runs of a deployment.
    queue: Option<u64>,
    /// Maximum number of schedules.
    schedules: Option<u64>,
    /// Minimum distance between two firings of a schedule, in milliseconds.
    minimum_interval_millis: Option<u64>,
    /// What it may do to other deployments.
    operator: OperatorRule,
}

/// What a deployment may do to others. A field that is `None` sets no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OperatorRule {
    actions: Option<Vec<OperatorAction>>,
    /// Deployments by name or by a prefix of names followed by `*`.
    deployments: Option<Vec<String>>,
}

/// Allowed uses of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct SecretRule {
    /// Origins of requests that may carry it.
    to: Vec<OriginPattern>,
    /// Whether it may sign.
    sign: bool,
    /// Deployments that may use it, by name or by a prefix of names followed by `*`.
    deployments: Vec<String>,
}

/// One field of `[limits]` that a policy bounds.
struct Ceiling {
    name: &'static str,
    unit: CeilingUnit,
    /// Returns the value that a manifest requests; `None` is unbounded.
    get: fn(&Limits) -> Option<u64>,
    set: fn(&mut Limits, u64),
}

/// Notation of a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CeilingUnit {
    Number,
    Bytes,
    Millis,
}

const CEILINGS: [Ceiling; 9] = [
    Ceiling {
        name: "fuel",
        unit: CeilingUnit::Number,
        get: |limits| Some(limits.fuel.get()),
        set: |limits, most| limits.fuel = Fuel::new(most),
    },
    Ceiling {
        name: "memory",
        unit: CeilingUnit::Bytes,
        get: |limits| Some(limits.memory),
        set: |limits, most| limits.memory = most,
    },
    Ceiling {
        name: "active",
        unit: CeilingUnit::Millis,
        get: |limits| Some(limits.active_millis),
        set: |limits, most| limits.active_millis = most,
    },
    Ceiling {
        name: "lifetime",
        unit: CeilingUnit::Millis,
        get: |limits| limits.lifetime_millis,
        set: |limits, most| limits.lifetime_millis = Some(most),
    },
    Ceiling {
        name: "output",
        unit: CeilingUnit::Bytes,
        get: |limits| Some(limits.output),
        set: |limits, most| limits.output = most,
    },
    Ceiling {
        name: "log",
        unit: CeilingUnit::Bytes,
        get: |limits| Some(limits.log),
        set: |limits, most| limits.log = most,
    },
    Ceiling {
        name: "journal",
        unit: CeilingUnit::Bytes,
        get: |limits| Some(limits.journal),
        set: |limits, most| limits.journal = most,
    },
    Ceiling {
        name: "http_calls",
        unit: CeilingUnit::Number,
        get: |limits| Some(limits.http_calls),
        set: |limits, most| limits.http_calls = most,
    },
    Ceiling {
        name: "http_bytes",
        unit: CeilingUnit::Bytes,
        get: |limits| Some(limits.http_bytes),
        set: |limits, most| limits.http_bytes = most,
    },
];

impl Policy {
    /// Whether a deployment may send requests to an origin.
    #[must_use]
    pub fn allows_origin(&self, deployment: &str, origin: &Origin) -> bool {
        self.origins(deployment).is_none_or(|origins| origins.iter().any(|it| it.matches(origin)))
    }

    /// Whether a request of a deployment may carry a secret to an origin.
    #[must_use]
    pub fn allows_secret(&self, deployment: &str, name: &str, to: &Origin) -> bool {
        self.secret(deployment, name)
            .is_none_or(|rule| rule.is_some_and(|rule| rule.to.iter().any(|pattern| pattern.matches(to))))
    }

    /// Whether a deployment may sign with a secret.
    #[must_use]
    pub fn may_sign(&self, deployment: &str, name: &str) -> bool {
        self.secret(deployment, name).is_none_or(|rule| rule.is_some_and(|rule| rule.sign))
    }

    /// Whether a deployment may act on another one in this way.
    #[must_use]
    pub fn may_operate(&self, deployment: &str, action: OperatorAction, on: &str) -> bool {
        self.may_act(deployment, action) && self.may_act_on(deployment, on)
    }

    fn may_act(&self, deployment: &str, action: OperatorAction) -> bool {
        self.operator(deployment, |rule| rule.actions.as_ref()).is_none_or(|actions| actions.contains(&action))
    }

    fn may_act_on(&self, deployment: &str, on: &str) -> bool {
        let patterns = self.operator(deployment, |rule| rule.deployments.as_ref());
        patterns.is_none_or(|patterns| patterns.iter().any(|pattern| fits(pattern, on)))
    }

    fn operator<T: ?Sized>(&self, deployment: &str, of: impl Fn(&OperatorRule) -> Option<&T>) -> Option<&T> {
        let own = self.own(deployment).and_then(|(_, rules)| of(&rules.operator));
        own.or_else(|| of(&self.rules.operator))
    }

    /// The limits of a deployment's manifest, reduced to what the policy allows.
    #[must_use]
    pub fn bounded(&self, deployment: &str, limits: &Limits) -> Limits {
        let mut bounded = limits.clone();
        for (index, ceiling) in CEILINGS.iter().enumerate() {
            if let Some(most) = self.ceiling(deployment, index)
                && (ceiling.get)(limits).is_none_or(|value| value > most)
            {
                (ceiling.set)(&mut bounded, most);
            }
        }
        bounded
    }

    /// Maximum number of concurrent runs of a deployment that has `concurrency` in its manifest.
    #[must_use]
    pub fn bounded_concurrency(&self, deployment: &str, concurrency: u32) -> u32 {
        let most = self.bound(deployment, |rules| rules.concurrency);
        most.and_then(|most| u32::try_from(most).ok()).map_or(concurrency, |most| concurrency.min(most))
    }

    /// Maximum number of queued runs of a deployment; `None` if the policy sets no bound.
    #[must_use]
    pub fn queue_max(&self, deployment: &str) -> Option<u64> {
        self.bound(deployment, |rules| rules.queue)
    }

    /// The rules of the deployment's name, or else those of its longest prefix.
    fn own(&self, deployment: &str) -> Option<(&str, &PolicyRules)> {
        let fits = self.deployments.iter().filter(|(pattern, _)| fits(pattern, deployment));
        let best = fits.max_by_key(|(pattern, _)| (!pattern.ends_with('*'), pattern.len()));
        best.map(|(pattern, rules)| (pattern.as_str(), rules))
    }

    fn origins(&self, deployment: &str) -> Option<&[OriginPattern]> {
        let own = self.own(deployment).and_then(|(_, rules)| rules.origins.as_deref());
        own.or(self.rules.origins.as_deref())
    }

    fn ceiling(&self, deployment: &str, index: usize) -> Option<u64> {
        self.bound(deployment, |rules| rules.limits.get(index).copied().flatten())
    }

    fn bound(&self, deployment: &str, of: impl Fn(&PolicyRules) -> Option<u64>) -> Option<u64> {
        self.own(deployment).and_then(|(_, rules)| of(rules)).or_else(|| of(&self.rules))
    }

    /// The rule of a secret for a deployment. Outer `None` allows everything, inner `None` allows
    /// nothing.
    fn secret(&self, deployment: &str, name: &str) -> Option<Option<&SecretRule>> {
        let rule = self.secrets.as_ref()?.get(name);
        Some(rule.filter(|rule| rule.deployments.iter().any(|pattern| fits(pattern, deployment))))
    }
}

/// Whether a pattern matches a name: the name itself, a prefix followed by `*`, or `*`.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

/// The policy in force. Clones share it; the operator may replace it while the host runs.
#[derive(Debug, Clone, Default)]
pub struct PolicyInForce(Arc<RwLock<Arc<Policy>>>);

impl PolicyInForce {
    /// Puts a policy in force.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(policy))))
    }

    /// Returns the current policy.
    #[must_use]
    pub fn now(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the policy. It applies from the next call of every run.
    pub fn replace(&self, policy: Policy) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }
}
