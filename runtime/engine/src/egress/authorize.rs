//! Decides whether a request may go to its target, with the secrets that it lists.

use std::sync::Arc;

use tidemill_core::manifest::Grants;
use tidemill_core::origin::Origin;
use tidemill_core::{Code, Failure, Policy};

use super::address::is_public;
use super::placeholders::RequestSecrets;
use super::policy::EgressPolicy;
use super::target::Target;
use crate::secrets::{SECRET_SENT_MIN_BYTES, SecretSource};

/// The rules for the requests of one deployment.
#[derive(Clone)]
pub(crate) struct Authorization {
    /// The deployment's name.
    pub deployment: String,
    /// The operator's address rules.
    pub policy: Arc<EgressPolicy>,
    /// Grants that the operator allows deployments.
    pub operator: Arc<Policy>,
    /// The deployment's grants.
    pub grants: Arc<Grants>,
    /// Source of secrets.
    pub secrets: Arc<dyn SecretSource>,
}

impl Authorization {
    /// Checks one hop. Returns whether it may go to addresses that are not public.
    pub(super) fn authorize(&self, target: &Target) -> Result<bool, Failure> {
        let origin = &target.origin;
        if !self.grants.allows(origin) {
            return Err(Code::NotGranted.failure(format!(
                "the deployment has no grant for {origin}; add to `[grants]`: http = [\"{origin}\"]"
            )));
        }
        if !self.policy.allows(origin) || !self.operator.allows_origin(&self.deployment, origin) {
            return Err(
                Code::EgressDenied.failure(format!("the operator's policy does not allow requests to {origin}"))
            );
        }
        let private = self.policy.allows_private(origin);
        if let Some(address) = origin.address()
            && !private
            && !is_public(address)
        {
            return Err(refused(origin, &format!("{address} is not on the public internet")));
        }
        Ok(private)
    }

    /// Returns the values of the secrets that a request lists. Each must be granted for the target.
    pub(super) fn secrets(&self, names: &[String], target: &Target) -> Result<RequestSecrets, Failure> {
        let origin = &target.origin;
        let values = names.iter().map(|name| {
            let granted = self.grants.secret(name);
            if !granted.is_some_and(|grant| grant.to.iter().any(|to| to.matches(origin))) {
                let name: String = name.chars().take(64).collect();
                return Err(Code::SecretNotGranted.failure(format!(
                    "secret `{name}` may not be sent to {origin}; add to `[grants]`: secrets = [{{ name = \"{name}\", to = [\"{origin}\"] }}]"
                )));
            }
            if !self.operator.allows_secret(&self.deployment, name, origin) {
                return Err(Code::PolicyDenied.failure(format!(
                    "the operator's policy does not allow this deployment to send secret `{name}` to {origin}"
                )));
            }
            let value = self.secrets.secret(name)?.ok_or_else(|| {
                let place = self.secrets.place(name);
                Code::SecretMissing.failure(format!("secret `{name}` does not exist; put it into {place}"))
            })?;
            if value.expose().len() < SECRET_SENT_MIN_BYTES {
                return Err(Code::SecretTooShort.failure(format!(
                    "secret `{name}` has fewer than {SECRET_SENT_MIN_BYTES} bytes: a response that repeats it could not be distinguished from \
                     one that does not"
                )));
            }
            Ok((name.clone(), value))
        });
        Ok(RequestSecrets::new(values.collect::<Result<_, Failure>>()?))
    }
}

/// Returns the failure for an address that may not be reached.
pub(super) fn refused(origin: &Origin, why: &str) -> Failure {
    Code::AddressRefused
        .failure(format!("{origin} cannot be reached: {why}; the operator can allow it as a private origin"))
}
