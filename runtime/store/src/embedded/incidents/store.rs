//! The part of the store's contract about incidents.

use async_trait::async_trait;
use tidemill_core::DeploymentName;
use tidemill_core::healing::{Incident, TimelineEntry};

use super::record;
use crate::embedded::runs;
use crate::embedded::store::EmbeddedStore;
use crate::embedded::tables::{INCIDENTS, INCIDENTS_BY_DEPLOYMENT, ROUTES};
use crate::embedded::tx::ReadTx;
use crate::error::Result;
use crate::records::{
    IncidentFilter, IncidentUpdate, NewIncident, NewRun, Page, PageRequest, RunRequestResult, StandbyRoute,
};
use crate::traits::IncidentStore;

/// Maximum number of incidents that a page reads to fill itself.
const READ_MAX: usize = 2_000;

#[async_trait]
impl IncidentStore for EmbeddedStore {
    async fn open_incident(&self, new: NewIncident) -> Result<Incident> {
        self.commit(move |c| record::open(c, &new)).await
    }

    async fn update_incident(&self, update: IncidentUpdate) -> Result<Incident> {
        self.commit(move |c| record::update(c, &update)).await
    }

    async fn start_runbook(&self, update: IncidentUpdate, run: NewRun) -> Result<(Incident, RunRequestResult)> {
        self.commit(move |c| {
            let requested = runs::request(c, &run)?;
            Ok((record::update(c, &update)?, requested))
        })
        .await
    }

    async fn route_runs(&self, update: IncidentUpdate, to: Option<StandbyRoute>) -> Result<Incident> {
        self.commit(move |c| {
            if let Some(name) = &update.incident.deployment {
                match &to {
                    Some(route) => c.put_record(ROUTES, name.as_str().as_bytes(), route)?,
                    None => c.delete(ROUTES, name.as_str().as_bytes()),
                }
            }
            record::update(c, &update)
        })
        .await
    }

    async fn routes(&self) -> Result<Vec<(DeploymentName, StandbyRoute)>> {
        self.latest().named_records(ROUTES)
    }

    async fn incident(&self, number: u64) -> Result<Option<Incident>> {
        record::get(self.latest(), number)
    }

    async fn last_incident(&self, deployment: Option<&DeploymentName>) -> Result<Option<Incident>> {
        record::last(self.latest(), deployment)
    }

    async fn incidents(&self, filter: IncidentFilter, page: PageRequest) -> Result<Page<Incident>> {
        let store = self.snapshot();
        let (table, prefix) = match &filter.deployment {
            Some(name) => (INCIDENTS_BY_DEPLOYMENT, record::scope(Some(name), &[])),
            None => (INCIDENTS, Vec::new()),
        };
        let (mut items, mut cursor, mut read) = (Vec::new(), page.cursor, 0);
        while items.len() < page.limit && read < READ_MAX {
            // A cursor is a number: the last one that was read.
            let from = cursor.take().map(|number| [&prefix[..], &number].concat());
            let rows = store.page(table, &prefix, true, &PageRequest { cursor: from, limit: page.limit })?;
            for (key, _) in &rows.items {
                let Some(number) = record::number_at_end(key) else { continue };
                read += 1;
                let found = record::get(&store, number)?.filter(|incident| filter.selects(incident));
                items.extend(found);
                cursor = Some(number.to_be_bytes().to_vec());
                if items.len() == page.limit {
                    break;
                }
            }
            if rows.next.is_none() && items.len() < page.limit {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: cursor })
    }

    async fn timeline(&self, number: u64) -> Result<Vec<TimelineEntry>> {
        record::timeline(&self.snapshot(), number)
    }
}
