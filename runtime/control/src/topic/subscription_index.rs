//! An in-memory index of the subscriptions to a topic over all deployments, rebuilt when a
//! deployment changes.
//!
//! A pattern is found by the topic itself or by its first word. Patterns that begin with a wildcard
//! are few, and are all checked.

use std::collections::HashMap;
use std::sync::Arc;

use tidemill_core::Topic;
use tidemill_core::topics::Subscription;

use crate::deployment::active::{ActiveDeployment, DeploymentMap};

/// A subscription with its deployment.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) live: Arc<ActiveDeployment>,
    pub(crate) subscription: Arc<Subscription>,
}

/// All subscriptions of the deployments `of`.
#[derive(Debug)]
pub(crate) struct Subscribers {
    of: DeploymentMap,
    exact: HashMap<Topic, Vec<Arc<Subscriber>>>,
    by_word: HashMap<String, Vec<Arc<Subscriber>>>,
    others: Vec<Arc<Subscriber>>,
}

impl Subscribers {
    pub(crate) fn of(deployments: DeploymentMap) -> Self {
        let mut all =
            Self { of: Arc::clone(&deployments), exact: HashMap::new(), by_word: HashMap::new(), others: Vec::new() };
        for live in deployments.values() {
            for subscription in &live.plan.subscriptions {
                let subscriber =
                    Arc::new(Subscriber { live: Arc::clone(live), subscription: Arc::clone(subscription) });
                let pattern = &subscription.topic;
                match (pattern.exact(), pattern.first_word()) {
                    (Some(topic), _) => all.exact.entry(topic).or_default().push(subscriber),
                    (None, Some(word)) => all.by_word.entry(word.to_owned()).or_default().push(subscriber),
                    (None, None) => all.others.push(subscriber),
                }
            }
        }
        all
    }

    /// Returns whether the index is up to date.
    pub(crate) fn is_of(&self, deployments: &DeploymentMap) -> bool {
        Arc::ptr_eq(&self.of, deployments)
    }

    /// Returns the subscriptions to a topic.
    pub(crate) fn to<'a>(&'a self, topic: &'a Topic) -> impl Iterator<Item = &'a Arc<Subscriber>> {
        let exact = self.exact.get(topic).into_iter().flatten();
        let by_word = self.by_word.get(topic.first_word()).into_iter().flatten();
        let patterns = by_word.chain(&self.others);
        exact.chain(patterns.filter(|subscriber| subscriber.subscription.topic.matches(topic)))
    }
}
