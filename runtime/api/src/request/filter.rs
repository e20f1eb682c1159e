//! The fields of a filter. Each filter is written once, for the query of a list and for the body of
//! an action.

use std::str::FromStr;

use tidemill_core::Timestamp;
use tidemill_core::ids::InvalidName;
use tidemill_core::wire::{InputProblem, ObjectField, ObjectReader};

use crate::config::LABELS;
use crate::problem::{ApiResult, Problem, nearest};
use crate::request::query::{QueryParams, bad, label};

/// Maximum length of a label, `NAME=VALUE`, in bytes.
const LABEL_BYTES: usize = 63 + 1 + 255;

/// Why a word of a filter is refused, and what to write instead.
#[derive(Debug)]
pub struct BadWord {
    /// The reason.
    pub message: String,
    /// The fix.
    pub fix: String,
}

/// Returns the refusal of a word that is not in `known`. `what` names its kind, such as "state".
pub fn unknown_word(what: &str, text: &str, known: &[&str]) -> BadWord {
    let fix = match nearest(text, known) {
        Some(near) => format!("Did you mean `{near}`?"),
        None => format!("Use one of {}.", known.join(", ")),
    };
    BadWord { message: format!("there is no such {what}"), fix }
}

/// The bounds of a list of words.
#[derive(Debug, Clone, Copy)]
pub struct WordBounds {
    /// Maximum number of words.
    pub count: usize,
    /// Maximum length of each, in bytes.
    pub bytes: usize,
}

/// The fields of a filter, in a query or in a body. A field that is missing or refused is empty;
/// the reader of the filter reports refusals.
pub trait FilterFields {
    /// Takes a name.
    fn name<T: FromStr<Err = InvalidName>>(&mut self, name: &'static str) -> Option<T>;
    /// Takes a time.
    fn time(&mut self, name: &'static str) -> Option<Timestamp>;
    /// Takes a text of 1 to `most` bytes without NUL.
    fn text(&mut self, name: &'static str, most: usize) -> Option<String>;
    /// Takes one word or several. In a query, commas separate them.
    fn words<T: PartialEq>(
        &mut self,
        name: &'static str,
        bounds: WordBounds,
        read: impl Fn(&str) -> Result<T, BadWord>,
    ) -> Vec<T>;
    /// Takes the labels in `label`, each `NAME=VALUE`.
    fn labels(&mut self) -> Vec<(String, String)>;
}

/// Reads the filter in a query.
///
/// # Errors
/// [`tidemill_core::Code::BadQuery`], with the first refusal.
pub fn of_query<'a, T>(params: &'a QueryParams, read: impl FnOnce(&mut QueryFields<'a>) -> T) -> ApiResult<T> {
    let mut fields = QueryFields { params, refusal: None };
    let filter = read(&mut fields);
    fields.refusal.map_or(Ok(filter), Err)
}

/// Reads the filter in a body. One without a field is refused with `empty`, because it would match
/// everything.
pub fn of_body<'a, T>(
    field: ObjectField,
    empty: &BadWord,
    problems: &'a mut Vec<InputProblem>,
    read: impl FnOnce(&mut BodyFields<'a>) -> T,
) -> Option<T> {
    let (pointer, before) = (field.pointer.clone(), problems.len());
    let mut fields = BodyFields { object: field.object(problems)?, is_named: false, problems };
    let filter = read(&mut fields);
    let BodyFields { object, is_named, problems } = fields;
    object.finish(problems);
    if !is_named && problems.len() == before {
        problems.push(InputProblem::field(pointer, &empty.message, &empty.fix));
    }
    (problems.len() == before).then_some(filter)
}

/// The fields of a filter in a query.
#[derive(Debug)]
pub struct QueryFields<'a> {
    params: &'a QueryParams,
    refusal: Option<Problem>,
}

impl QueryFields<'_> {
    fn noted<T>(&mut self, result: ApiResult<Option<T>>) -> Option<T> {
        result.unwrap_or_else(|refusal| {
            self.refusal.get_or_insert(refusal);
            None
        })
    }
}

impl FilterFields for QueryFields<'_> {
    fn name<T: FromStr<Err = InvalidName>>(&mut self, name: &'static str) -> Option<T> {
        self.noted(self.params.parsed(name))
    }

    fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        self.noted(self.params.time(name))
    }

    fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        let checked = self.params.text(name).and_then(|text| match text {
            Some(text) if !is_text(text, most) => Err(bad(name, text, text_rule(most))),
            text => Ok(text.map(str::to_owned)),
        });
        self.noted(checked)
    }

    fn words<T: PartialEq>(
        &mut self,
        name: &'static str,
        bounds: WordBounds,
        read: impl Fn(&str) -> Result<T, BadWord>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for (count, text) in self.params.all(name).flat_map(|text| text.split(',')).enumerate() {
            let refusal = if count == bounds.count {
                bad(name, text, format_args!("there are more than {}", bounds.count))
            } else if text.len() > bounds.bytes {
                bad(name, text, format_args!("it has more than {} bytes", bounds.bytes))
            } else {
                match read(text) {
                    Ok(word) => {
                        add(&mut found, word);
                        continue;
                    }
                    Err(refusal) => bad(name, text, refusal.message).fix(refusal.fix),
                }
            };
            self.refusal.get_or_insert(refusal);
            break;
        }
        found
    }

    fn labels(&mut self) -> Vec<(String, String)> {
        let labels = self.params.labels().map(Some);
        self.noted(labels).unwrap_or_default()
    }
}

/// The fields of a filter in a body.
#[derive(Debug)]
pub struct BodyFields<'a> {
    object: ObjectReader,
    is_named: bool,
    problems: &'a mut Vec<InputProblem>,
}

impl BodyFields<'_> {
    fn take(&mut self, name: &'static str) -> Option<ObjectField> {
        let field = self.object.take(name);
        self.is_named |= field.is_some();
        field
    }
}

impl FilterFields for BodyFields<'_> {
    fn name<T: FromStr<Err = InvalidName>>(&mut self, name: &'static str) -> Option<T> {
        self.take(name)?.parse(self.problems)
    }

    fn time(&mut self, name: &'static str) -> Option<Timestamp> {
        self.take(name)?.time(self.problems)
    }

    fn text(&mut self, name: &'static str, most: usize) -> Option<String> {
        let field = self.take(name)?;
        let pointer = field.pointer.clone();
        let text = field.text(most, self.problems)?;
        if is_text(&text, most) {
            return Some(text);
        }
        self.problems.push(InputProblem::field(pointer, text_rule(most), "Write the whole text, without NUL."));
        None
    }

    fn words<T: PartialEq>(
        &mut self,
        name: &'static str,
        bounds: WordBounds,
        read: impl Fn(&str) -> Result<T, BadWord>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        let Some(field) = self.take(name) else { return found };
        for field in field.one_or_many(bounds.count, self.problems).unwrap_or_default() {
            let pointer = field.pointer.clone();
            let Some(text) = field.text(bounds.bytes, self.problems) else { continue };
            match read(&text) {
                Ok(word) => add(&mut found, word),
                Err(BadWord { message, fix }) => self.problems.push(InputProblem::field(pointer, message, fix)),
            }
        }
        found
    }

    fn labels(&mut self) -> Vec<(String, String)> {
        self.take("label").map(|field| labels_of(field, self.problems)).unwrap_or_default()
    }
}

/// Parses the labels in a field of a body, each `NAME=VALUE`; a single label needs no array.
pub fn labels_of(field: ObjectField, problems: &mut Vec<InputProblem>) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for field in field.one_or_many(LABELS, problems).unwrap_or_default() {
        let pointer = field.pointer.clone();
        let Some(text) = field.text(LABEL_BYTES, problems) else { continue };
        match label(&text) {
            Some(label) => labels.push(label),
            None => problems.push(InputProblem::field(
                pointer,
                "this is no label",
                "Write NAME=VALUE, of at most 63 and 255 bytes.",
            )),
        }
    }
    labels
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.contains('\0')
}

fn text_rule(most: usize) -> String {
    format!("it has 1 to {most} bytes")
}

fn add<T: PartialEq>(words: &mut Vec<T>, word: T) {
    if !words.contains(&word) {
        words.push(word);
    }
}
