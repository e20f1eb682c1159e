//! The jobs in the committer's queue: operations with the channels to their callers.

use std::panic::{self, AssertUnwindSafe};

use tokio::sync::oneshot;

use crate::kv::catch_panic;
use crate::kv::commit::batch::{Batch, Tx};
use crate::kv::error::{KvError, SubmitError};
use crate::kv::index::IndexReader;

/// A job in the committer's queue.
pub(in crate::kv) enum Job {
    /// An operation to execute.
    Run(Box<dyn QueuedOperation>),
    /// Another thread found the index faulted: reopen it without waiting for an operation.
    Heal,
    /// Close the store, then answer the caller.
    Close(oneshot::Sender<Result<(), KvError>>),
}

/// An operation with the channel to its caller.
pub(in crate::kv) trait QueuedOperation: Send {
    /// Runs the operation. Its caller is answered when the group is durable.
    fn run(self: Box<Self>, group: &mut Batch, index: &IndexReader<'_>) -> Box<dyn Answer>;
    /// Answers the caller without running the operation.
    fn refuse(self: Box<Self>, error: KvError);
}

/// An answer that waits until its group is durable.
pub(in crate::kv) trait Answer: Send {
    /// Sends the answer, or the store's failure instead.
    fn give(self: Box<Self>, stored: Result<(), KvError>);
}

/// An operation as submitted.
pub(in crate::kv) struct SubmittedOperation<F, T, E> {
    pub operation: F,
    pub answer: oneshot::Sender<Result<T, SubmitError<E>>>,
}

struct PendingAnswer<T, E> {
    result: Result<T, SubmitError<E>>,
    answer: oneshot::Sender<Result<T, SubmitError<E>>>,
}

impl<F, T, E> QueuedOperation for SubmittedOperation<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn run(self: Box<Self>, group: &mut Batch, index: &IndexReader<'_>) -> Box<dyn Answer> {
        let Self { operation, answer } = *self;
        let ran = panic::catch_unwind(AssertUnwindSafe(|| group.run(index, operation, Result::is_ok)));
        let result = match ran {
            Ok(result) => result.map_err(SubmitError::Refused),
            Err(panicked) => Err(SubmitError::Panicked(catch_panic::panic_message(&*panicked))),
        };
        Box::new(PendingAnswer { result, answer })
    }

    fn refuse(self: Box<Self>, error: KvError) {
        // The caller may have been dropped.
        let _ = self.answer.send(Err(SubmitError::Store(error)));
    }
}

impl<T: Send, E: Send> Answer for PendingAnswer<T, E> {
    fn give(self: Box<Self>, stored: Result<(), KvError>) {
        let result = match stored {
            Ok(()) => self.result,
            Err(error) => Err(SubmitError::Store(error)),
        };
        let _ = self.answer.send(result);
    }
}
