//! The thread that makes checkpoints and has the index rewritten.

use std::sync::Arc;

use crate::kv::checkpoint;
use crate::kv::index::rewrite;
use crate::kv::state::KvState;

/// Makes checkpoints when they are due, until the store closes. After each it checks whether the
/// index has to be rewritten.
pub(in crate::kv) fn run(shared: &Arc<KvState>) {
    while shared.pace.wait(shared.config.checkpoint_every) {
        if shared.stopped().is_some() {
            continue;
        }
        if let Err(error) = checkpoint::make(shared) {
            tracing::warn!(code = error.code(), %error, "could not make a checkpoint; the log keeps the groups");
        }
        rewrite::begin_if_due(shared);
    }
}
