//! Parses names in the path into domain types.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use tidemill_core::ids::{InvalidName, SecretName};
use tidemill_core::limits::STATE_KEY_BYTES;
use tidemill_core::manifest::ModuleVersion;
use tidemill_core::money::CUSTOMER_BYTES;
use tidemill_core::money::report::PeriodName;
use tidemill_core::{
    AlertId, BudgetName, ChannelName, Code, ComponentDigest, DeliveryId, DeploymentName, ModuleName, Revision, RunId,
    ScheduleName, SilenceId, SubscriptionName, Topic,
};

use crate::config::KEY_BYTES;
use crate::problem::{ApiResult, Problem, quoted};

/// The names in a request's path, percent-decoded and checked; a tuple if there are several.
#[derive(Debug, Clone)]
pub struct PathParams<T>(pub T);

/// A value that a path may contain.
pub trait FromPath: Sized {
    /// Takes the path parameters that it needs, in their order.
    ///
    /// # Errors
    /// [`Code::BadName`] if a parameter is not a name of this kind.
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self>;
}

fn bad_name(text: &str, why: InvalidName) -> Problem {
    Problem::new(Code::BadName, format!("`{}` is {why}", quoted(text)))
}

macro_rules! names {
    ($($name:ty),*) => {$(
        impl FromPath for $name {
            fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
                let text = params.next().unwrap_or_default();
                text.parse().map_err(|why| bad_name(text, why))
            }
        }
    )*};
}

names!(
    AlertId,
    BudgetName,
    ChannelName,
    DeliveryId,
    DeploymentName,
    ModuleName,
    ScheduleName,
    SubscriptionName,
    SecretName,
    Topic,
    RunId,
    SilenceId,
    ComponentDigest,
    ModuleVersion
);

impl FromPath for String {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        Ok(params.next().unwrap_or_default().to_owned())
    }
}

/// The name of a signal, or the idempotency key of a run: 1 to 255 bytes of any value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathWord(pub String);

impl FromPath for PathWord {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        if text.is_empty() || text.len() > KEY_BYTES {
            return Err(bad_name(
                text,
                InvalidName { kind: "name of a signal or key of a run", rule: "1 to 255 bytes" },
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A customer of a budget: 1 to 256 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetCustomer(pub String);

impl FromPath for BudgetCustomer {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        if text.is_empty() || text.len() > CUSTOMER_BYTES {
            return Err(bad_name(text, InvalidName { kind: "customer", rule: "1 to 256 bytes" }));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A key of a deployment's state: 1 to 512 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateKey(pub String);

impl FromPath for StateKey {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        if text.is_empty() || text.len() > STATE_KEY_BYTES {
            return Err(bad_name(text, InvalidName { kind: "key of a deployment's state", rule: "1 to 512 bytes" }));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromPath for PeriodName {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        text.parse().map_err(|why| Problem::new(Code::BadName, format!("`{}` is {why}", quoted(text))))
    }
}

impl FromPath for Revision {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        text.parse()
            .map(Self::new)
            .map_err(|_| bad_name(text, InvalidName { kind: "revision", rule: "a whole number from 1" }))
    }
}

/// The index of an item in a list that counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxIndex(pub u64);

impl FromPath for InboxIndex {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        let rule = "a whole number from 0";
        text.parse().map(Self).map_err(|_| bad_name(text, InvalidName { kind: "place", rule }))
    }
}

/// The number of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingNumber(pub u64);

impl FromPath for FindingNumber {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        let rule = "a whole number from 0";
        text.parse().map(Self).map_err(|_| bad_name(text, InvalidName { kind: "finding", rule }))
    }
}

/// The number of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncidentNumber(pub u64);

impl FromPath for IncidentNumber {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        let text = params.next().unwrap_or_default();
        let rule = "a whole number from 0";
        text.parse().map(Self).map_err(|_| bad_name(text, InvalidName { kind: "incident", rule }))
    }
}

impl<A: FromPath, B: FromPath> FromPath for (A, B) {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        Ok((A::from_path(params)?, B::from_path(params)?))
    }
}

impl<A: FromPath, B: FromPath, C: FromPath> FromPath for (A, B, C) {
    fn from_path(params: &mut dyn Iterator<Item = &str>) -> ApiResult<Self> {
        Ok((A::from_path(params)?, B::from_path(params)?, C::from_path(params)?))
    }
}

impl<T: FromPath, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> ApiResult<Self> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|why| Problem::new(Code::BadName, "the path is not UTF-8 once it is decoded").log(why))?;
        T::from_path(&mut params.iter().map(|(_, value)| value)).map(PathParams)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn paths_of_any_content_never_panic(parts in prop::collection::vec("\\PC{0,80}", 0..3)) {
            fn read<T: FromPath>(parts: &[String]) { let _ = T::from_path(&mut parts.iter().map(String::as_str)); }
            read::<DeploymentName>(&parts);
            read::<ComponentDigest>(&parts);
            read::<RunId>(&parts);
            read::<PeriodName>(&parts);
            read::<Revision>(&parts);
            read::<(ModuleName, ModuleVersion)>(&parts);
            read::<(DeploymentName, PathWord, PathWord)>(&parts);
            read::<(DeploymentName, StateKey)>(&parts);
            read::<(DeploymentName, BudgetName, BudgetCustomer)>(&parts);
        }
    }
}
