//! `tidemill secrets rotation`.

use tidemill_api_types::{KeyRotation, MasterKey};
use tidemill_core::wire::grouped;

use crate::client::{Client, Record};
use crate::error::CliError;
use crate::printer::Printer;

/// Runs the command.
pub async fn run(client: &Client, printer: &Printer) -> Result<(), CliError> {
    let key: Record<MasterKey<'static>> = client.get("/v1/master-key").await?;
    printer.record(&key, &text(&key));
    Ok(())
}

fn text(key: &MasterKey<'_>) -> String {
    let mut lines = vec![match &key.key {
        Some(id) => format!("master key {id}, {} sealed records", grouped(key.sealed)),
        None => format!("no master key, {} sealed records; `tidemill explain host/master-key`", grouped(key.sealed)),
    }];
    if let Some(rotation) = &key.rotation {
        let KeyRotation { to, total, visited, wrapped, damaged, .. } = rotation;
        let [total, visited, wrapped] = [total, visited, wrapped].map(|count| grouped(*count));
        lines.push(match rotation.ended_at {
            None => format!(
                "rotation to {to} since {}: {visited} of {total} records visited, {wrapped} wrapped again; keep the old \
                 key until it is complete",
                rotation.started_at
            ),
            Some(end) => format!("rotation to {to} complete at {end}: {visited} records visited, {wrapped} wrapped again"),
        });
        if *damaged > 0 {
            lines.push(format!("{} records are damaged; the host's log names them", grouped(*damaged)));
        }
    }
    if key.old.is_some() && key.needed.len() == 1 {
        lines.push("the old master key is not needed any more: remove TIDEMILL_MASTER_KEY_OLD".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use tidemill_api_types::{NeededKey, Time};
    use tidemill_core::Timestamp;

    use super::*;

    #[test]
    fn a_rotation_is_shown_until_the_old_key_is_removed() {
        let at = Time(Timestamp::from_millis(0));
        let needed = |key: &str| NeededKey { key: key.to_owned(), since: at };
        let mut key = MasterKey {
            key: Some("b".to_owned()),
            old: Some("a".to_owned()),
            needed: vec![needed("a"), needed("b")],
            sealed: 10_000,
            rotation: Some(KeyRotation {
                state: "running".into(),
                to: "b".to_owned(),
                total: 10_000,
                visited: 2_560,
                wrapped: 2_559,
                damaged: 1,
                started_at: at,
                ended_at: None,
            }),
        };
        let running = text(&key);
        assert!(running.contains("2,560 of 10,000 records visited") && running.contains("keep the old"), "{running}");
        assert!(running.contains("1 records are damaged"), "{running}");
        key.needed.remove(0);
        key.rotation.as_mut().unwrap().ended_at = Some(at);
        let done = text(&key);
        assert!(done.contains("complete") && done.contains("remove TIDEMILL_MASTER_KEY_OLD"), "{done}");
    }
}
