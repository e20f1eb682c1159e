//! Exports of the ledger: a consistent cut as JSON Lines, CSV or Beancount.
//!
//! Entries never change, so the entries up to a sequence number are the same at any time, and so
//! are the bytes of an export that ends with it. The answer is streamed in batches.

use std::io;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use tidemill_core::money::report::export::{BeancountWriter, CsvWriter, ExportEntry};
use tidemill_core::money::{Account, LedgerStream};
use tidemill_store::records::LedgerEntry;

use super::{Amounts, check_known, json};
use crate::problem::ApiResult;
use crate::request::{QueryParams, RawQuery, bad};
use crate::state::ApiState;

/// The header that names the last entry of the cut.
const SEQUENCE: HeaderName = HeaderName::from_static("ledger-sequence");
/// Number of entries that are read at once.
const BATCH: usize = 500;

/// Exports the entries of the ledger
///
/// The header `Ledger-Sequence` names the last entry of the cut. The same `until` gives the same
/// bytes. Streams on paper are left out.
#[utoipa::path(
    get, path = "/v1/ledger/export", tag = "ledger",
    params(
        ("format" = Option<String>, Query, description = "`jsonl` (if left out), `csv` or `beancount`"),
        ("stream" = Option<String>, Query, description = "of this stream; all if left out"),
        ("until" = Option<u64>, Query, description = "up to this sequence number; the last entry if left out"),
        ("paper" = Option<bool>, Query, description = "streams on paper instead"),
        ("raw" = Option<bool>, Query, description = "in CSV, without a `'` before texts that a spreadsheet would run"),
    ),
    responses((
        status = 200,
        content((String = "application/x-ndjson"), (String = "text/csv"), (String = "text/plain")),
        description = "the entries in the format",
    ))
)]
pub async fn export(State(state): State<ApiState>, query: RawQuery) -> ApiResult<Response> {
    let params = query.only(&["format", "stream", "until", "paper", "raw"])?;
    let writer = writer(&params)?;
    let stream = params.parsed::<LedgerStream>("stream")?;
    check_known(&state, stream.as_ref()).await?;
    let last = state.host.store().ledger_head().await?.sequence;
    let until = params.parsed::<u64>("until")?.map_or(last, |until| until.min(last));
    let content_type = writer.content_type();
    let cut = Cut {
        amounts: Amounts::of(&state).await?,
        paper: params.flag("paper")?,
        state,
        writer: Some(writer),
        stream,
        next: 0,
        until,
    };
    let pieces = stream::try_unfold(cut, Cut::piece);
    let mut response = (StatusCode::OK, Body::from_stream(pieces)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(SEQUENCE, HeaderValue::from(until));
    Ok(response)
}

fn writer(params: &QueryParams) -> ApiResult<Writer> {
    let raw = params.flag("raw")?;
    match params.text("format")? {
        None | Some("jsonl") => Ok(Writer::Lines),
        Some("csv") => Ok(Writer::Csv(CsvWriter::new(raw))),
        Some("beancount") => Ok(Writer::Beancount(BeancountWriter::default())),
        Some(other) => Err(bad("format", other, "it is `jsonl`, `csv` or `beancount`")),
    }
}

/// A format, with what it keeps between entries.
enum Writer {
    Lines,
    Csv(CsvWriter),
    Beancount(BeancountWriter),
}

impl Writer {
    const fn content_type(&self) -> HeaderValue {
        match self {
            Self::Lines => HeaderValue::from_static("application/x-ndjson"),
            Self::Csv(_) => HeaderValue::from_static("text/csv; charset=utf-8"),
            Self::Beancount(_) => HeaderValue::from_static("text/plain; charset=utf-8"),
        }
    }

    fn head(&self, out: &mut Vec<u8>, until: u64) -> io::Result<()> {
        match self {
            Self::Lines => Ok(()),
            Self::Csv(writer) => writer.head(out),
            Self::Beancount(writer) => {
                writer.head(out, until);
                Ok(())
            }
        }
    }

    fn entries(&mut self, out: &mut Vec<u8>, entries: &[LedgerEntry], amounts: &Amounts) -> io::Result<()> {
        match self {
            Self::Lines => {
                for entry in entries {
                    serde_json::to_writer(&mut *out, &json::entry(entry, amounts))?;
                    out.push(b'\n');
                }
                Ok(())
            }
            Self::Csv(writer) => writer.rows(out, entries.iter().map(|entry| view(entry, amounts))),
            Self::Beancount(writer) => {
                entries.iter().for_each(|entry| writer.entry(out, &view(entry, amounts)));
                Ok(())
            }
        }
    }

    fn end(self, out: &mut Vec<u8>) {
        if let Self::Beancount(writer) = self {
            writer.end(out);
        }
    }
}

/// The part of a cut that is still to be written.
struct Cut {
    state: ApiState,
    amounts: Amounts,
    /// `None` after the end.
    writer: Option<Writer>,
    stream: Option<LedgerStream>,
    paper: bool,
    /// The next sequence number; 0 before the head.
    next: u64,
    until: u64,
}

impl Cut {
    /// Writes the next piece; `None` after the last one.
    async fn piece(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        let mut out = Vec::new();
        if self.next == 0 {
            writer.head(&mut out, self.until)?;
            self.next = 1;
        }
        if self.next > self.until {
            writer.end(&mut out);
            return Ok(Some((out.into(), self)));
        }
        let range = self.next..self.until.saturating_add(1);
        let store = self.state.host.store();
        let mut entries = store.entries_in(range, BATCH).await.map_err(io::Error::other)?;
        let Some(last) = entries.last().map(|entry| entry.sequence) else {
            return Err(io::Error::other(format!("entry {} is missing", self.next)));
        };
        entries.retain(|entry| {
            entry.paper == self.paper && self.stream.as_ref().is_none_or(|stream| *stream == entry.stream)
        });
        writer.entries(&mut out, &entries, &self.amounts)?;
        self.next = last + 1;
        self.writer = Some(writer);
        Ok(Some((out.into(), self)))
    }
}

fn view<'a>(entry: &'a LedgerEntry, amounts: &Amounts) -> ExportEntry<'a> {
    let leg = |(account, minor_units): (&str, i64)| Some((Account::parse(account)?, minor_units));
    ExportEntry {
        sequence: entry.sequence,
        id: &entry.id,
        stream: entry.stream.as_str(),
        external_id: &entry.external_id,
        call: entry.call.as_str(),
        kind: &entry.kind,
        minor_units: entry.posted_units(),
        pending: entry.pending_units(),
        currency: &entry.currency,
        exponent: amounts.exponent(&entry.currency).unwrap_or_default(),
        net_revenue: entry.net_revenue,
        occurred_at: entry.occurred_at,
        posted_at: entry.posted_at,
        customer: entry.customer.as_deref(),
        description: &entry.description,
        metadata: &entry.metadata,
        of: entry.of.as_deref(),
        legs: entry.legs.iter().filter_map(|one| leg((&one.account, one.minor_units))).collect(),
        run: entry.run.map(|run| run.to_string()),
        late: entry.late,
    }
}
