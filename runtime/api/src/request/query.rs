//! Parses the query of a request: rejects unknown parameters, and gives each a type.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tidemill_core::{Code, Timestamp};

use crate::config::{LABELS, PAGE_DEFAULT, PAGE_MOST};
use crate::problem::{ApiResult, Problem, nearest, quoted};

/// Maximum number of parameters: enough for every filter with all of its values.
const MOST: usize = 128;

/// The unchecked query. Its values are accessible only after [`RawQuery::only`] has checked the
/// names.
#[derive(Debug)]
pub struct RawQuery(Vec<(String, String)>);

/// A query with known names only.
#[derive(Debug)]
pub struct QueryParams(Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for RawQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> ApiResult<Self> {
        Self::read(parts.uri.query().unwrap_or_default())
    }
}

impl RawQuery {
    /// Parses `name=value&…`, percent-encoded.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if there are more than 128 parameters.
    pub fn read(query: &str) -> ApiResult<Self> {
        if query.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let pairs: Vec<_> =
            form_urlencoded::parse(query.as_bytes()).take(MOST + 1).map(|(k, v)| (k.into(), v.into())).collect();
        if pairs.len() > MOST {
            return Err(Problem::new(Code::BadQuery, format!("the query has more than {MOST} parameters")));
        }
        Ok(Self(pairs))
    }

    /// Returns the parameters if all of their names are `known`.
    ///
    /// # Errors
    /// [`Code::BadQuery`] with the nearest known name.
    pub fn only(self, known: &[&str]) -> ApiResult<QueryParams> {
        if let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let problem = Problem::new(Code::BadQuery, format!("there is no parameter `{}` here", quoted(name)));
            return Err(match nearest(name, known) {
                Some(near) => problem.fix(format!("Did you mean `{near}`?")),
                None if known.is_empty() => problem.fix("Omit the query: this path has none."),
                None => problem.fix(format!("Use one of {}.", known.join(", "))),
            });
        }
        Ok(QueryParams(self.0))
    }
}

/// Builds the refusal of the parameter `name`; `why` is the reason.
pub fn bad(name: &str, value: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(Code::BadQuery, format!("`{name}={}`: {why}", quoted(value)))
}

impl QueryParams {
    /// Returns every value of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a parameter that may occur once.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if it is repeated.
    pub fn text(&self, name: &str) -> ApiResult<Option<&str>> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() {
            return Err(Problem::new(Code::BadQuery, format!("`{name}` occurs more than once")));
        }
        Ok(first)
    }

    /// Parses the value as a `T`.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if it is repeated or is not a `T`.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> ApiResult<Option<T>> {
        self.text(name)?.map(|value| value.parse().map_err(|why| bad(name, value, why))).transpose()
    }

    /// Parses `true` or `false`; a missing name is false. A name without a value is refused,
    /// because it may come from an empty variable.
    ///
    /// # Errors
    /// [`Code::BadQuery`] for anything else.
    pub fn flag(&self, name: &str) -> ApiResult<bool> {
        match self.text(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad(name, other, "it is `true` or `false`")),
        }
    }

    /// Parses a time in RFC 3339.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if it is not a time.
    pub fn time(&self, name: &str) -> ApiResult<Option<Timestamp>> {
        self.text(name)?
            .map(|value| {
                Timestamp::parse_rfc3339(value)
                    .filter(|time| *time <= Timestamp::MAX)
                    .ok_or_else(|| bad(name, value, "it is not a time such as `2026-01-31T12:00:00Z`"))
            })
            .transpose()
    }

    /// Returns the maximum number of items on a page.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if it is not between 1 and 500.
    pub fn limit(&self) -> ApiResult<usize> {
        self.number("limit", PAGE_DEFAULT, PAGE_MOST)
    }

    /// Parses a number from 1 to `most`.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if it is out of range.
    pub fn number(&self, name: &str, default: usize, most: usize) -> ApiResult<usize> {
        match self.text(name)? {
            None => Ok(default),
            Some(text) => match text.parse() {
                Ok(number @ 1..) if number <= most => Ok(number),
                _ => Err(bad(name, text, format!("it is a whole number from 1 to {most}"))),
            },
        }
    }

    /// Returns every `label=name=value`.
    ///
    /// # Errors
    /// [`Code::BadQuery`] if there are more than sixteen, or one has no `=`, is too long or is
    /// repeated.
    pub fn labels(&self) -> ApiResult<Vec<(String, String)>> {
        let mut labels: Vec<(String, String)> = Vec::new();
        for text in self.all("label") {
            let (name, value) =
                label(text).ok_or_else(|| bad("label", text, "it is NAME=VALUE, of at most 63 and 255 bytes"))?;
            if labels.iter().any(|(known, _)| *known == name) {
                return Err(bad("label", text, "this label is there twice"));
            }
            if labels.len() == LABELS {
                return Err(bad("label", text, format!("there may be {LABELS} labels")));
            }
            labels.push((name, value));
        }
        Ok(labels)
    }
}

/// Parses a label `NAME=VALUE`; `None` if it is not a label, or if the name or the value is too
/// long.
pub fn label(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let fits = !name.is_empty() && name.len() <= 63 && value.len() <= 255;
    fits.then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["limit", "cursor", "since", "label", "follow", "state"];

    #[test]
    fn an_unknown_parameter_is_refused_with_the_nearest_name() {
        let problem = RawQuery::read("limti=5").unwrap().only(KNOWN).unwrap_err();
        assert_eq!(problem.code(), "host/bad-query");
        assert_eq!(problem.body().fix, "Did you mean `limit`?");
    }

    #[test]
    fn values_have_types_and_bounds() {
        let read = |text: &str| RawQuery::read(text).unwrap().only(KNOWN).unwrap();
        assert_eq!(read("").limit().unwrap(), PAGE_DEFAULT);
        assert_eq!(read("limit=7").limit().unwrap(), 7);
        for bad in ["limit=0", "limit=501", "limit=x", "limit=", "limit=1&limit=2", "limit=-1"] {
            assert!(read(bad).limit().is_err(), "{bad}");
        }
        assert!(read("follow=true").flag("follow").unwrap());
        assert!(!read("follow=false").flag("follow").unwrap() && !read("").flag("follow").unwrap());
        for bad in ["follow", "follow=", "follow=maybe", "follow=True", "follow=1"] {
            assert!(read(bad).flag("follow").is_err(), "{bad}");
        }
        assert_eq!(read("label=a%3Db").labels().unwrap(), [("a".to_owned(), "b".to_owned())]);
        assert!(read("label=a").labels().is_err());
        assert!(read("since=yesterday").time("since").is_err());
        assert!(read("since=2026-01-31T12:00:00%2B01:00").time("since").unwrap().is_some());
    }

    proptest! {
        #[test]
        fn queries_of_any_content_never_panic(query in "[ -~]{0,300}") {
            if let Ok(params) = RawQuery::read(&query)
                && let Ok(params) = params.only(KNOWN)
            {
                let _ = (params.limit(), params.labels(), params.time("since"), params.flag("follow"));
                let _ = params.parsed::<u64>("cursor");
            }
        }

        #[test]
        fn known_parameters_with_any_value_never_panic(name in prop::sample::select(KNOWN), value in "\\PC{0,300}") {
            let query: String = form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
            let params = RawQuery::read(&query).unwrap().only(KNOWN).unwrap();
            prop_assert_eq!(params.text(name).unwrap(), Some(value.as_str()));
            let _ = (params.limit(), params.labels(), params.time("since"), params.flag("follow"));
        }
    }
}
