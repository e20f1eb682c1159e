//! What opens, closes or is judged again at a time, as it is stored.

use serde::{Deserialize, Serialize};
use tidemill_core::money::LedgerStream;

/// What happens at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DueChange {
    /// The invoice becomes a finding.
    Clearing {
        /// Whether its streams are on paper.
        paper: bool,
        /// The invoice.
        invoice: String,
        /// The currency.
        currency: String,
    },
    /// The time of an entry is past, which explains it.
    Past {
        /// Whether its stream is on paper.
        paper: bool,
        /// The stream of the entry.
        stream: LedgerStream,
        /// The external id of the entry.
        external_id: String,
    },
    /// A grant of an account that is below its floor begins.
    Floor {
        /// The key of the account.
        account: Vec<u8>,
    },
    /// A budget has changed, so its findings are judged again.
    Budget {
        /// Whether these are findings about streams on paper.
        paper: bool,
        /// The stream of the deployment.
        stream: LedgerStream,
        /// The budget.
        budget: String,
        /// The key of the last finding that was judged.
        after: Option<Vec<u8>>,
    },
    /// A budget of fuel has changed, so the runs that wait for it are woken.
    FuelWaits {
        /// The start of the range of their rows.
        start: Vec<u8>,
        /// The end of the range, which it does not contain.
        end: Vec<u8>,
    },
}
