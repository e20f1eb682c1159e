//! What a deployment may reach. Everything that is not granted is denied.

use crate::ids::DeploymentName;
use crate::operator::OperatorAction;
use crate::origin::{HttpGrant, Origin};
use crate::topics::{Topic, TopicPattern};

/// Maximum number of origins, secrets, deployments and topics that one manifest grants, each.
pub const GRANTS: usize = 64;

/// All grants of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Origins to which it may send requests.
    pub http: Vec<HttpGrant>,
    /// Secrets that its requests may carry or that may sign for it.
    pub secrets: Vec<SecretGrant>,
    /// Whether it may post to the ledger.
    pub ledger: bool,
    /// Deployments that it may start, signal and cancel.
    pub deployments: Vec<DeploymentName>,
    /// Topics, or patterns of topics, to which it may publish.
    pub topics: Vec<TopicPattern>,
    /// What it may do to other deployments; `None` if it may do nothing.
    pub operator: Option<OperatorGrant>,
}

impl Grants {
    /// Whether it may send requests to an origin.
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        self.http.iter().any(|grant| grant.matches(origin))
    }

    /// The grant of a secret, by the secret's name.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretGrant> {
        self.secrets.iter().find(|secret| secret.name == name)
    }

    /// Whether it may publish events to a topic.
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        self.topics.iter().any(|pattern| pattern.matches(topic))
    }
}

/// A secret and its allowed uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretGrant {
    /// Its name.
    pub name: String,
    /// Origins of requests that may carry it.
    pub to: Vec<HttpGrant>,
    /// Whether it may sign.
    pub sign: bool,
    /// Whether the deployment's hooks may verify requests with it.
    pub hook: bool,
}

/// What a deployment may do to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorGrant {
    /// The actions: at least one, each once.
    pub actions: Vec<OperatorAction>,
    /// The deployments: 1 to [`GRANTS`], each once, and never itself.
    pub deployments: Vec<DeploymentName>,
}

impl OperatorGrant {
    /// Whether it grants an action on a deployment.
    #[must_use]
    pub fn allows(&self, action: OperatorAction, deployment: &DeploymentName) -> bool {
        self.actions.contains(&action) && self.deployments.contains(deployment)
    }

    /// Returns the line of a manifest that also grants these actions on `deployment`.
    #[must_use]
    pub fn line_with(present: Option<&Self>, action: Option<OperatorAction>, deployment: &DeploymentName) -> String {
        let (mut actions, mut deployments) =
            present.map_or_else(Default::default, |grant| (grant.actions.clone(), grant.deployments.clone()));
        actions.extend(action.filter(|action| !actions.contains(action)));
        if actions.is_empty() {
            actions.push(OperatorAction::Pause);
        }
        if !deployments.contains(deployment) {
            deployments.push(deployment.clone());
        }
        let actions: Vec<_> = actions.iter().map(|action| format!("\"{action}\"")).collect();
        let deployments: Vec<_> = deployments.iter().map(|name| format!("\"{name}\"")).collect();
        format!("operator = {{ actions = [{}], deployments = [{}] }}", actions.join(", "), deployments.join(", "))
    }
}
