//! A component that is ready to run: its code, linked against the host once for each world that it
//! exports.

use tidemill_core::run::Export;
use tidemill_core::{Code, ComponentDigest};
use wasmtime::component::{Component, Linker};

use crate::component::bindings::{health, revenue_stream, webhook, workflow};
use crate::error::{ComponentProblem, ComponentRejection};
use crate::guest::GuestState;
use crate::sandbox::SLOT_TABLES;

/// A component's code in memory, linked against the host for each of its exports.
pub struct Module {
    digest: ComponentDigest,
    exports: Vec<Export>,
    slots: u32,
    pub(crate) workflow: Option<workflow::WorkflowModulePre<GuestState>>,
    pub(crate) revenue_stream: Option<revenue_stream::RevenueStreamModulePre<GuestState>>,
    pub(crate) webhook: Option<webhook::WebhookModulePre<GuestState>>,
    pub(crate) health: Option<health::HealthModulePre<GuestState>>,
}

impl Module {
    /// Links a component for those of the four worlds that it exports.
    ///
    /// # Errors
    /// The first problem that wasmtime finds; [`crate::component::validate`] finds the rest.
    pub(crate) fn link(
        digest: ComponentDigest,
        component: &Component,
        exports: Vec<Export>,
        linker: &Linker<GuestState>,
    ) -> Result<Self, ComponentRejection> {
        let Some(resources) = component.resources_required() else {
            return Err(ComponentRejection::one(
                ComponentProblem::new(
                    Code::ComponentInvalid,
                    "the component imports core modules, so its requirements are unknown before it runs",
                )
                .with_fix("Link all modules into the component."),
            ));
        };
        let import =
            |error: wasmtime::Error| ComponentRejection::one(ComponentProblem::new(Code::ImportMissing, words(&error)));
        let export =
            |error: wasmtime::Error| ComponentRejection::one(ComponentProblem::new(Code::ExportMissing, words(&error)));
        let pre = linker.instantiate_pre(component).map_err(import)?;
        let has = |wanted| exports.contains(&wanted);
        let workflow = has(Export::Workflow).then(|| workflow::WorkflowModulePre::new(pre.clone()));
        let revenue_stream =
            has(Export::RevenueStream).then(|| revenue_stream::RevenueStreamModulePre::new(pre.clone()));
        let webhook = has(Export::Webhook).then(|| webhook::WebhookModulePre::new(pre.clone()));
        let health = has(Export::Health).then(|| health::HealthModulePre::new(pre.clone()));
        Ok(Self {
            digest,
            slots: resources.num_memories.max(resources.num_tables.div_ceil(SLOT_TABLES)).max(1),
            workflow: workflow.transpose().map_err(export)?,
            revenue_stream: revenue_stream.transpose().map_err(export)?,
            webhook: webhook.transpose().map_err(export)?,
            health: health.transpose().map_err(export)?,
            exports,
        })
    }

    /// Returns the component's digest.
    #[must_use]
    pub const fn digest(&self) -> ComponentDigest {
        self.digest
    }

    /// Returns the exports that can be called, in the order of the WIT.
    #[must_use]
    pub fn exports(&self) -> &[Export] {
        &self.exports
    }

    /// Returns the number of pool slots that an instance takes.
    pub(crate) const fn slots(&self) -> u32 {
        self.slots
    }
}

/// Returns the error and its causes in one line.
pub(crate) fn words(error: &wasmtime::Error) -> String {
    let mut text = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ");
    text.truncate(text.floor_char_boundary(2000));
    text
}
