//! The grants of a module under test, like `[grants]` of a manifest.

use tidemill_core::manifest::{Grants as ManifestGrants, OperatorGrant, SecretGrant};
use tidemill_core::operator::OperatorAction;

/// A deployment's `[grants]`. It begins with none.
///
/// ```
/// use tidemill_sdk::testing::{Grants, Harness};
/// use tidemill_sdk::{Result, http};
///
/// let work = |(): ()| -> Result<u16> {
///     Ok(http::get("https://other.example.com/").send()?.status)
/// };
/// let granted = Grants::none().http("https://api.example.com").topic("orders.*");
/// let ran = Harness::new().grants(granted).run(work, ());
/// assert_eq!(ran.failed().code(), "host/not-granted");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Grants(pub(super) ManifestGrants);

impl Grants {
    /// Grants nothing except the deployment's own state, like a manifest without `[grants]`.
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) fn of_manifest(grants: ManifestGrants) -> Self {
        Self(grants)
    }

    /// Grants requests to an origin, such as `https://api.example.com`, or to all origins below a
    /// name: `https://*.example.com`.
    ///
    /// # Panics
    /// If the text is not an origin as in a manifest.
    #[track_caller]
    pub fn http(mut self, origin: &str) -> Self {
        self.0.http.push(parse(origin));
        self
    }

    /// Grants a secret for requests to an origin.
    ///
    /// # Panics
    /// If the text is not an origin as in a manifest.
    #[track_caller]
    pub fn secret(mut self, name: impl Into<String>, to: &str) -> Self {
        let origin = parse(to);
        self.secret_named(name.into()).to.push(origin);
        self
    }

    /// Grants a secret for signing.
    pub fn signing_secret(mut self, name: impl Into<String>) -> Self {
        self.secret_named(name.into()).sign = true;
        self
    }

    /// Grants the ledger.
    pub fn ledger(mut self) -> Self {
        self.0.ledger = true;
        self
    }

    /// Grants starting, signalling and cancelling the runs of another deployment.
    ///
    /// # Panics
    /// If the text is not the name of a deployment.
    #[track_caller]
    pub fn deployment(mut self, name: impl Into<String>) -> Self {
        self.0.deployments.push(parse(&name.into()));
        self
    }

    /// Grants publishing to a topic or to all topics that match a pattern: `*` matches one word, a
    /// final `**` matches all remaining words.
    ///
    /// # Panics
    /// If the text is not a topic or a pattern.
    #[track_caller]
    pub fn topic(mut self, pattern: impl Into<String>) -> Self {
        self.0.topics.push(parse(&pattern.into()));
        self
    }

    /// Grants actions on other deployments: `pause`, `resume`, `rollback`, `retry` or `recycle`.
    ///
    /// # Panics
    /// If an action is unknown, or a text is not the name of a deployment.
    #[track_caller]
    #[allow(clippy::panic, reason = "it fails the test")]
    pub fn operator(mut self, actions: &[&str], deployments: &[&str]) -> Self {
        let action = |name: &&str| match OperatorAction::ALL.into_iter().find(|action| action.as_str() == *name) {
            Some(action) => action,
            None => panic!("`{name}` is not an action on a deployment"),
        };
        let actions = actions.iter().map(action).collect();
        let deployments = deployments.iter().map(|name| parse(name)).collect();
        self.0.operator = Some(OperatorGrant { actions, deployments });
        self
    }

    fn secret_named(&mut self, name: String) -> &mut SecretGrant {
        let secrets = &mut self.0.secrets;
        let place = secrets.iter().position(|secret| secret.name == name).unwrap_or(secrets.len());
        if place == secrets.len() {
            secrets.push(SecretGrant { name, to: Vec::new(), sign: false, hook: false });
        }
        &mut secrets[place]
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "it fails the test")]
fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> T {
    text.parse().unwrap_or_else(|why| panic!("`{text}` is {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::origin::{HttpGrant, Origin};

    #[test]
    fn the_harness_reads_the_origins_of_the_common_table() {
        let table = include_str!("../../../../runtime/core/tests/data/origins.json");
        let table: Vec<serde_json::Value> = serde_json::from_str(table).unwrap();
        for row in table {
            let text = row["text"].as_str().unwrap();
            let granted = text.parse::<HttpGrant>().ok().map(|_| Grants::none().http(text).0.http[0].to_string());
            assert_eq!(serde_json::Value::from(granted), row["grant"], "{text:?}");
            let read = Origin::of_url(text).ok().map(|origin| origin.to_string());
            assert_eq!(serde_json::Value::from(read), *row.get("plain").unwrap_or(&row["url"]), "{text:?}");
        }
    }
}
