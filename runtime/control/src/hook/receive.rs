//! Verifies a request to a hook, and stores its delivery with the request for its run.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tidemill_core::delivery::{BODY_DEDUPE_MILLIS, BodyDigest, DeliveryOutcome};
use tidemill_core::hook::{HookDedupe, HookSpec, ReplyMode};
use tidemill_core::ids::SecretName;
use tidemill_core::run::Run;
use tidemill_core::{Code, DeliveryId, Timestamp, failpoint};
use tidemill_engine::secrets::{SecretSource as _, SecretValue};
use tidemill_store::records::{DeliveryAdmission, DeliveryReceipt, HookDelivery, NewDelivery};
use tidemill_webhook::{
    FailureKind, HandshakeReply, HookRequest, VerificationFailure, VerificationInputs, VerificationNeed,
    VerifiedDelivery, VerifiedRequest, is_credential_header, without_token,
};

use crate::deployment::active::ActiveDeployment;
use crate::error::ControlError;
use crate::hook::delivery_runs;
use crate::hook::endpoint::HookEndpoint;
use crate::hook::reply::HookReply;
use crate::metrics::hooks::HookResult;
use crate::random;
use crate::run_to_completion::run_to_completion;
use crate::state::ControlPlane;

/// A complete request to a hook.
#[derive(Debug, Clone)]
pub struct HookCall {
    /// Its method.
    pub method: Method,
    /// Its path with the query, as it was sent.
    pub path_and_query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, as it was sent.
    pub body: Bytes,
}

/// The answer to a verified request.
#[derive(Debug, Clone)]
pub enum HookAnswer {
    /// The delivery is stored, and a run follows.
    Stored(DeliveryId),
    /// The delivery is stored, and no run follows.
    NotRun(DeliveryId, DeliveryOutcome),
    /// The delivery was received before, as this one.
    Duplicate(DeliveryId),
    /// The reply of the delivery's run.
    Reply(DeliveryId, HookReply),
    /// The reply of the host to a handshake.
    Handshake(HandshakeReply),
}

impl ControlPlane {
    /// Receives a request to a hook. If this returns a stored delivery, it is durable.
    ///
    /// # Errors
    /// `host/hook-unverified`, the same for every reason; `host/hook-unreadable` if it is verified
    /// and has no readable id; `host/hook-rate`; `host/hook-unavailable` and errors of the store if
    /// the provider has to send it again.
    pub async fn receive(&self, endpoint: &HookEndpoint, call: HookCall) -> Result<HookAnswer, ControlError> {
        self.0.shutdown.check_open()?;
        let received_at = self.0.clock.now();
        let verified = match self.verify(endpoint, &call, received_at).await {
            Ok(verified) => verified,
            Err(failure) => return Err(self.refuse(endpoint, &call, &failure)),
        };
        endpoint.status.clock.lock().note_verified();
        let (deployment, hook) = (&endpoint.live.deployment.name, &endpoint.spec().name);
        let count = |result| self.0.metrics.hooks.count(deployment, hook, result);
        let verified = match verified {
            VerifiedRequest::Delivery(delivery) => *delivery,
            VerifiedRequest::Handshake(reply) => {
                count(HookResult::Handshake);
                return Ok(HookAnswer::Handshake(reply));
            }
        };
        self.check_rate(endpoint, &call)?;
        let digest = verified.body_digest;
        let outcome = outcome(endpoint.spec(), &verified);
        let (id, receipt) = self.store_delivery(endpoint, &call, verified, outcome, received_at).await?;
        Ok(match receipt {
            DeliveryReceipt::Queued(run) => {
                count(HookResult::Stored);
                self.answer_of_run(endpoint, id, *run).await?
            }
            DeliveryReceipt::Waiting => {
                count(HookResult::Stored);
                HookAnswer::Stored(id)
            }
            DeliveryReceipt::NoRun => {
                count(HookResult::NotRun);
                HookAnswer::NotRun(id, outcome)
            }
            DeliveryReceipt::Duplicate(first) => {
                count(HookResult::Duplicate);
                HookAnswer::Duplicate(first)
            }
            DeliveryReceipt::Refused { first, kept } => {
                endpoint.status.note_forgery(first, received_at);
                if kept || endpoint.status.may_warn(self.0.since.elapsed()) {
                    tracing::error!(
                        %deployment, %hook, %first, kept, %digest,
                        "refused a delivery: another body came with the same transmission id"
                    );
                }
                let reason = format!("another body came with the same transmission id, in delivery {first}");
                let (size, result) = (call.body.len(), HookResult::Forged);
                self.remember_refusal(endpoint, &call.headers, size, digest, reason, result);
                return Err(unverified());
            }
        })
    }

    /// Verifies a request with what its scheme needs.
    async fn verify(
        &self,
        endpoint: &HookEndpoint,
        call: &HookCall,
        received_at: Timestamp,
    ) -> Result<VerifiedRequest, VerificationFailure> {
        let request = HookRequest {
            method: &call.method,
            path_and_query: &call.path_and_query,
            headers: &call.headers,
            body: &call.body,
            received_at,
        };
        let (verifier, deployment) = (&endpoint.verifier, &endpoint.live.deployment.name);
        match verifier.need(&request)? {
            VerificationNeed::Nothing => verifier.verify(&request, &VerificationInputs::default()),
            VerificationNeed::Keys(name) | VerificationNeed::HandshakeTokens(name) => {
                let versions = self.versions(name.as_str())?;
                let keys: Vec<_> = versions.iter().map(SecretValue::expose).collect();
                verifier.verify(&request, &VerificationInputs { keys: &keys, ..VerificationInputs::default() })
            }
            VerificationNeed::Certificate(url) => {
                let now = self.0.since.elapsed();
                self.0.hooks.paypal.verify_by_certificate(deployment, verifier, &request, &url, now).await
            }
            VerificationNeed::Confirmation(question) => {
                let secret = endpoint.spec().scheme.secret().map_or("", SecretName::as_str);
                let versions = self.versions(secret)?;
                let client = versions.first().ok_or(VerificationFailure::KeyMissing)?;
                verifier.check_key(client.expose()).map_err(VerificationFailure::KeyUnusable)?;
                let now = self.0.since.elapsed();
                self.0.hooks.paypal.verify_by_postback(deployment, verifier, &request, *question, client, now).await
            }
        }
    }

    fn versions(&self, secret: &str) -> Result<Vec<SecretValue>, VerificationFailure> {
        let versions = self.0.config.secrets.valid_versions(secret);
        versions.map_err(|failure| VerificationFailure::Unavailable(failure.message))
    }

    /// Remembers a request that failed, and returns its answer.
    fn refuse(&self, endpoint: &HookEndpoint, call: &HookCall, failure: &VerificationFailure) -> ControlError {
        let (deployment, hook) = (&endpoint.live.deployment.name, &endpoint.spec().name);
        let (result, answer) = match failure.kind() {
            FailureKind::NotVerified => (HookResult::Unverified, unverified()),
            FailureKind::Unreadable => {
                let detail = format!("the request is verified, but {failure}");
                (HookResult::Refused, ControlError::refused(Code::HookUnreadable, detail))
            }
            FailureKind::Unavailable => {
                if endpoint.status.may_warn(self.0.since.elapsed()) {
                    tracing::warn!(%deployment, %hook, %failure, "cannot verify requests to a hook");
                }
                let detail = "the host cannot verify requests to this hook now";
                (HookResult::Unavailable, ControlError::refused(Code::HookUnavailable, detail))
            }
        };
        let mut clock = endpoint.status.clock.lock();
        let before = clock.offset_millis();
        clock.note_failure(failure);
        if let (None, Some(offset_millis)) = (before, clock.offset_millis()) {
            tracing::warn!(%deployment, %hook, offset_millis, "requests to a hook show that the clock is wrong");
        }
        drop(clock);
        self.refuse_call(endpoint, call, failure.to_string(), result);
        answer
    }

    fn refuse_call(&self, endpoint: &HookEndpoint, call: &HookCall, reason: String, result: HookResult) {
        let digest = BodyDigest::of(&call.body);
        self.remember_refusal(endpoint, &call.headers, call.body.len(), digest, reason, result);
    }

    fn check_rate(&self, endpoint: &HookEndpoint, call: &HookCall) -> Result<(), ControlError> {
        let Some(rate) = endpoint.spec().rate else { return Ok(()) };
        endpoint.status.throttle.take(rate, self.0.since.elapsed()).map_err(|_| {
            let reason = "the rate of the hook is exceeded".to_owned();
            self.refuse_call(endpoint, call, reason.clone(), HookResult::Refused);
            ControlError::refused(Code::HookRate, reason)
        })
    }

    /// Stores a delivery and its request for a run in one commit.
    async fn store_delivery(
        &self,
        endpoint: &HookEndpoint,
        call: &HookCall,
        verified: VerifiedDelivery,
        outcome: DeliveryOutcome,
        received_at: Timestamp,
    ) -> Result<(DeliveryId, DeliveryReceipt), ControlError> {
        let (live, spec) = (&endpoint.live, endpoint.spec());
        let id = random::delivery_id(received_at);
        // A key that the signature does not cover proves nothing alone.
        let by_body = verified.id.is_none() || (spec.dedupe == HookDedupe::Auto && !verified.id_is_signed);
        let delivery = delivery_of(endpoint, call, id, &verified, received_at);
        let body = verified.decoded_body.map_or_else(|| call.body.clone(), Bytes::from);
        let new = NewDelivery {
            body: self.0.hooks.bodies.encode(id, body)?,
            admission: self.admission(live, &delivery, outcome, received_at),
            body_dedupe_millis: by_body.then_some(BODY_DEDUPE_MILLIS),
            delivery,
        };
        failpoint::hit("hook/receive");
        let (host, live) = (Arc::clone(&self.0), Arc::clone(live));
        let receipt = run_to_completion(async move {
            let receipt = host.store.receive_delivery(new).await;
            let receipt = receipt.inspect_err(|error| host.store_failures.record(error))?;
            match &receipt {
                DeliveryReceipt::Queued(_) => host.admission.note_queued(&live, received_at),
                DeliveryReceipt::Waiting => host.admission.deliveries.note_waiting(),
                _ => {}
            }
            Ok(receipt)
        });
        let receipt = receipt.await?;
        failpoint::hit("hook/answer");
        Ok((id, receipt))
    }

    fn admission(
        &self,
        live: &ActiveDeployment,
        delivery: &HookDelivery,
        outcome: DeliveryOutcome,
        now: Timestamp,
    ) -> DeliveryAdmission {
        if !outcome.is_open() {
            return DeliveryAdmission::NoRun(outcome);
        }
        if !ActiveDeployment::is_open(&live.deployment, &live.plan) {
            return DeliveryAdmission::Wait;
        }
        let run = delivery_runs::request(live, delivery, random::run_id(now), None, self.0.config.queue_max, now);
        DeliveryAdmission::Run(Box::new(run))
    }

    /// Returns the answer to a delivery whose run is queued.
    async fn answer_of_run(
        &self,
        endpoint: &HookEndpoint,
        id: DeliveryId,
        run: Run,
    ) -> Result<HookAnswer, ControlError> {
        // A run that a breaker holds back has no reply in time.
        let held_back = endpoint.live.limiter.breaker.is_open(self.0.clock.now());
        if endpoint.spec().reply == ReplyMode::Accept || held_back {
            return Ok(HookAnswer::Stored(id));
        }
        Ok(match self.reply_of(run.id).await {
            Some(reply) => HookAnswer::Reply(id, reply),
            None => HookAnswer::Stored(id),
        })
    }
}

/// Returns what becomes of a verified delivery.
fn outcome(spec: &HookSpec, verified: &VerifiedDelivery) -> DeliveryOutcome {
    if verified.environment.is_some_and(|environment| environment != spec.environment) {
        DeliveryOutcome::Test
    } else if !spec.runs_for(verified.event.as_deref()) {
        DeliveryOutcome::Ignored
    } else {
        DeliveryOutcome::Stored
    }
}

/// Returns the record of a delivery, without credentials.
fn delivery_of(
    endpoint: &HookEndpoint,
    call: &HookCall,
    id: DeliveryId,
    verified: &VerifiedDelivery,
    received_at: Timestamp,
) -> HookDelivery {
    let spec = endpoint.spec();
    let path_and_query = without_token(spec, &call.path_and_query);
    let (path, query) = path_and_query.split_once('?').unwrap_or((&path_and_query, ""));
    let headers = call.headers.iter().filter(|(name, _)| !is_credential_header(spec, name.as_str()));
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    HookDelivery {
        id,
        deployment: endpoint.live.deployment.name.clone(),
        hook: spec.name.clone(),
        received_at,
        verified_by: spec.scheme.as_str().to_owned(),
        key: verified.id.as_ref().map_or_else(|| id.to_string(), |id| id.as_str().to_owned()),
        transmission: verified.transmission_id.clone(),
        event: verified.event.clone(),
        object: verified.object.clone(),
        version: verified.version,
        method: call.method.to_string(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body_bytes: call.body.len() as u64,
        digest: verified.body_digest,
        signed_digest: verified.signed_digest,
    }
}

/// Returns the answer to every request that is not verified. It does not tell why.
fn unverified() -> ControlError {
    ControlError::refused(Code::HookUnverified, "the request is not verified")
}
