//! The grants of a module under test, like `[grants]` of a manifest. Other access is refused like
//! on a host, with the same code and the line that allows it. Grants apply only to the deployment
//! under test. Other deployments of a harness may do anything.

use super::journal::Failed;
use super::origin::{Origin, Pattern};
use super::run::Fake;

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
pub struct Grants {
    http: Vec<Pattern>,
    secrets: Vec<Secret>,
    ledger: bool,
    deployments: Vec<String>,
    topics: Vec<String>,
}

#[derive(Clone, Debug)]
struct Secret {
    name: String,
    to: Vec<Pattern>,
    sign: bool,
}

impl Grants {
    /// Grants nothing except the deployment's own state, like a manifest without `[grants]`.
    pub fn none() -> Self {
        Self::default()
    }

    /// Grants requests to an origin, such as `https://api.example.com`, or to all origins below a
    /// name: `https://*.example.com`.
    ///
    /// # Panics
    /// If the text is not an origin.
    #[track_caller]
    pub fn http(self, origin: &str) -> Self {
        or_fail(self.try_http(origin))
    }

    /// Grants a secret for requests to an origin.
    ///
    /// # Panics
    /// If the text is not an origin.
    #[track_caller]
    pub fn secret(self, name: impl Into<String>, to: &str) -> Self {
        or_fail(self.try_secret(name, to))
    }

    /// Grants a secret for signing.
    pub fn signing_secret(mut self, name: impl Into<String>) -> Self {
        self.secrets.push(Secret { name: name.into(), to: Vec::new(), sign: true });
        self
    }

    /// Grants the ledger.
    pub fn ledger(mut self) -> Self {
        self.ledger = true;
        self
    }

    /// Grants starting, signalling and cancelling the runs of another deployment.
    pub fn deployment(mut self, name: impl Into<String>) -> Self {
        self.deployments.push(name.into());
        self
    }

    /// Grants publishing to a topic or to all topics that match a pattern: `*` matches one word, a
    /// final `**` matches all remaining words.
    pub fn topic(mut self, pattern: impl Into<String>) -> Self {
        self.topics.push(pattern.into());
        self
    }

    pub(super) fn try_http(mut self, origin: &str) -> Result<Self, String> {
        self.http.push(pattern(origin)?);
        Ok(self)
    }

    pub(super) fn try_secret(mut self, name: impl Into<String>, to: &str) -> Result<Self, String> {
        self.secrets.push(Secret { name: name.into(), to: vec![pattern(to)?], sign: false });
        Ok(self)
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::of(text).ok_or_else(|| format!("`{text}` is not an origin such as https://api.example.com"))
}

#[track_caller]
#[allow(clippy::panic, reason = "it fails the test")]
fn or_fail(grants: Result<Grants, String>) -> Grants {
    grants.unwrap_or_else(|why| panic!("{why}"))
}

impl Fake {
    /// Returns the grants of this run's deployment, or `None` if it may do anything.
    fn granted(&self) -> Option<&Grants> {
        self.setup.grants.as_ref().filter(|_| self.is_tested())
    }

    /// Checks that a request with these secrets may be sent to this origin.
    pub(super) fn may_send(&self, to: &Origin, secrets: &[String]) -> Result<(), Failed> {
        let Some(grants) = self.granted() else { return Ok(()) };
        if !grants.http.iter().any(|granted| granted.allows(to)) {
            return refused("not-granted", format!("the deployment has no grant for {to}"), &to.line());
        }
        let carries = |name: &&String| {
            grants.secrets.iter().any(|it| it.name == **name && it.to.iter().any(|granted| granted.allows(to)))
        };
        match secrets.iter().find(|name| !carries(name)) {
            None => Ok(()),
            Some(name) => {
                let line = format!("secrets = [{{ name = \"{name}\", to = [\"{to}\"] }}]");
                refused("secret-not-granted", format!("secret `{name}` may not be sent to {to}"), &line)
            }
        }
    }

    /// Checks that a secret may sign.
    pub(super) fn may_sign(&self, name: &str) -> Result<(), Failed> {
        match self.granted() {
            Some(grants) if !grants.secrets.iter().any(|it| it.name == name && it.sign) => {
                let line = format!("secrets = [{{ name = \"{name}\", use = \"sign\" }}]");
                refused("secret-not-granted", format!("the deployment may not sign with secret `{name}`"), &line)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the ledger may be used.
    pub(super) fn may_post(&self) -> Result<(), Failed> {
        match self.granted() {
            Some(grants) if !grants.ledger => {
                refused("not-granted", "the deployment may not use the ledger".to_owned(), "ledger = true")
            }
            _ => Ok(()),
        }
    }

    /// Checks that runs of a deployment may be started, signalled and cancelled.
    pub(super) fn may_touch(&self, deployment: &str) -> Result<(), Failed> {
        match self.granted() {
            Some(grants) if deployment != self.deployment && !grants.deployments.iter().any(|it| it == deployment) => {
                let line = format!("deployments = [\"{deployment}\"]");
                refused("not-granted", format!("the deployment has no grant for runs of `{deployment}`"), &line)
            }
            _ => Ok(()),
        }
    }

    /// Checks that an event may be published to a topic.
    pub(super) fn may_publish(&self, topic: &str) -> Result<(), Failed> {
        match self.granted() {
            Some(grants) if !grants.topics.iter().any(|pattern| names(pattern, topic)) => {
                let line = format!("topics = [\"{topic}\"]");
                refused("not-granted", format!("the deployment may not publish to `{topic}`"), &line)
            }
            _ => Ok(()),
        }
    }
}

fn refused(code: &str, why: String, line: &str) -> Result<(), Failed> {
    Err(Failed::host(code, format!("{why}; add to `[grants]`: {line}")))
}

/// Whether a pattern matches a topic.
fn names(pattern: &str, topic: &str) -> bool {
    let mut words = topic.split('.');
    for part in pattern.split('.') {
        match (part, words.next()) {
            ("**", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(word)) if part == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_words() {
        for (pattern, topic) in [("a.b", "a.b"), ("a.*", "a.b"), ("*.b", "a.b"), ("a.**", "a.b.c"), ("**", "a")] {
            assert!(names(pattern, topic), "{pattern} {topic}");
        }
        for (pattern, topic) in [("a.b", "a.c"), ("a.*", "a"), ("a.*", "a.b.c"), ("a.**", "a"), ("a", "a.b")] {
            assert!(!names(pattern, topic), "{pattern} {topic}");
        }
    }
}
