//! The output of wasmtime's macro for `wit/`: the types of every interface once, and the exports of
//! the four worlds.
//!
//! Host functions are not linked through the generated traits: each file in `host/` registers its
//! own, because they need the store (fuel) and not only its data. The types come from here, and
//! instantiation checks every signature.

#![allow(missing_docs, clippy::all, clippy::pedantic, unused_qualifications, reason = "generated code")]

/// The types of all imported interfaces.
pub mod imports {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "tidemill:guest/imports",
        imports: { default: trappable },
        additional_derives: [PartialEq],
    });
}

macro_rules! world {
    ($module:ident, $world:literal) => {
        /// One world, for its exports.
        pub mod $module {
            wasmtime::component::bindgen!({
                path: "../../wit",
                world: $world,
                imports: { default: trappable },
                exports: { default: async },
                require_store_data_send: true,
                additional_derives: [PartialEq],
                with: {
                    "tidemill:guest/types": super::imports::tidemill::guest::types,
                    "tidemill:guest/context": super::imports::tidemill::guest::context,
                    "tidemill:guest/log": super::imports::tidemill::guest::log,
                    "tidemill:guest/clock": super::imports::tidemill::guest::clock,
                    "tidemill:guest/random": super::imports::tidemill::guest::random,
                    "tidemill:guest/http": super::imports::tidemill::guest::http,
                    "tidemill:guest/secrets": super::imports::tidemill::guest::secrets,
                    "tidemill:guest/state": super::imports::tidemill::guest::state,
                    "tidemill:guest/durable": super::imports::tidemill::guest::durable,
                    "tidemill:guest/events": super::imports::tidemill::guest::events,
                    "tidemill:guest/ledger": super::imports::tidemill::guest::ledger,
                    "tidemill:guest/metrics": super::imports::tidemill::guest::metrics,
                    "tidemill:guest/operator": super::imports::tidemill::guest::operator,
                },
            });
        }
    };
}

world!(workflow, "tidemill:guest/workflow-module");
world!(revenue_stream, "tidemill:guest/revenue-stream-module");
world!(webhook, "tidemill:guest/webhook-module");
world!(health, "tidemill:guest/health-module");

pub use imports::tidemill::guest as wit;

impl From<tidemill_core::Failure> for wit::types::Failure {
    fn from(failure: tidemill_core::Failure) -> Self {
        let tidemill_core::Failure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}

impl From<wit::types::Failure> for tidemill_core::Failure {
    fn from(failure: wit::types::Failure) -> Self {
        let wit::types::Failure { code, message, retryable, details } = failure;
        Self { code, message, retryable, details }
    }
}
