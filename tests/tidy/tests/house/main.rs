//! Rules for names, structure and prose. Each rule has a list of present offenders in
//! `tests/tidy/allowed`. A list only shrinks: an entry that no longer applies fails the test, too.
//! `TIDEMILL_BLESS=1 cargo test -p tidemill-tidy` removes such entries and lowers the counts.

#![allow(clippy::unwrap_used, reason = "tests")]

mod allowed;
mod imports;
mod prose;
mod structure;
mod types;
