//! The attribute macros of `tidemill-sdk`; use them through that crate. Each leaves the function as it is, so that native
//! tests can call it, and adds the export of its world. What the exports do is in the SDK's `export` module, not here.
#![forbid(unsafe_code)]

mod schema;
mod signature;

use proc_macro::TokenStream;
use quote::quote;
use signature::{Export, Shape};

/// Describes a type's JSON by serde's rules; a component's workflow shows what it takes and gives by it. `tidemill_sdk::Schema` says more.
#[proc_macro_derive(Schema, attributes(schema, serde))]
pub fn schema(item: TokenStream) -> TokenStream {
    let derived = syn::parse::<syn::DeriveInput>(item).and_then(|input| schema::derive(&input));
    derived.unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Exports a function as the component's workflow.
///
/// It takes the run's input, anything that is `Deserialize`, or nothing, and returns anything that is `Serialize`, or a
/// `Result` of it whose error turns into `tidemill_sdk::Error`. Where these types have a `Schema`, it is in the component: hosts show it, and
/// check a run's input by it.
///
/// The signals that it waits for can be declared, each with the type of its payload: hosts then refuse a signal whose payload is none.
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
/// It takes a `tidemill_sdk::Period`, or nothing, and returns a `tidemill_sdk::Collection` or a `Result` of it.
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
/// It takes a `tidemill_sdk::Delivery` and returns a `tidemill_sdk::Reply`, nothing (200 and an empty body), or a
/// `Result` of either.
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
/// It takes nothing and returns a `tidemill_sdk::Status`, or a `Result` of it: an error is unhealthy, and its message
/// the reason.
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
