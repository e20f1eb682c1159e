//! The interfaces that only read or note something: context, log, random, secrets, events, metrics.

use super::{current, types};
use crate::testing::failure::was_answered;

pub(crate) mod context {
    use super::current;
    pub(crate) use crate::bindings::imports::tidemill::guest::context::Trigger;

    pub(crate) fn id() -> String {
        current().id.clone()
    }

    pub(crate) fn deployment() -> String {
        current().deployment.clone()
    }

    pub(crate) fn component() -> String {
        format!("sha256:{}", "0".repeat(64))
    }

    pub(crate) fn triggered_by() -> Trigger {
        let fake = current();
        let own = &fake.setup.trigger;
        match &fake.parent {
            None => Trigger {
                kind: own.kind.clone(),
                name: own.name.clone(),
                id: own.id.clone(),
                at: own.at.map(|at| at.as_millis()),
                parent: None,
                details: own.details.to_string(),
            },
            Some(parent) => Trigger {
                kind: "parent".to_owned(),
                name: None,
                id: None,
                at: None,
                parent: Some(parent.clone()),
                details: "{}".to_owned(),
            },
        }
    }

    pub(crate) fn created_at() -> u64 {
        current().created_at
    }

    pub(crate) fn attempt() -> u32 {
        let fake = current();
        fake.call("context.attempt", "", || fake.run.borrow().attempt)
    }

    pub(crate) fn generation() -> u32 {
        current().run.borrow().generation
    }

    pub(crate) fn config() -> String {
        current().setup.config.to_string()
    }
}

pub(crate) mod log {
    use super::own_name;
    use super::{current, types::Field};
    pub(crate) use crate::bindings::imports::tidemill::guest::log::Level;
    use crate::testing::world::Line;
    use tidemill_core::limits::LOG_FIELDS;

    pub(crate) fn write(level: Level, message: &str, fields: &[Field]) {
        let fake = current();
        // Replay does not write a line again.
        if !fake.is_live() {
            return;
        }
        let level = match level {
            Level::Trace => crate::log::Level::Trace,
            Level::Debug => crate::log::Level::Debug,
            Level::Info => crate::log::Level::Info,
            Level::Warn => crate::log::Level::Warn,
            Level::Error => crate::log::Level::Error,
        };
        let fields = &fields[..fields.len().min(LOG_FIELDS)];
        let Some(message) = fake.kept_line(message, fields) else { return };
        let fields = fields.iter().map(|field| (own_name(field), field.value.clone())).collect();
        fake.world.borrow_mut().lines.push(Line { level, message, fields });
    }
}

/// Returns a name that cannot be confused with one of the host.
fn own_name(field: &types::Field) -> String {
    let forged = field.name == "code" && field.value.starts_with("host/") && !was_answered(&field.value);
    if forged || field.name.starts_with("tidemill.") { format!("guest.{}", field.name) } else { field.name.clone() }
}

pub(crate) mod random {
    pub(crate) fn bytes(len: u32) -> Vec<u8> {
        crate::testing::checks::stop_unless(crate::testing::limits::random(len));
        super::current().draw(len as usize)
    }
}

pub(crate) mod secrets {
    use super::{current, types::Failure as WitFailure};
    use crate::testing::host::{Bytes, shown};
    use crate::testing::limits;
    use tidemill_core::Code;

    pub(crate) fn sign(secret: &str, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, WitFailure> {
        let fake = current();
        let request = format!("{secret} {algorithm} {}", shown(message));
        fake.fallible("secrets.sign", &request, || {
            fake.may_sign(secret)?;
            limits::message(message)?;
            match &fake.setup.sign {
                Some(sign) => Ok(Bytes::from(sign(secret, algorithm, message))),
                None => {
                    let why = format!("there is no secret `{secret}` to sign with: add `Harness::sign`");
                    Err(Code::SecretMissing.failure(why))
                }
            }
        })
        .map(Vec::from)
        .map_err(WitFailure::from)
    }
}

pub(crate) mod events {
    use super::{current, types::Failure as WitFailure};
    use crate::testing::limits;
    use crate::testing::world::PublishedEvent;

    pub(crate) fn publish(topic: &str, payload: &str) -> Result<(), WitFailure> {
        let fake = current();
        // Like a host, refuse it before it is recorded.
        limits::payload(payload)?;
        let granted = limits::topic(topic)?;
        fake.fallible("events.publish", &format!("{topic} {payload}"), || {
            fake.may_publish(&granted)?;
            fake.has_room()?;
            let payload = serde_json::from_str(payload).unwrap_or_default();
            fake.write(|layer| layer.events.push(PublishedEvent { topic: topic.to_owned(), payload }));
            Ok(())
        })
        .map_err(WitFailure::from)
    }
}

pub(crate) mod metrics {
    use super::{current, types::Field};
    use crate::testing::checks::stop_unless;
    use crate::testing::limits;
    use crate::testing::world::MetricSample;

    fn note(name: &str, value: f64, labels: &[Field], counts: bool) {
        let fake = current();
        stop_unless(limits::sample(name, value, labels, counts));
        if fake.is_live() {
            let labels = labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect();
            fake.write(|layer| layer.metrics.push(MetricSample { name: name.to_owned(), value, labels }));
        }
    }

    pub(crate) fn count(name: &str, by: f64, labels: &[Field]) {
        note(name, by, labels, true);
    }

    pub(crate) fn gauge(name: &str, value: f64, labels: &[Field]) {
        note(name, value, labels, false);
    }

    pub(crate) fn observe(name: &str, value: f64, labels: &[Field]) {
        note(name, value, labels, false);
    }
}
