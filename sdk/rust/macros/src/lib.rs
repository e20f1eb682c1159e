//! The attribute macros of `tidemill-sdk`. Use them through that crate. Each keeps the function
//! unchanged, so that native tests can call it, and adds the export of its world. The SDK's
//! `export` module implements the exports.
#![forbid(unsafe_code)]

mod schema;
mod signature;

use proc_macro::TokenStream;
use quote::quote;
use signature::{Export, Shape};

/// Describes a type's JSON by serde's rules. A component's workflow describes its input and output
/// with it. See `tidemill_sdk::Schema`.
#[proc_macro_derive(Schema, attributes(schema, serde))]
pub fn schema(item: TokenStream) -> TokenStream {
    let derived = syn::parse::<syn::DeriveInput>(item).and_then(|input| schema::derive(&input));
    derived.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Exports a function as the component's workflow.
///
/// The function takes the run's input, which is any `Deserialize` type, or nothing. It returns any
/// `Serialize` type, or a `Result` of it whose error converts to `tidemill_sdk::Error`. If these
/// types have a `Schema`, the component contains it. Hosts show it and validate inputs with it.
///
/// The signals that the workflow awaits can be declared with the types of their payloads. Hosts
/// then refuse a signal whose payload does not match.
///
/// ```ignore
/// #[tidemill_sdk::workflow(signals(decision = bool, "paid-late" = Payment))]
/// fn approve(order: Order) -> tidemill_sdk::Result<()> { … }
/// ```
#[proc_macro_attribute]
pub fn workflow(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let shape = Shape { attribute: "workflow", world: "workflow", takes: "the run's input", signals: true };
    shape.expand(arguments, item, |exported| {
        let section = exported.section();
        let call = exported.call;
        let adapter = if exported.takes_input {
            quote!(::tidemill_sdk::export::workflow(&input, |input| #call))
        } else {
            quote!(::tidemill_sdk::export::workflow_without_input(|| #call))
        };
        let guest = quote!(::tidemill_sdk::bindings::workflow::exports::tidemill::guest::workflow::Guest);
        let item = quote! {
            impl #guest for __TidemillExport {
                fn run(input: ::std::string::String)
                    -> ::std::result::Result<::std::string::String, ::tidemill_sdk::export::Failure>
                {
                    let _ = &input;
                    #adapter
                }
            }
            #[cfg(target_arch = "wasm32")]
            ::tidemill_sdk::bindings::workflow::export_workflow!(
                __TidemillExport with_types_in ::tidemill_sdk::bindings::workflow
            );
            #section
        };
        Export { guest, function: quote!(run), item }
    })
}

/// Exports a function as the component's revenue stream.
///
/// The function takes a `tidemill_sdk::Period` or nothing, and returns a `tidemill_sdk::Collection`
/// or a `Result` of it.
#[proc_macro_attribute]
pub fn revenue_stream(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let shape = Shape { attribute: "revenue_stream", world: "revenue stream", takes: "the period", signals: false };
    shape.expand(arguments, item, |exported| {
        let call = &exported.call;
        let guest = quote!(::tidemill_sdk::bindings::revenue_stream::exports::tidemill::guest::revenue_stream::Guest);
        let item = quote! {
            impl #guest for __TidemillExport {
                fn collect(period: ::tidemill_sdk::export::WitPeriod)
                    -> ::std::result::Result<::tidemill_sdk::export::WitCollection, ::tidemill_sdk::export::Failure>
                {
                    ::tidemill_sdk::export::revenue_stream(period, |input| { let _ = &input; #call })
                }
            }
            #[cfg(target_arch = "wasm32")]
            ::tidemill_sdk::bindings::revenue_stream::export_revenue_stream!(
                __TidemillExport with_types_in ::tidemill_sdk::bindings::revenue_stream
            );
        };
        Export { guest, function: quote!(collect), item }
    })
}

/// Exports a function as the component's webhook.
///
/// The function takes a `tidemill_sdk::Delivery` and returns a `tidemill_sdk::Reply`, nothing (200
/// and an empty body), or a `Result` of either.
#[proc_macro_attribute]
pub fn webhook(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let shape = Shape { attribute: "webhook", world: "webhook", takes: "the delivery", signals: false };
    shape.expand(arguments, item, |exported| {
        let call = &exported.call;
        let guest = quote!(::tidemill_sdk::bindings::webhook::exports::tidemill::guest::webhook::Guest);
        let item = quote! {
            impl #guest for __TidemillExport {
                fn receive(delivery: ::tidemill_sdk::export::WitDelivery)
                    -> ::std::result::Result<::tidemill_sdk::export::WitReply, ::tidemill_sdk::export::Failure>
                {
                    ::tidemill_sdk::export::webhook(delivery, |input| { let _ = &input; #call })
                }
            }
            #[cfg(target_arch = "wasm32")]
            ::tidemill_sdk::bindings::webhook::export_webhook!(
                __TidemillExport with_types_in ::tidemill_sdk::bindings::webhook
            );
        };
        Export { guest, function: quote!(receive), item }
    })
}

/// Exports a function as the component's health check.
///
/// The function takes nothing and returns a `tidemill_sdk::Status` or a `Result` of it. An error
/// means unhealthy, and its message is the reason.
#[proc_macro_attribute]
pub fn health(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let shape = Shape { attribute: "health", world: "health check", takes: "", signals: false };
    shape.expand(arguments, item, |exported| {
        let call = &exported.call;
        let guest = quote!(::tidemill_sdk::bindings::health::exports::tidemill::guest::health::Guest);
        let item = quote! {
            impl #guest for __TidemillExport {
                fn check() -> ::tidemill_sdk::export::WitStatus {
                    ::tidemill_sdk::export::health(|| #call)
                }
            }
            #[cfg(target_arch = "wasm32")]
            ::tidemill_sdk::bindings::health::export_health!(
                __TidemillExport with_types_in ::tidemill_sdk::bindings::health
            );
        };
        Export { guest, function: quote!(check), item }
    })
}
