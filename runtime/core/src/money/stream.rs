//! The name of a stream in the ledger: a deployment, or one instance of it.

use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{DeploymentName, InvalidName, as_text};

/// A stream: the deployment, or one instance of it, to which entries, accounts and external ids
/// belong. Its text is `deployment` or `deployment/instance`.
///
/// The name outlives the deployment: a deployment that is deleted and made again has the same
/// stream, so that no external id is posted twice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerStream(Arc<str>);

impl LedgerStream {
    /// The stream of a deployment without instances.
    #[must_use]
    pub fn of(deployment: &DeploymentName) -> Self {
        Self(deployment.as_str().into())
    }

    /// The text: `deployment` or `deployment/instance`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the deployment.
    #[must_use]
    pub fn deployment(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(deployment, _)| deployment)
    }

    /// The name of the instance, if it is one.
    #[must_use]
    pub fn instance(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, instance)| instance)
    }
}

impl From<DeploymentName> for LedgerStream {
    fn from(deployment: DeploymentName) -> Self {
        Self::of(&deployment)
    }
}

impl FromStr for LedgerStream {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (deployment, instance) = text.split_once('/').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let is_name = |text: &str| text.parse::<DeploymentName>().is_ok();
        if is_name(deployment) && instance.is_none_or(is_name) {
            return Ok(Self(text.into()));
        }
        Err(InvalidName { kind: "stream", rule: "the name of a deployment, or `deployment/instance`" })
    }
}

impl AsRef<str> for LedgerStream {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

as_text!(LedgerStream);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_is_a_deployment_or_one_instance_of_it() {
        let stream: LedgerStream = "shop".parse().unwrap();
        assert_eq!((stream.deployment(), stream.instance()), ("shop", None));
        assert_eq!(stream, LedgerStream::of(&"shop".parse().unwrap()));
        let stream: LedgerStream = "shop/acct-1".parse().unwrap();
        assert_eq!((stream.deployment(), stream.instance(), stream.as_str()), ("shop", Some("acct-1"), "shop/acct-1"));
        for bad in
            ["", "/", "shop/", "/acct-1", "shop/a/b", "Shop", "shop/A", "shop\0", &format!("shop/{}", "x".repeat(64))]
        {
            assert!(bad.parse::<LedgerStream>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_stream_that_reads_back_or_none(text in "[a-z0-9/-]{0,12}|\\PC{0,140}") {
            if let Ok(stream) = text.parse::<LedgerStream>() {
                prop_assert_eq!(stream.to_string(), text);
            }
        }
    }
}
