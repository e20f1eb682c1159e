//! Resolves the name of a run on the command line: its id, the beginning or the end of it, `last`,
//! or `deployment/key`.

use tidemill_api_types::Run;
use tidemill_core::{RunId, Timestamp};

use crate::client::{Client, encoded};
use crate::error::CliError;
use crate::printer::clean;
use crate::query::Query;

/// Length of an id, in characters; the first ten encode its time.
const ID_CHARS: usize = 26;
const TIME_CHARS: usize = 10;
/// Number of newest runs that are searched for the end of an id.
const SEARCHED: usize = 2_000;
/// Maximum number of runs that a refusal names.
const NAMED: usize = 5;
/// The alphabet of ids: Crockford's base 32.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Resolves the names of several runs.
///
/// # Errors
/// The same as [`id`].
pub async fn ids(named: &[String], client: &Client) -> Result<Vec<String>, CliError> {
    let mut ids = Vec::with_capacity(named.len());
    for name in named {
        ids.push(id(name, client).await?);
    }
    Ok(ids)
}

/// Resolves the name of a run to its id.
///
/// # Errors
/// If no run, or more than one, has that name; an error of the host.
pub async fn id(name: &str, client: &Client) -> Result<String, CliError> {
    if name.parse::<RunId>().is_ok() {
        return Ok(name.to_owned());
    }
    if let Some((deployment, key)) = name.split_once('/') {
        return of_deployment(deployment, key, client).await;
    }
    if name == "last" {
        return newest("/v1/runs", client).await?.ok_or_else(|| none(name, "there are no runs"));
    }
    let part = name.trim_matches(['.', '…']).to_ascii_lowercase();
    if !is_id_part(&part) {
        return Err(none(name, "it is no part of an id"));
    }
    let mut found = by_beginning(&part, client).await?;
    if found.is_empty() {
        let runs: Vec<Run<'static>> = client.list("/v1/runs", SEARCHED).await?;
        found = runs.into_iter().map(|run| run.id.to_string()).filter(|id| id.ends_with(&part)).collect();
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(none(name, &format!("no id begins with it, and none of the newest {SEARCHED} ends with it"))),
        several => {
            let named: Vec<_> = several.iter().take(NAMED).map(|id| clean(id)).collect();
            let more = if several.len() > NAMED { ", …" } else { "" };
            Err(CliError::usage(
                format!("`{}` names more than one run: {}{more}", clean(name), named.join(", ")),
                "write more of the id",
            ))
        }
    }
}

/// Returns whether the text may be the beginning or the end of an id.
#[must_use]
pub fn is_id_part(text: &str) -> bool {
    (1..ID_CHARS).contains(&text.len()) && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

async fn of_deployment(deployment: &str, key: &str, client: &Client) -> Result<String, CliError> {
    let path = format!("/v1/deployments/{}/keys/{}", encoded(deployment), encoded(key));
    match client.get::<Run<'static>>(&path).await {
        Ok(run) => Ok(run.id.to_string()),
        Err(error) if key == "last" && error.code() == Some("host/run-not-found") => {
            let path = Query::of("deployment", deployment).of_path("/v1/runs");
            let none = || none(&format!("{deployment}/last"), "the deployment has no runs");
            newest(&path, client).await?.ok_or_else(none)
        }
        Err(error) => Err(error),
    }
}

async fn newest(path: &str, client: &Client) -> Result<Option<String>, CliError> {
    let runs: Vec<Run<'static>> = client.list(path, 1).await?;
    Ok(runs.into_iter().next().map(|run| run.id.to_string()))
}

/// Ids begin with their time, so ids with the same beginning were created within one time range.
async fn by_beginning(part: &str, client: &Client) -> Result<Vec<String>, CliError> {
    let Some((since, until)) = span(part) else { return Ok(Vec::new()) };
    let until = (until <= Timestamp::MAX).then(|| until.to_rfc3339());
    let path = Query::of("since", since.to_rfc3339()).with_each("until", until).of_path("/v1/runs");
    // A short beginning matches many runs; two are enough to know that it is ambiguous.
    let most = if part.len() > TIME_CHARS { SEARCHED } else { NAMED + 1 };
    let runs: Vec<Run<'static>> = client.list(&path, most).await?;
    Ok(runs.into_iter().map(|run| run.id.to_string()).filter(|id| id.starts_with(part)).collect())
}

/// Returns the time range in which ids with that beginning were created; `None` if it exceeds the
/// range of times.
fn span(part: &str) -> Option<(Timestamp, Timestamp)> {
    let digit = |byte: u8| ALPHABET.iter().position(|known| *known == byte).and_then(|at| u64::try_from(at).ok());
    let time = part.bytes().take(TIME_CHARS).try_fold(0_u64, |time, byte| Some(time << 5 | digit(byte)?))?;
    let open = 5 * u32::try_from(TIME_CHARS.saturating_sub(part.len())).ok()?;
    let since = Timestamp::from_millis(time.checked_shl(open)?);
    let until = Timestamp::from_millis(since.as_millis().checked_add(1_u64.checked_shl(open)?)?);
    (since <= Timestamp::MAX).then_some((since, until))
}

fn none(name: &str, why: &str) -> CliError {
    CliError::Failed {
        code: Some(tidemill_core::Code::RunNotFound.as_str().to_owned()),
        message: format!("no run is named `{}`: {why}", clean(name)),
        fix: Some("see `tidemill runs list`; write an id, its beginning or end, `last`, or DEPLOYMENT/KEY".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_of_an_id_has_its_alphabet() {
        for good in ["0", "01kakq3vj6", "h1n"] {
            assert!(is_id_part(good), "{good}");
        }
        for bad in ["", "limit-fuel", "u", "01kakq3vj6x0cm4kd9be2f7h1n", "Ü"] {
            assert!(!is_id_part(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn each_beginning_of_an_id_covers_its_creation_time(
            millis in 0..=Timestamp::MAX.as_millis(), random in any::<u128>(), length in 1_usize..26,
        ) {
            let at = Timestamp::from_millis(millis);
            let id = RunId::new(at, random).to_string();
            let (since, until) = span(&id[..length]).unwrap();
            prop_assert!(since <= at && at < until, "{since} {at} {until}");
        }

        #[test]
        fn parts_of_any_content_never_panic(part in "[0-9a-z]{1,25}") {
            let _ = span(&part);
        }
    }
}
