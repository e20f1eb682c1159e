//! The targets. A parser that reads bytes from outside the host has a target here.

mod component;
mod cron;
mod http;
mod journal;
mod json;
mod manifest;
mod names;
mod stored;
mod webhook;

use crate::Target;

/// Every target, with its share of the iterations in percent.
#[must_use]
pub fn all() -> Vec<(Box<dyn Target>, u64)> {
    vec![
        (Box::new(json::Json), 30),
        (Box::new(http::Header), 3),
        (Box::new(http::Query), 14),
        (Box::new(cron::Cron), 16),
        (Box::new(names::Names), 12),
        (Box::new(stored::LogPayload), 8),
        (Box::new(stored::Record), 6),
        (Box::new(journal::Chunks), 2),
        (Box::new(manifest::ManifestJson), 2),
        (Box::new(manifest::ProjectFile), 1),
        (Box::new(component::Component), 1),
        (Box::new(webhook::WebhookRequest), 4),
        (Box::new(webhook::WebhookBody), 2),
    ]
}

/// Seeds from texts.
fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}
