//! Why a version of a secret is not a key of a scheme.

/// Why a version of a secret cannot be used with a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is not a signing secret of Stripe.
    #[error("a signing secret of Stripe begins with `whsec_`")]
    NotStripe,
    /// It is not a key of Standard Webhooks.
    #[error(
        "a key of Standard Webhooks is `whsec_` with 16 to 512 bytes in base64, or `whpk_` with 32 bytes in base64"
    )]
    NotStandardWebhooks,
    /// A token has fewer than eight bytes.
    #[error("a token has at least 8 bytes")]
    ShortToken,
    /// The credentials of Basic authentication, or of PayPal's API, are not a pair.
    #[error("it is `user:password`, or `client-id:client-secret` for PayPal")]
    NotAPair,
}
