//! The initial world of a test and the configuration of its deployment.

use super::grants::Grants;
use super::limits::Limits;
use super::web::Route;
use super::world::OperatedDeployment;
use crate::bindings::imports::tidemill::guest::types::Failure as WitFailure;
use crate::context::Trigger;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use tidemill_core::manifest::LedgerPolicy;
use tidemill_core::retry::RunRetry;

pub(super) type DeployedFunction = Rc<dyn Fn(&str) -> Result<String, WitFailure>>;
type Sign = Rc<dyn Fn(&str, &str, &[u8]) -> Vec<u8>>;

/// The configured world.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) name: String,
    pub(super) config: Value,
    pub(super) trigger: Trigger,
    pub(super) retry: RunRetry,
    pub(super) ledger: LedgerPolicy,
    /// `None` if everything is granted.
    pub(super) grants: Option<Grants>,
    pub(super) limits: Limits,
    pub(super) begins_at: u64,
    pub(super) state: BTreeMap<String, Vec<u8>>,
    pub(super) routes: Vec<Route>,
    pub(super) signals: Vec<(u64, String, Value)>,
    pub(super) deployments: BTreeMap<String, DeployedFunction>,
    /// The deployments that the run can act on, by name.
    pub(super) operated: BTreeMap<String, OperatedDeployment>,
    pub(super) sign: Option<Sign>,
    pub(super) cancel_at: Option<u64>,
    pub(super) cancel_after: Option<u64>,
    pub(super) generations: u32,
}
