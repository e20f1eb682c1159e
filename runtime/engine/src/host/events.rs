//! `tidemill:guest/events`: publishing to granted topics. An event takes effect with the
//! transaction; its payload holds at most 64 KiB.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tidemill_core::journal::Kind;
use tidemill_core::topics::EVENT_BYTES;
use tidemill_core::{Code, EventId, Failure, Topic};
use tidemill_store::records::NewEvent;

use super::abi::{Contract, HostResult, Interface, answer};
use super::durable::bounded_json;
use crate::guest::{GuestState, KnownTopics, read};
use crate::replay::state::hash;

pub(super) fn link(contract: &mut Contract) -> wasmtime::Result<()> {
    Interface::new(contract, "events")?
        .wait("publish", |guest, (topic, payload)| Box::pin(publish(guest, topic, payload)))
}

async fn publish(guest: &mut GuestState, topic: String, payload: String) -> wasmtime::Result<HostResult<()>> {
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check("events.publish"))
        .and_then(|()| bounded_json("the payload", &payload, EVENT_BYTES))
        .and_then(|()| topic.parse::<Topic>().map_err(|bad| Code::BadArgument.failure(bad.to_string())));
    let topic = match allowed {
        Ok(topic) => topic,
        Err(failure) => return answer(Err(failure)),
    };
    let frame = guest.history.frame();
    let (path, nth) = (frame.path, frame.events);
    frame.events += 1;
    let request = hash(&[topic.as_str().as_bytes(), payload.as_bytes()]);
    if let Some(published) = guest.replay::<Result<(), Failure>>(Kind::Publish, request)? {
        return answer(published);
    }
    let published = match check_room(guest, &topic).await? {
        Ok(()) => {
            let made = Sha256::new()
                .chain_update(b"tidemill event")
                .chain_update(guest.run.id.to_bytes())
                .chain_update(guest.run.generation.to_le_bytes())
                .chain_update(path)
                .chain_update(nth.to_le_bytes())
                .finalize();
            let random = made.last_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
            let id = EventId::new(guest.log.clock.now(), random);
            guest.transaction.publish(NewEvent { id, topic: topic.clone(), payload: payload.into() });
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    guest.record(Kind::Publish, request, &published, Some(topic.as_str().as_bytes()))?;
    answer(published)
}

/// Checks that the deployment may publish to the topic, and that there is room for it.
async fn check_room(guest: &mut GuestState, topic: &Topic) -> wasmtime::Result<Result<(), Failure>> {
    if !guest.grants().may_publish(topic) {
        return Ok(Err(Code::NotGranted.failure(format!(
            "the deployment may not publish to `{topic}`; add to `[grants]`: topics = [\"{topic}\"]"
        ))));
    }
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    if guest.transaction.publishes_to(topic) {
        return Ok(Ok(()));
    }
    let store = Arc::clone(&guest.services.store);
    if read(|| store.topic(topic)).await?.is_some() {
        return Ok(Ok(()));
    }
    let run = Arc::clone(&guest.run);
    let room = read(|| store.topic_room(&run.deployment)).await?;
    // Topics that this transaction creates are not counted yet.
    if guest.known_topics.at != guest.history.commits {
        guest.known_topics = KnownTopics { at: guest.history.commits, there: BTreeMap::new() };
    }
    let own: Vec<Topic> = guest.transaction.topics().into_iter().cloned().collect();
    let mut begun = 0;
    for topic in own {
        let there = match guest.known_topics.there.get(&topic) {
            Some(there) => *there,
            None => {
                let there = read(|| store.topic(&topic)).await?.is_some();
                guest.known_topics.there.insert(topic, there);
                there
            }
        };
        begun += u64::from(!there);
    }
    if begun >= room {
        return Ok(Err(Code::LimitTopics
            .failure(format!("the deployment has reached its maximum number of topics; `{topic}` would exceed it"))));
    }
    Ok(Ok(()))
}
