//! The input of a run that a delivery started: the delivery, from the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tidemill_core::DeliveryId;
use tidemill_core::run::{Export, Run, TriggerKind};
use tidemill_store::StoreError;

use crate::error::ControlError;
use crate::hook::delivery_runs::fields;
use crate::state::{ControlPlane, HostState};

/// Returns the delivery of a run without an input of its own.
pub(crate) fn delivery_of(run: &Run, input: &Bytes) -> Option<DeliveryId> {
    let is_delivered = run.export == Export::Webhook && run.trigger.kind == TriggerKind::Webhook;
    if !is_delivered || !input.is_empty() {
        return None;
    }
    run.trigger.id.as_ref()?.parse().ok()
}

/// Returns a delivery as the JSON text that `webhook.receive` takes.
///
/// # Errors
/// [`StoreError::NotFound`] if retention has removed the delivery.
pub(crate) async fn delivery_input(host: &HostState, id: DeliveryId) -> Result<Bytes, StoreError> {
    let missing = || StoreError::NotFound { kind: "delivery", name: id.to_string() };
    let delivery = host.store.delivery(id).await?.ok_or_else(missing)?.delivery;
    let stored = host.store.delivery_body(id).await?.ok_or_else(missing)?;
    let body = host.hooks.bodies.decode(id, stored)?;
    let mut fields = fields(&delivery);
    fields["body"] = BASE64.encode(body).into();
    Ok(Bytes::from(fields.to_string()))
}

impl ControlPlane {
    /// Returns the input of a run as JSON text: that of its request, or the delivery that started
    /// it. `None` if the run has no input any more.
    ///
    /// # Errors
    /// `host/delivery-not-found` if retention has removed the delivery; errors of the store.
    pub async fn run_input(&self, run: &Run) -> Result<Option<Bytes>, ControlError> {
        let input = self.0.store.input(run.id).await?;
        match delivery_of(run, &input.clone().unwrap_or_default()) {
            Some(id) => Ok(Some(delivery_input(&self.0, id).await?)),
            None => Ok(input),
        }
    }

    /// Returns the body of a delivery, decoded if it came with a `Content-Encoding`.
    ///
    /// # Errors
    /// `host/delivery-not-found`; errors of the store.
    pub async fn delivery_body(&self, id: DeliveryId) -> Result<Bytes, ControlError> {
        let stored = self.0.store.delivery_body(id).await?.ok_or_else(|| ControlError::no_delivery(id))?;
        Ok(self.0.hooks.bodies.decode(id, stored)?)
    }
}
