//! Completes an operation whose caller may leave.

use tidemill_core::Code;

use crate::error::ControlError;

/// Runs `work` to completion even if the caller is dropped, so that a commit is always followed by
/// its in-memory updates.
pub(crate) async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, ControlError>> + Send + 'static,
) -> Result<T, ControlError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(ControlError::refused(Code::Internal, format!("the operation was interrupted: {error}"))),
    }
}
