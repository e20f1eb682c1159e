//! The grants and limits of a run's deployment. Other access is refused like on a host, with the
//! same code and the line that allows it. Both apply only to the deployment under test: other
//! deployments of a harness may do anything.

use super::layer::Layer;
use super::limits::{self, Check, Limits};
use super::run::{Exit, Fake, leave};
use crate::bindings::imports::tidemill::guest::types::Field;
use tidemill_core::limits::{LOG_FIELD_BYTES, LOG_LINE_BYTES, OUTPUT_BYTES, TRANSACTION_KEYS, TRANSACTION_WRITE_BYTES};
use tidemill_core::manifest::{Grants, OperatorGrant};
use tidemill_core::operator::OperatorAction;
use tidemill_core::origin::Origin;
use tidemill_core::{Code, DeploymentName, Failure, Topic};

/// Stops the run like a host if a call that returns no failure breaks a rule.
pub(super) fn stop_unless(check: Check) {
    if let Err(failure) = check {
        leave(Exit::Stopped(failure));
    }
}

impl Fake {
    /// Returns the grants of this run's deployment, or `None` if it may do anything.
    fn granted(&self) -> Option<&Grants> {
        self.setup.grants.as_ref().filter(|_| self.is_tested()).map(|grants| &grants.0)
    }

    /// Checks that a request with these secrets may be sent to this origin.
    pub(super) fn may_send(&self, to: &Origin, secrets: &[String]) -> Result<(), Failure> {
        let Some(grants) = self.granted() else { return Ok(()) };
        if !grants.allows(to) {
            let line = format!("http = [\"{to}\"]");
            return refused(Code::NotGranted, format!("the deployment has no grant for {to}"), &line);
        }
        let carries =
            |name: &str| grants.secret(name).is_some_and(|it| it.to.iter().any(|pattern| pattern.matches(to)));
        match secrets.iter().find(|name| !carries(name)) {
            None => Ok(()),
            Some(name) => {
                let line = format!("secrets = [{{ name = \"{name}\", to = [\"{to}\"] }}]");
                refused(Code::SecretNotGranted, format!("secret `{name}` may not be sent to {to}"), &line)
            }
        }
    }

    /// Checks that a secret may sign.
    pub(super) fn may_sign(&self, name: &str) -> Result<(), Failure> {
        match self.granted() {
            Some(grants) if !grants.secret(name).is_some_and(|secret| secret.sign) => {
                let line = format!("secrets = [{{ name = \"{name}\", use = \"sign\" }}]");
                refused(Code::SecretNotGranted, format!("the deployment may not sign with secret `{name}`"), &line)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the ledger may be used.
    pub(super) fn may_post(&self) -> Result<(), Failure> {
        match self.granted() {
            Some(grants) if !grants.ledger => {
                refused(Code::NotGranted, "the deployment may not use the ledger".to_owned(), "ledger = true")
            }
            _ => Ok(()),
        }
    }

    /// Checks that runs of a deployment may be started, signalled and cancelled.
    pub(super) fn may_touch(&self, deployment: &str) -> Result<(), Failure> {
        let named = |grants: &Grants| grants.deployments.iter().any(|it| it.as_str() == deployment);
        match self.granted() {
            Some(grants) if deployment != self.deployment && !named(grants) => {
                let line = format!("deployments = [\"{deployment}\"]");
                refused(Code::NotGranted, format!("the deployment may not access runs of `{deployment}`"), &line)
            }
            _ => Ok(()),
        }
    }

    /// Checks that an event may be published to a topic.
    pub(super) fn may_publish(&self, topic: &Topic) -> Result<(), Failure> {
        match self.granted() {
            Some(grants) if !grants.may_publish(topic) => {
                let line = format!("topics = [\"{topic}\"]");
                refused(Code::NotGranted, format!("the deployment may not publish to `{topic}`"), &line)
            }
            _ => Ok(()),
        }
    }
}

impl Fake {
    /// Checks that the deployment may act on another one; without an action, that it may see it.
    pub(super) fn may_operate(&self, action: Option<OperatorAction>, on: &DeploymentName) -> Result<(), Failure> {
        if on.as_str() == self.deployment {
            let message = "a deployment may not operate itself: let another deployment be its runbook";
            return Err(Code::NotGranted.failure(message));
        }
        let Some(grants) = self.granted() else { return Ok(()) };
        let granted = grants.operator.as_ref().is_some_and(|grant| match action {
            Some(action) => grant.allows(action, on),
            None => grant.deployments.contains(on),
        });
        if granted {
            return Ok(());
        }
        let line = OperatorGrant::line_with(grants.operator.as_ref(), action, on);
        let what = action.map_or("see the health of", OperatorAction::as_str);
        refused(Code::NotGranted, format!("the deployment may not {what} `{on}`"), &line)
    }
}

fn refused(code: Code, why: String, line: &str) -> Result<(), Failure> {
    Err(code.failure(format!("{why}; add to `[grants]`: {line}")))
}

impl Fake {
    /// Whether this run belongs to the deployment under test, to which the limits and grants apply.
    pub(super) fn is_tested(&self) -> bool {
        self.deployment == self.setup.name
    }

    fn limits(&self) -> Limits {
        if self.is_tested() { self.setup.limits } else { Limits::default() }
    }

    /// Checks that the transaction has room for one more object.
    pub(super) fn has_room(&self) -> Check {
        let things: usize = self.run.borrow().layers.iter().map(Layer::things).sum();
        if things < TRANSACTION_KEYS {
            return Ok(());
        }
        let message = format!(
            "the maximum of one transaction is {TRANSACTION_KEYS} reads, writes, postings, starts, signals and events"
        );
        Err(Code::LimitCommit.failure(message))
    }

    /// Checks that the transaction has room for this number of bytes of state.
    pub(super) fn has_room_for(&self, bytes: usize) -> Check {
        let written: usize = self.run.borrow().layers.iter().map(|layer| layer.written).sum();
        if written.saturating_add(bytes) <= TRANSACTION_WRITE_BYTES {
            return Ok(());
        }
        let message = format!("the maximum of one transaction is {TRANSACTION_WRITE_BYTES} bytes of state");
        Err(Code::LimitCommit.failure(message))
    }

    /// Counts a try of a request.
    pub(super) fn count_request(&self, body: usize) -> Check {
        let limit = self.limits().http_calls;
        let calls = {
            let mut run = self.run.borrow_mut();
            run.used.calls += 1;
            run.used.calls
        };
        if calls > limit {
            let raised = limit.saturating_mul(2);
            let message = format!(
                "the run has sent {limit} requests, tries included; raise it with `http_calls = {raised}` under `[limits]`"
            );
            return Err(Code::LimitHttp.failure(message));
        }
        self.count_body(body)
    }

    /// Counts its response.
    pub(super) fn count_answer(&self, len: usize) -> Check {
        limits::body(len)?;
        self.count_body(len)
    }

    fn count_body(&self, len: usize) -> Check {
        let limit = self.limits().http_bytes;
        let bytes = {
            let mut run = self.run.borrow_mut();
            run.used.bytes = run.used.bytes.saturating_add(len as u64);
            run.used.bytes
        };
        if bytes <= limit {
            return Ok(());
        }
        let message = format!(
            "the bodies of the run's requests and responses exceed {limit} bytes; raise it with `http_bytes` under `[limits]`"
        );
        Err(Code::LimitHttp.failure(message))
    }

    /// Returns a log line as the host stores it, cut to its maximum, or `None` if the log is full.
    pub(super) fn kept_line(&self, message: &str, fields: &[Field]) -> Option<String> {
        let field_bytes: usize = fields.iter().map(|field| field.name.len() + field.value.len()).sum();
        let counted: usize =
            fields.iter().map(|field| (field.name.len() + field.value.len()).max(LOG_FIELD_BYTES as usize)).sum();
        let message = limits::cut(message, LOG_LINE_BYTES.saturating_sub(field_bytes));
        let mut run = self.run.borrow_mut();
        let bytes = (message.len() + counted) as u64 + limits::LOG_LINE_OVERHEAD;
        if run.used.log.saturating_add(bytes) > self.limits().log {
            return None;
        }
        run.used.log += bytes;
        Some(message.to_owned())
    }

    /// Checks the output of a run.
    pub(super) fn output(&self, output: &str) -> Check {
        let limit = self.limits().output.min(OUTPUT_BYTES as u64);
        if output.len() as u64 <= limit {
            return limits::bounded("the output", output, OUTPUT_BYTES)
                .map_err(|failed| Code::OutputInvalid.failure(failed.message));
        }
        let message = format!("the output has {} bytes; the maximum is {limit}", output.len());
        Err(Code::LimitOutput.failure(message))
    }
}
