//! Sends one notification to one channel, and the queue of a channel in memory.

use std::time::Duration;

use serde_json::Value;
use tidemill_core::alerts::{ChannelSpec, EmailSpec, one_line};
use tidemill_core::ids::SecretName;
use tidemill_core::origin::Origin;
use tidemill_core::retry::Backoff;
use tidemill_core::{ChannelName, Code, Failure, Timestamp};
use tidemill_engine::egress::{MailRequest, ProviderRequest};
use tidemill_engine::secrets::{SecretSource as _, SecretValue};
use tidemill_webhook::sign_standard_webhook;

use super::message::AlertMessage;
use crate::error::ControlError;
use crate::run::request::RunRequest;
use crate::state::ControlPlane;

/// Maximum time until a receiver has answered.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Maximum size of a receiver's answer, in bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// Maximum size of the part of an answer that is shown, in bytes.
const SHOWN_BYTES: usize = 120;
/// Pause of a channel after failures in a row.
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(5), factor: 2, max: Duration::from_secs(300) };
/// Number of tries of a message that its receiver refuses as it is.
pub(super) const REFUSED_TRIES: u32 = 3;

/// The queue of a channel, as far as it is in memory. What waits is in the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelQueue {
    /// Whether a task is sending.
    sending: bool,
    /// Number of failures in a row.
    pub(super) failures: u32,
    /// When the next try is due after a failure.
    pub(super) not_before: Timestamp,
    /// Why the last try failed; empty if it did not.
    pub(super) error: String,
    /// When a notification was last accepted, since the host started.
    pub(super) sent_at: Option<Timestamp>,
}

impl ChannelQueue {
    /// Whether a task is sending.
    pub(super) const fn is_sending(&self) -> bool {
        self.sending
    }

    /// Begins to send, if nothing is being sent and no pause is left.
    pub(super) fn begin(&mut self, now: Timestamp) -> bool {
        // The clock may have been set back.
        let longest = now.plus_millis(u64::try_from(BACKOFF.max.as_millis()).unwrap_or(u64::MAX));
        let begins = !self.sending && (self.not_before <= now || self.not_before > longest);
        self.sending |= begins;
        begins
    }

    /// Records that no task is sending any more.
    pub(super) fn end(&mut self) {
        self.sending = false;
    }

    /// Records that a notification was accepted.
    pub(super) fn note_sent(&mut self, now: Timestamp) {
        (self.failures, self.not_before, self.sent_at) = (0, Timestamp::default(), Some(now));
        self.error.clear();
    }

    /// Records that a try has failed.
    pub(super) fn note_failure(&mut self, error: &str, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let pause = u64::try_from(BACKOFF.pause(self.failures).as_millis()).unwrap_or(u64::MAX);
        self.not_before = now.plus_millis(pause);
        self.error = one_line(error, SHOWN_BYTES * 4);
    }
}

/// Why a try failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SendFailure {
    /// The reason, for the operator.
    pub(super) reason: String,
    /// Whether the receiver refuses this message, so that others may pass.
    pub(super) refused: bool,
}

impl SendFailure {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), refused: false }
    }
}

impl From<Failure> for SendFailure {
    fn from(failure: Failure) -> Self {
        Self::new(format!("{}: {}", failure.code, failure.message))
    }
}

impl ControlPlane {
    /// Sends a message to a channel, and waits until its receiver has accepted it.
    pub(super) async fn send_alert(
        &self,
        name: &ChannelName,
        channel: &ChannelSpec,
        message: &AlertMessage<'_>,
    ) -> Result<(), SendFailure> {
        match channel {
            ChannelSpec::Slack { url_secret } => {
                let secret = self.alert_secret(url_secret)?;
                let url = std::str::from_utf8(secret.expose()).unwrap_or_default();
                self.post(name, url.trim(), &message.slack(), Vec::new()).await
            }
            ChannelSpec::Webhook { url, secret } => {
                let (key, id) = (self.alert_secret(secret)?, message.id());
                let (body, at) = (message.webhook(), self.0.clock.now().as_millis() / 1_000);
                let signature = sign_standard_webhook(&id, at, body.to_string().as_bytes(), key.expose())
                    .map_err(|bad| SendFailure::new(format!("secret `{secret}`: {bad}")))?;
                let headers =
                    vec![("webhook-id", id), ("webhook-timestamp", at.to_string()), ("webhook-signature", signature)];
                self.post(name, url, &body, headers).await
            }
            ChannelSpec::Email(spec) => self.mail(spec, message).await,
            ChannelSpec::Workflow { deployment } => {
                let request = RunRequest {
                    // The same notification never starts two runs.
                    key: Some(format!("alert-{}", message.id())),
                    ..RunRequest::new(deployment.clone(), message.data().to_string())
                };
                match self.request(request).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(run_failure(&error)),
                }
            }
        }
    }

    async fn mail(&self, spec: &EmailSpec, message: &AlertMessage<'_>) -> Result<(), SendFailure> {
        let EmailSpec { host, port, tls, from, to, login } = spec;
        let login = match login {
            Some((user, secret)) => Some((user.clone(), self.alert_secret(secret)?)),
            None => None,
        };
        let domain = from.rsplit('@').next().unwrap_or_default();
        let request = MailRequest {
            host: host.clone(),
            port: *port,
            tls: *tls,
            login,
            from: from.clone(),
            to: to.clone(),
            message_id: format!("{}@{domain}", message.id()),
            subject: message.subject(),
            text: message.text(),
            timeout: TIMEOUT,
        };
        Ok(self.0.config.providers.send_mail(request).await?)
    }

    fn alert_secret(&self, name: &SecretName) -> Result<SecretValue, SendFailure> {
        let secrets = &self.0.config.secrets;
        let value = secrets.secret(name.as_str())?;
        value.ok_or_else(|| {
            let place = secrets.place(name.as_str());
            SendFailure::new(format!("secret `{name}` does not exist; put it into {place}"))
        })
    }

    /// Posts JSON to a URL, which an error does not show: it may be a secret.
    async fn post(
        &self,
        channel: &ChannelName,
        url: &str,
        body: &Value,
        headers: Vec<(&'static str, String)>,
    ) -> Result<(), SendFailure> {
        let bad_url = || SendFailure::new("the URL of the channel is not an http or https URL");
        let origin = Origin::of_url(url).map_err(|_| bad_url())?;
        let start = url.find("://").map_or(0, |at| at + 3);
        let path = url.get(start..).and_then(|rest| rest.find(['/', '?']).and_then(|at| rest.get(at..)));
        let mut all = vec![("content-type", "application/json".to_owned())];
        all.extend(headers);
        let request = ProviderRequest {
            method: "POST",
            origin: origin.to_string(),
            path: path.unwrap_or("/").to_owned(),
            headers: all,
            body: body.to_string().into_bytes(),
            timeout: TIMEOUT,
            answer_bytes: ANSWER_BYTES,
        };
        let answer = self.0.config.providers.send_alert(channel, request).await?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        let text = one_line(&String::from_utf8_lossy(&answer.body), SHOWN_BYTES);
        // A page of an error may repeat the path.
        let shown = if path.is_some_and(|path| path.len() > 1 && text.contains(path)) { "" } else { text.trim() };
        Err(SendFailure {
            reason: format!("the receiver answered with status {} {shown}", answer.status).trim_end().to_owned(),
            refused: matches!(answer.status, 400 | 413 | 415 | 422),
        })
    }
}

/// Returns the failure of a run that could not be requested.
fn run_failure(error: &ControlError) -> SendFailure {
    let refused = matches!(error.code(), Code::InputInvalid | Code::IdempotencyMismatch);
    SendFailure { reason: format!("{}: {error}", error.code()), refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    #[test]
    fn a_channel_pauses_longer_after_each_failure_and_not_after_a_success() {
        let mut queue = ChannelQueue::default();
        assert!(queue.begin(at(100)) && !queue.begin(at(100)), "one task sends at a time");
        queue.note_failure("no answer", at(100));
        queue.end();
        assert!(!queue.begin(at(104)) && queue.begin(at(105)));
        queue.note_failure("no answer", at(105));
        queue.end();
        assert!(!queue.begin(at(114)) && queue.begin(at(115)));
        for _ in 0..40 {
            queue.note_failure("no answer", at(115));
        }
        queue.end();
        assert_eq!(queue.not_before, at(415));
        assert!(queue.begin(at(10)), "the clock was set back");
        queue.note_sent(at(415));
        queue.end();
        assert!(queue.error.is_empty() && queue.begin(at(416)));
    }
}
