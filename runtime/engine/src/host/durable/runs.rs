//! Other runs: starting, signalling and cancelling them. All of it takes effect with the
//! transaction. A signal carries 64 KiB.
//!
//! A run may start, signal and cancel runs of its own deployment and of granted deployments. It may
//! also signal and cancel its children and its parent, whatever their deployment.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tidemill_core::journal::{Hash, Kind};
use tidemill_core::limits::INPUT_BYTES;
use tidemill_core::run::{Export, Seed};
use tidemill_core::spawn::{DEPTH, OPEN_CHILDREN};
use tidemill_core::{Code, DeploymentName, Failure, Revision, RunId};
use tidemill_store::records::{LogLevel, NewSignal, SIGNAL_BYTES};

use super::{SIGNAL_NAME_BYTES, bad, bounded_json, not_in_step, refuse_if_cancelled};
use crate::activation::channel::StartTarget;
use crate::component::bindings::wit::durable::{StartOptions, Target};
use crate::guest::{GuestState, read};
use crate::host::abi::{HostResult, answer};
use crate::replay::state::hash;
use crate::transaction::effects::StartRun;

/// Maximum size of an idempotency key, in bytes.
const KEY_BYTES: usize = 255;
/// Maximum number of labels of a run, and maximum size of one in bytes.
const LABELS: usize = 16;
const LABEL_BYTES: usize = 256;

/// Starts a run of another deployment.
pub(super) async fn start(
    guest: &mut GuestState,
    deployment: String,
    input: String,
    options: StartOptions,
) -> wasmtime::Result<HostResult<String>> {
    let child = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check("durable.start"))
        .and_then(|()| not_in_step(guest, "durable.start"))
        .and_then(|()| ChildRequest::check(&deployment, input, options));
    let child = match child {
        Ok(child) => child,
        Err(failure) => return answer(Err(failure)),
    };
    let request = child.hash();
    let ordinal = guest.history.frame().started.entry(request).or_default();
    let nth = *ordinal;
    *ordinal += 1;
    if let Some(started) = guest.replay::<Result<RunId, Failure>>(Kind::Start, request)? {
        return answer(started.map(|id| id.to_string()));
    }
    let shown = format!("{} {}", child.deployment, child.input);
    let started = start_now(guest, child, request, nth).await?;
    guest.record(Kind::Start, request, &started, Some(shown.as_bytes()))?;
    answer(started.map(|id| id.to_string()))
}

/// A validated request to start a run.
struct ChildRequest {
    deployment: DeploymentName,
    input: String,
    export: Option<Export>,
    options: StartOptions,
}

impl ChildRequest {
    fn check(deployment: &str, input: String, options: StartOptions) -> Result<Self, Failure> {
        let Ok(deployment) = deployment.parse() else { return bad("the deployment's name is not valid") };
        bounded_json("the input", &input, INPUT_BYTES)?;
        if options.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES) {
            return bad("an idempotency key has 1 to 255 bytes");
        }
        if options.priority.is_some_and(|priority| !(1..=9).contains(&priority)) {
            return bad("a priority is from 1 to 9");
        }
        let long =
            |label: &crate::component::bindings::wit::types::Field| label.name.len() + label.value.len() > LABEL_BYTES;
        if options.labels.len() > LABELS || options.labels.iter().any(long) {
            return bad("a run has at most 16 labels of 256 bytes each");
        }
        let export = match options.export.as_deref().map(Export::parse) {
            None => None,
            Some(Some(export)) => Some(export),
            Some(None) => return bad("the export is unknown: use `workflow`, `revenue-stream` or `webhook`"),
        };
        Ok(Self { deployment, input, export, options })
    }

    fn hash(&self) -> Hash {
        let options = &self.options;
        let labels: Vec<_> = options.labels.iter().map(|label| format!("{:?}{:?}", label.name, label.value)).collect();
        hash(&[
            self.deployment.as_str().as_bytes(),
            self.input.as_bytes(),
            options.idempotency_key.as_deref().unwrap_or_default().as_bytes(),
            &options.delay.unwrap_or_default().to_le_bytes(),
            &[options.priority.unwrap_or_default(), options.detached.into()],
            self.export.map_or("", Export::as_str).as_bytes(),
            labels.join(",").as_bytes(),
        ])
    }
}

async fn start_now(
    guest: &mut GuestState,
    child: ChildRequest,
    request: Hash,
    nth: u64,
) -> wasmtime::Result<Result<RunId, Failure>> {
    let ChildRequest { deployment, input, export, options } = child;
    if let Err(failure) = refuse_if_cancelled(guest, "starts runs").and_then(|()| may_touch(guest, &deployment)) {
        return Ok(Err(failure));
    }
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    let run = Arc::clone(&guest.run);
    let made = Sha256::new()
        .chain_update(b"tidemill child")
        .chain_update(run.id.to_bytes())
        .chain_update(run.generation.to_le_bytes())
        .chain_update(request)
        .chain_update(nth.to_le_bytes())
        .finalize();
    // A key derived by the host belongs to a child, which is retained until its parent has ended.
    let own = options.idempotency_key.is_none();
    let key = options.idempotency_key.unwrap_or_else(|| format!("tidemill-{}", HEXLOWER.encode(&made[..16])));
    // A repeated start returns the existing run.
    let found = |id: RunId, same: bool| {
        let other = || format!("`{key}` started a run of {deployment} with another input");
        if same { Ok(id) } else { Err(Code::IdempotencyMismatch.failure(other())) }
    };
    if let Some(there) = guest.transaction.starting_with(deployment.as_str(), &key) {
        return Ok(found(there.id, there.input == input.as_bytes()));
    }
    let store = Arc::clone(&guest.services.store);
    if let Some(there) = read(|| store.run_by_key(&deployment, &key)).await? {
        let same = read(|| store.input(there.id)).await?.is_none_or(|before| before == input.as_bytes());
        return Ok(found(there.id, same));
    }
    let now = guest.log.clock.now();
    if !own && let Some(gone) = read(|| store.key_outlives(&deployment, &key, now)).await? {
        let message = format!("`{key}` started run {gone} of {deployment}, which retention has removed");
        return Ok(Err(Code::IdempotencyRunRemoved.failure(message)));
    }
    let target = match guest.channel.target(run.id, &deployment, export, input.as_bytes()).await {
        Ok(target) => target,
        Err(failure) => return Ok(Err(failure)),
    };
    if let Err(failure) = has_room(guest, &deployment, options.detached, &target) {
        return Ok(Err(failure));
    }
    let at = guest.log.clock.now();
    let random = made.last_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
    let id = RunId::new(at, random);
    let seed =
        Sha256::new().chain_update(b"tidemill seed").chain_update(run.seed.0).chain_update(id.to_bytes()).finalize();
    guest.transaction.start(StartRun {
        id,
        deployment,
        revision: target.revision,
        component: target.component,
        export: target.export,
        input: input.into(),
        key,
        labels: options.labels.into_iter().map(|label| (label.name, label.value)).collect(),
        priority: options.priority.unwrap_or(target.priority),
        at,
        not_before: at.plus_millis(options.delay.unwrap_or_default()),
        detached: options.detached,
        seed: Seed(seed.into()),
    });
    Ok(Ok(id))
}

/// Checks that the parent and the queue have room for one more run, besides the runs that this
/// transaction starts.
fn has_room(
    guest: &GuestState,
    deployment: &DeploymentName,
    detached: bool,
    target: &StartTarget,
) -> Result<(), Failure> {
    let own = guest.transaction.starts().filter(|start| start.deployment == *deployment).count() as u64;
    if own >= target.queue_room {
        return Err(Code::QueueFull.failure(format!("the queue of `{deployment}` is full")));
    }
    let Some(child_room) = target.child_room else {
        return Err(Code::LimitChildren
            .failure(format!("the run is at the maximum depth of {DEPTH} runs and cannot start a run")));
    };
    let attached = guest.transaction.starts().filter(|start| !start.detached).count() as u64;
    if !detached && attached >= child_room {
        let message = format!("the run has {OPEN_CHILDREN} children that have not ended, which is the maximum");
        return Err(Code::LimitChildren.failure(message));
    }
    Ok(())
}

/// Sends a signal.
pub(super) async fn signal(
    guest: &mut GuestState,
    to: Target,
    name: String,
    payload: String,
) -> wasmtime::Result<HostResult<()>> {
    let allowed = guest
        .check_cancelled()
        .and_then(|()| guest.not_in_health_check("durable.signal"))
        .and_then(|()| bounded_json("the payload", &payload, SIGNAL_BYTES))
        .and_then(|()| match name.len() {
            1..=SIGNAL_NAME_BYTES => Ok(()),
            _ => Err(Code::BadArgument.failure("the name of a signal has 1 to 255 bytes")),
        });
    if let Err(failure) = allowed {
        return answer(Err(failure));
    }
    let (run, generation) = (guest.run.id, guest.run.generation);
    let frame = guest.history.frame();
    let path = u128::from_le_bytes(frame.path);
    let key = format!("{run}/{generation}/{path:032x}/{}", frame.signals);
    frame.signals += 1;
    let shown = words(&to);
    let request = hash(&[shown.as_bytes(), name.as_bytes(), payload.as_bytes()]);
    if let Some(sent) = guest.replay::<Result<(), Failure>>(Kind::Signal, request)? {
        return answer(sent);
    }
    let channel = Arc::clone(&guest.channel);
    let sent = match reach(guest, &to).await? {
        Ok(ReachableRun { id, ended: false, of }) => {
            let taken = channel.check_signal(&of.0, of.1, &name, payload.as_bytes()).await;
            if taken.is_ok() {
                let (name, payload) = (name.clone(), payload.into());
                guest.transaction.signal(NewSignal { to: id, name, payload, key: Some(key) });
            }
            taken
        }
        Ok(ReachableRun { id, ended: true, .. }) => {
            let message = format!("the signal `{name}` is dropped: run {id} has ended");
            guest.log.write(LogLevel::Warn, message, Vec::new());
            Ok(())
        }
        Err(failure) => Err(failure),
    };
    guest.record(Kind::Signal, request, &sent, Some(format!("{shown} {name}").as_bytes()))?;
    answer(sent)
}

/// Requests the cancellation of a run.
pub(super) async fn cancel(guest: &mut GuestState, run: Target) -> wasmtime::Result<HostResult<()>> {
    if let Err(failure) = guest.check_cancelled().and_then(|()| guest.not_in_health_check("durable.cancel")) {
        return answer(Err(failure));
    }
    let shown = words(&run);
    let request = hash(&[shown.as_bytes()]);
    if let Some(cancelled) = guest.replay::<Result<(), Failure>>(Kind::Cancel, request)? {
        return answer(cancelled);
    }
    let cancelled = reach(guest, &run).await?.map(|ReachableRun { id, ended, .. }| {
        if !ended {
            guest.transaction.cancel(id);
        }
    });
    guest.record(Kind::Cancel, request, &cancelled, Some(shown.as_bytes()))?;
    answer(cancelled)
}

/// A run that this one may signal or cancel.
struct ReachableRun {
    id: RunId,
    ended: bool,
    /// Its deployment and revision.
    of: (DeploymentName, Revision),
}

async fn reach(guest: &mut GuestState, target: &Target) -> wasmtime::Result<Result<ReachableRun, Failure>> {
    let store = Arc::clone(&guest.services.store);
    let none = || Code::RunNotFound.failure(format!("there is no {}", words(target)));
    if let Err(limit) = guest.transaction.has_room() {
        return Ok(Err(limit.into()));
    }
    let started =
        |start: &StartRun| ReachableRun { id: start.id, ended: false, of: (start.deployment.clone(), start.revision) };
    let (starting, found) = match target {
        Target::Run(id) => {
            let Ok(id) = id.parse::<RunId>() else { return Ok(Err(none())) };
            if id == guest.run.id {
                return Ok(Ok(itself(guest)));
            }
            let starting = guest.transaction.starting(id).map(started);
            let found = if starting.is_some() { None } else { read(|| store.run(id)).await? };
            (starting, found)
        }
        Target::Key((deployment, key)) => {
            let Ok(name) = deployment.parse::<DeploymentName>() else { return Ok(Err(none())) };
            if *deployment == guest.run.deployment.as_str() && guest.run.key.as_ref() == Some(key) {
                return Ok(Ok(itself(guest)));
            }
            let starting = guest.transaction.starting_with(deployment, key).map(started);
            if starting.is_none()
                && let Err(failure) = may_touch(guest, &name)
            {
                return Ok(Err(failure));
            }
            let found = if starting.is_some() { None } else { read(|| store.run_by_key(&name, key)).await? };
            (starting, found)
        }
    };
    if let Some(starting) = starting {
        return Ok(Ok(starting));
    }
    let Some(found) = found else { return Ok(Err(none())) };
    let kin = found.trigger.parent == Some(guest.run.id) || guest.run.trigger.parent == Some(found.id);
    if !kin && may_touch(guest, &found.deployment).is_err() {
        // Only runs with access learn the run's deployment.
        let message =
            "the deployment may not access that run; add the run's deployment to `deployments` under `[grants]`";
        return Ok(Err(Code::NotGranted.failure(message)));
    }
    Ok(Ok(ReachableRun { id: found.id, ended: found.state.has_ended(), of: (found.deployment, found.revision) }))
}

/// Returns the calling run. The store may not know it yet during its first transaction.
fn itself(guest: &GuestState) -> ReachableRun {
    ReachableRun { id: guest.run.id, ended: false, of: (guest.run.deployment.clone(), guest.run.revision) }
}

fn may_touch(guest: &GuestState, deployment: &DeploymentName) -> Result<(), Failure> {
    if guest.run.deployment == *deployment || guest.grants().deployments.contains(deployment) {
        return Ok(());
    }
    Err(Code::NotGranted.failure(format!(
        "the deployment may not access runs of `{deployment}`; add to `[grants]`: deployments = [\"{deployment}\"]"
    )))
}

fn words(target: &Target) -> String {
    match target {
        Target::Run(id) => format!("run {}", id.chars().take(64).collect::<String>()),
        Target::Key((deployment, key)) => format!("run of {deployment} with key {key}"),
    }
}
