//! Committing a stretch: what it read is checked, and all that it did takes hold together.

use tidemill_core::run::Run;

use super::commit::Commit;
use super::reads::Reads;
use super::runs::{self, Key};
use super::tables::{OUTPUTS, WATERMARKS};
use super::{ledger, state};
use crate::error::StoreError;
use crate::records::{Begins, Committed, ReadCheck, StretchCommit};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn commit(commit: &mut Commit<'_, '_>, stretch: &StretchCommit) -> Result<Committed> {
    let run = &stretch.run;
    let before = match &stretch.begins {
        Begins::Continues => Some(runs::owned(commit, &stretch.owner, run.id)?),
        Begins::Fresh { input } => {
            if let Some(key) = &run.key
                && let Key::Taken(winner) = runs::look_up_key(commit, &run.deployment, key, input, stretch.now)?
            {
                return Ok(Committed::KeyTaken(winner));
            }
            None
        }
    };
    if let Some(what) = changed(commit, stretch)? {
        return Ok(Committed::Conflict { what });
    }
    match (&stretch.begins, &before) {
        (Begins::Fresh { input }, _) => runs::insert(commit, run, input, stretch.now)?,
        (Begins::Continues, before) => {
            unchanged_identity(before.as_ref(), run)?;
            runs::write(commit, before.as_ref(), run, stretch.now)?;
        }
    }
    for write in &stretch.writes {
        state::write(commit, &run.deployment, write);
    }
    ledger::post(commit, run, &stretch.postings, stretch.now)?;
    runs::put_logs(commit, run.id, &stretch.logs)?;
    if let Some(output) = &stretch.output {
        commit.put(OUTPUTS, &run.id.to_bytes(), output);
    }
    if let Some(mark) = stretch.watermark {
        let stream = run.deployment.as_str().as_bytes();
        if commit.record(WATERMARKS, stream)?.is_none_or(|present: tidemill_core::Timestamp| present < mark) {
            commit.put_record(WATERMARKS, stream, &mark)?;
        }
    }
    Ok(Committed::Done)
}

/// The first of the stretch's reads that no longer holds, in words.
fn changed(store: &impl Reads, stretch: &StretchCommit) -> Result<Option<String>> {
    let deployment = &stretch.run.deployment;
    for read in &stretch.reads {
        let changed = match read {
            ReadCheck::State { key, version } => {
                (state::version(store, deployment, key)? != *version).then(|| format!("state key `{key}`"))
            }
            ReadCheck::Scan { request, seen, more } => {
                let page = state::scan(store, deployment, request)?;
                let same = page.more == *more
                    && page.entries.len() == seen.len()
                    && page.entries.iter().zip(seen).all(|((key, _, version), (k, v))| key == k && version == v);
                (!same).then(|| format!("the scan of state keys that begin with `{}`", request.prefix))
            }
            ReadCheck::ExternalId { external_id, version } => {
                let present = ledger::external_id(store, deployment, external_id)?;
                (present.version != *version).then(|| format!("external id `{external_id}`"))
            }
        };
        if changed.is_some() {
            return Ok(changed);
        }
    }
    for posting in &stretch.postings {
        let id = &posting.entry.external_id;
        if ledger::external_id(store, deployment, id)?.posting.is_some() {
            return Ok(Some(format!("external id `{id}`")));
        }
    }
    Ok(None)
}

/// A commit moves a run; it does not make another of it.
fn unchanged_identity(before: Option<&Run>, after: &Run) -> Result<()> {
    let same = before.is_none_or(|before| {
        before.deployment == after.deployment && before.created_at == after.created_at && before.fuel <= after.fuel
    });
    let reachable = before.is_none_or(|before| !before.state.has_ended());
    if same && reachable {
        Ok(())
    } else {
        Err(StoreError::IllegalTransition(format!("run {} cannot become another run", after.id)))
    }
}
