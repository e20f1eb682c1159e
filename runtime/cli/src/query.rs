//! The query of a request.

use std::fmt::Display;

use crate::client::encoded;

/// The parameters of a request's query, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(String);

impl Query {
    /// A query with one parameter.
    pub fn of(name: &str, value: impl Display) -> Self {
        Self::default().with(name, value)
    }

    /// Adds a parameter.
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&encoded(&value.to_string()));
        self
    }

    /// Adds a parameter for each value. An option is at most one value.
    pub fn with_each<T: Display>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        values.into_iter().fold(self, |query, value| query.with(name, value))
    }

    /// Returns a path with this query.
    pub fn of_path(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_in_order() {
        let query = Query::of("label", "a=b").with_each("state", ["queued", "parked"]).with_each("code", None::<&str>);
        assert_eq!(query.of_path("/v1/runs"), "/v1/runs?label=a%3Db&state=queued&state=parked");
        assert_eq!(Query::default().of_path("/v1/runs"), "/v1/runs");
    }
}
