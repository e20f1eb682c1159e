//! `tidemill deliveries show`: one delivery, or its body.

use tidemill_api_types::Delivery;

use crate::client::{Client, Record, encoded};
use crate::error::CliError;
use crate::printer::{Printer, clean};
use crate::text::{bytes, time};

/// Arguments of `tidemill deliveries show`.
#[derive(Debug, clap::Args)]
pub struct DeliveryShowArgs {
    /// The delivery
    id: String,

    /// Write the body to stdout instead, as the provider sent it
    #[arg(long)]
    body: bool,
}

/// Runs the command.
pub async fn run(args: &DeliveryShowArgs, client: &Client, printer: &Printer) -> Result<(), CliError> {
    let path = format!("/v1/deliveries/{}", encoded(&args.id));
    if args.body {
        printer.untrusted(&client.fetch(&format!("{path}/body")).await?.body);
        return Ok(());
    }
    let delivery: Record<Delivery<'static>> = client.get(&path).await?;
    printer.record(&delivery, &text(&delivery));
    Ok(())
}

fn text(delivery: &Delivery<'_>) -> String {
    let mut lines = vec![
        format!("{} {}", delivery.id, delivery.outcome),
        format!("  hook      {}/{}, verified by {}", delivery.deployment, delivery.hook, delivery.verified_by),
        format!("  received  {}", delivery.received_at),
        format!("  key       {}", clean(&delivery.key)),
    ];
    let mut add = |name: &str, value: Option<&str>| {
        lines.extend(value.map(|value| format!("  {name:9} {}", clean(value))));
    };
    add("event", delivery.event.as_deref());
    add("object", delivery.object.as_deref());
    add("version", delivery.version.as_deref());
    lines.push(format!("  body      {}, {}", bytes(delivery.body_bytes), delivery.digest));
    if delivery.duplicates > 0 {
        lines.push(format!(
            "  delivered {} more times, last {}",
            delivery.duplicates,
            time(delivery.last_duplicate_at)
        ));
    }
    lines.extend(delivery.settled_at.map(|at| format!("  settled   {at}")));
    lines.extend(delivery.runs.iter().map(|run| format!("  run       {run}")));
    lines.extend(delivery.entries.iter().map(|entry| format!("  entry     {}", clean(entry))));
    let query = if delivery.query.is_empty() { String::new() } else { format!("?{}", delivery.query) };
    lines.push(clean(&format!("{} {}{query}", delivery.method, delivery.path)));
    lines.extend(delivery.headers.iter().map(|header| clean(&format!("  {}: {}", header.name, header.value))));
    lines.join("\n")
}
