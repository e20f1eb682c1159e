//! The code that `wit-bindgen` generates from the contract in `wit/`. Authors use the typed modules
//! instead.
//!
//! Each world has its own module with its own export macro. A component can therefore export any
//! combination of worlds, and a world that it does not export leaves nothing in it. All worlds
//! share the import bindings of [`imports`].
#![allow(missing_docs, unsafe_code, clippy::all, clippy::allow_attributes_without_reason, reason = "generated")]

pub mod imports {
    wit_bindgen::generate!({
        world: "imports",
        path: "wit",
        type_section_suffix: "tidemill-imports",
        generate_unused_types: true,
        generate_all,
    });
}

macro_rules! world {
    ($module:ident, $world:literal, $export:literal, $path:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                world: $world,
                path: "wit",
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: $path,
                type_section_suffix: $world,
                with: {
                    "tidemill:guest/types@0.1.0": crate::bindings::imports::tidemill::guest::types,
                    "tidemill:guest/context@0.1.0": crate::bindings::imports::tidemill::guest::context,
                    "tidemill:guest/log@0.1.0": crate::bindings::imports::tidemill::guest::log,
                    "tidemill:guest/clock@0.1.0": crate::bindings::imports::tidemill::guest::clock,
                    "tidemill:guest/random@0.1.0": crate::bindings::imports::tidemill::guest::random,
                    "tidemill:guest/http@0.1.0": crate::bindings::imports::tidemill::guest::http,
                    "tidemill:guest/secrets@0.1.0": crate::bindings::imports::tidemill::guest::secrets,
                    "tidemill:guest/state@0.1.0": crate::bindings::imports::tidemill::guest::state,
                    "tidemill:guest/durable@0.1.0": crate::bindings::imports::tidemill::guest::durable,
                    "tidemill:guest/events@0.1.0": crate::bindings::imports::tidemill::guest::events,
                    "tidemill:guest/ledger@0.1.0": crate::bindings::imports::tidemill::guest::ledger,
                    "tidemill:guest/metrics@0.1.0": crate::bindings::imports::tidemill::guest::metrics,
                    "tidemill:guest/operator@0.1.0": crate::bindings::imports::tidemill::guest::operator,
                },
                generate_all,
            });
        }
    };
}

world!(workflow, "workflow-module", "export_workflow", "tidemill_sdk::bindings::workflow");
world!(revenue_stream, "revenue-stream-module", "export_revenue_stream", "tidemill_sdk::bindings::revenue_stream");
world!(webhook, "webhook-module", "export_webhook", "tidemill_sdk::bindings::webhook");
world!(health, "health-module", "export_health", "tidemill_sdk::bindings::health");
