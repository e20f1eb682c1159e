//! The stable error codes: one for each reason of a refusal or failure of the host.
//!
//! A code keeps its meaning forever, because programs act on it. To add a code, add a line to
//! `list.rs`, write its page `docs/errors/host-NAME.md` (the build needs it), and list it in
//! `docs/errors/README.md` and `docs/src/SUMMARY.md` (tests check this). A code is never renamed or
//! given another meaning. An unused code stays in the list.

mod list;
#[cfg(feature = "host")]
mod sdk;

pub use list::Code;
#[cfg(feature = "host")]
pub use sdk::{SDK_CODES, SdkCode};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The properties of one code.
struct CodeInfo {
    name: &'static str,
    status: u16,
    retryable: bool,
    title: &'static str,
    fix: &'static str,
    #[cfg(feature = "host")]
    page: &'static str,
    page_path: &'static str,
}

macro_rules! codes {
    ($($variant:ident => $name:literal, $status:literal, retryable: $retryable:literal, $title:literal, $fix:literal;)*) => {
        /// A stable error code. Its text is `host/…`; see [`Code::as_str`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(
                #[doc = concat!("`host/", $name, "`: ", $title, ".")]
                $variant,
            )*
        }

        impl Code {
            /// All codes, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(super) const fn facts(self) -> super::CodeInfo {
                match self {
                    $(Self::$variant => super::CodeInfo {
                        name: concat!("host/", $name),
                        status: $status,
                        retryable: $retryable,
                        title: $title,
                        fix: $fix,
                        #[cfg(feature = "host")]
                        page: include_str!(concat!("../../../../docs/errors/host-", $name, ".md")),
                        page_path: concat!("/errors/host-", $name),
                    },)*
                }
            }
        }
    };
}

use codes;

impl Code {
    /// The text of the code, such as `host/limit-fuel`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// The meaning in a few words: the `title` of a problem.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.facts().title
    }

    /// The general fix, as a sentence. A caller that knows the context gives a more specific one.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        self.facts().fix
    }

    /// The HTTP status of a response with this code. The record of a *run* that failed with it has
    /// status 200, because the request succeeded.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.facts().status
    }

    /// Whether the same work may succeed if it is tried again. This is the default for failures.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.facts().retryable
    }

    /// The page of the code, in Markdown.
    #[cfg(feature = "host")]
    #[must_use]
    pub const fn page(self) -> &'static str {
        self.facts().page
    }

    /// The path of the page on a host, such as `/errors/host-limit-fuel`: the `type` of a problem.
    #[must_use]
    pub const fn page_path(self) -> &'static str {
        self.facts().page_path
    }

    /// Whether the guest trapped or reached a limit of its run. The host retries such a run only if
    /// its retry policy has `on_trap`.
    #[must_use]
    pub const fn is_trap_or_limit(self) -> bool {
        matches!(
            self,
            Self::LimitFuel
                | Self::LimitMemory
                | Self::LimitActive
                | Self::LimitLifetime
                | Self::LimitOutput
                | Self::LimitInput
                | Self::LimitHostCall
                | Self::LimitRandom
                | Self::LimitCommit
                | Self::LimitGrace
                | Self::Trap
                | Self::Exited
                | Self::StackOverflow
                | Self::OutputInvalid
        )
    }

    /// The code with this text, or `None` if it is not a code of the host.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// A failure with this code. [`Code::is_retryable`] decides whether it is retryable.
    #[must_use]
    pub fn failure(self, message: impl Into<String>) -> Failure {
        Failure {
            code: self.as_str().to_owned(),
            message: message.into(),
            retryable: self.is_retryable(),
            details: None,
        }
    }

    /// The code whose text is most similar to `text`, with or without `host/`; for
    /// `tidemill explain`.
    #[must_use]
    pub fn nearest(text: &str) -> Option<Self> {
        let text = text.get(..64).unwrap_or(text);
        let text = text.strip_prefix("host/").unwrap_or(text);
        if text.len() > 64 {
            return None;
        }
        Self::ALL
            .iter()
            .map(|code| (strsim::jaro_winkler(text, code.as_str().strip_prefix("host/").unwrap_or_default()), *code))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, code)| code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a code of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code of the host")]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::parse(text).ok_or(UnknownCode)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn pages() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
    }

    #[test]
    fn a_code_is_unique_and_parses_back() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert_eq!(serde_json::from_value::<Code>(serde_json::to_value(code).unwrap()).unwrap(), *code);
        }
    }

    #[test]
    fn a_code_has_a_status_of_the_side_at_fault() {
        for code in Code::ALL {
            assert!((400..600).contains(&code.status()), "{code}");
            if matches!(code.status(), 429 | 503 | 408) && !code.as_str().starts_with("host/store-") {
                assert!(code.is_retryable(), "{code}");
            }
            assert!(!(code.is_trap_or_limit() && code.is_retryable()), "{code}");
        }
    }

    #[test]
    fn a_page_has_its_parts() {
        for code in Code::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
            for part in ["## What happened", "## What to do", "## Common causes"] {
                assert!(page.contains(part), "{code} lacks {part}");
            }
            assert!(code.title().len() < 80 && !code.title().ends_with('.'), "{code}");
            assert!(code.fix().ends_with('.'), "{code}");
            let foot = if code.is_retryable() { "· retryable ·" } else { "· not retryable ·" };
            assert!(page.contains(&format!("Status {} {foot}", code.status())), "{code}");
        }
    }

    #[test]
    fn every_page_has_a_code_and_a_line_in_the_index() {
        let index = std::fs::read_to_string(pages().join("README.md")).unwrap();
        let known: BTreeSet<_> = Code::ALL.iter().map(|code| format!("{}.md", &code.page_path()[8..])).collect();
        for code in Code::ALL {
            assert!(
                index.contains(&format!("[`{code}`]({}.md)", &code.page_path()[8..])),
                "{code} is not in the index"
            );
        }
        for file in std::fs::read_dir(pages()).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let of_the_sdk = SDK_CODES.iter().find(|code| format!("sdk-{}.md", code.name) == name);
            if let Some(code) = of_the_sdk {
                assert!(index.contains(&format!("[`{}`]({name})", code.name)), "{} is not in the index", code.name);
            }
            let is_known = known.contains(&name) || of_the_sdk.is_some();
            assert!(name == "README.md" || is_known, "{name} is not the page of a code");
        }
    }

    /// Adds the Rust files in `folder` and its subfolders to `found`.
    fn sources(folder: PathBuf, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                sources(entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }

    #[test]
    fn every_crate_uses_only_listed_codes() {
        let runtime = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        sources(runtime, &mut files);
        for file in files.iter().filter(|file| !file.ends_with("core/src/codes/mod.rs")) {
            let text = std::fs::read_to_string(file).unwrap();
            for rest in text.split("\"host/").skip(1) {
                let code = format!("host/{}", rest.split(['"', '\\']).next().unwrap_or_default());
                // A code that is formatted at run time comes from a caller's input.
                let whole = code != "host/" && !code.contains('{');
                assert!(!whole || Code::parse(&code).is_some(), "{code} in {} is not in the list", file.display());
            }
        }
    }

    #[test]
    fn every_code_keeps_its_status_title_and_fix() {
        let mut text = String::new();
        for code in Code::ALL {
            let retryable = if code.is_retryable() { "retryable" } else { "not retryable" };
            let class = if code.is_trap_or_limit() { ", trap or limit" } else { "" };
            text += &format!("{code}: {}, {retryable}{class}\n", code.status());
            text += &format!("  title: {}\n  fix: {}\n  page: {}\n", code.title(), code.fix(), code.page_path());
        }
        for code in SDK_CODES {
            text += &format!("{}: of the SDK\n  title: {}\n", code.name, code.title);
        }
        tidemill_artifacts::golden::check(env!("CARGO_MANIFEST_DIR"), "codes.txt", &text);
    }

    #[test]
    fn the_nearest_code_of_a_misspelled_one_is_found() {
        assert_eq!(Code::nearest("limit-feul"), Some(Code::LimitFuel));
        assert_eq!(Code::nearest("host/egres-denied"), Some(Code::EgressDenied));
        assert_eq!(Code::nearest("something else"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_up_without_a_panic(text in "\\PC{0,200}") {
            let _ = Code::parse(&text);
            let _ = Code::nearest(&text);
        }
    }
}
