//! Retry policies of a module as the host's rules take them.

use crate::bindings::imports::tidemill::guest::types::RetryPolicy as WitRetryPolicy;
use tidemill_core::retry::RetryPolicy;

pub(super) fn policy(policy: &WitRetryPolicy) -> RetryPolicy {
    RetryPolicy {
        max_attempts: policy.max_attempts,
        initial_millis: policy.initial_delay,
        factor_permille: policy.factor_permille,
        max_millis: policy.max_delay,
        jitter_permille: policy.jitter_permille,
    }
}
