//! The codes that the SDK gives to failures of a module. They belong to the module: the host does
//! not act on them.

use super::Code;

/// A code of the SDK with its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdkCode {
    /// The code, such as `bad-input`.
    pub name: &'static str,
    /// The meaning in a few words.
    pub title: &'static str,
    /// The page, in Markdown.
    pub page: &'static str,
}

macro_rules! sdk_codes {
    ($($name:literal: $title:literal;)*) => {
        /// All codes of the SDK.
        pub const SDK_CODES: &[SdkCode] = &[$(SdkCode {
            name: $name,
            title: $title,
            page: include_str!(concat!("../../../../docs/errors/sdk-", $name, ".md")),
        }),*];
    };
}

sdk_codes! {
    "bad-input": "An input does not match the type that the module expects";
    "bad-config": "The deployment's configuration does not match the type that the module expects";
    "bad-state": "A state value does not match the type that the module expects";
    "bad-signal": "A signal's payload does not match the type that the module expects";
    "bad-step": "A step's recorded result does not match the type that the module expects";
    "bad-output": "The output of another run does not match the type that the module expects";
    "bad-response": "An HTTP response does not match the type that the module expects";
    "bad-retry": "The text is not a retry preset";
    "bad-wait": "The result of a wait does not match its request";
    "too-many-waits": "The list of a wait is longer than one wait takes, and nothing in it has occurred";
    "answers-missing": "The host returned fewer responses than requests";
    "external-id-too-long": "The external id of a hold is too long";
    "not-json": "A value cannot be written as JSON";
    "http-status": "An HTTP response has an error status";
    "saga-incomplete": "A saga failed, and some of its steps could not be undone";
    "cancelled": "A run that the module waited for was cancelled";
    "error": "The module failed with an error that has no code";
}

impl SdkCode {
    /// The code with this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<&'static Self> {
        SDK_CODES.iter().find(|code| code.name == text)
    }

    /// The path of the page on a host, such as `/errors/sdk-bad-input`.
    #[must_use]
    pub fn page_path(&self) -> String {
        format!("/errors/sdk-{}", self.name)
    }

    /// The code whose text is most similar to `text`, unless a code of the host is more similar.
    #[must_use]
    pub fn nearest(text: &str) -> Option<&'static Self> {
        if text.len() > 64 {
            return None;
        }
        let likeness = |name: &str| strsim::jaro_winkler(text, name);
        let host = Code::nearest(text).map_or(0.0, |code| likeness(code.as_str().trim_start_matches("host/")));
        SDK_CODES
            .iter()
            .map(|code| (likeness(code.name), code))
            .filter(|(own, _)| *own > 0.8 && *own > host)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, code)| code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_the_sdk_has_its_own_page() {
        for code in SDK_CODES {
            assert!(code.page.starts_with(&format!("# {}: ", code.name)), "{}", code.name);
            for part in ["## What happened", "## What to do", "## Common causes"] {
                assert!(code.page.contains(part), "{part} of {}", code.name);
            }
            assert_eq!(SdkCode::parse(code.name), Some(code));
        }
        assert_eq!(SdkCode::nearest("bad-inptu").map(|code| code.name), Some("bad-input"));
        assert_eq!(SdkCode::nearest("limit-feul"), None);
        assert_eq!(SdkCode::nearest(&"x".repeat(100)), None);
    }

    #[test]
    fn every_code_in_the_sdk_has_a_page() {
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/rust/src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    if !path.ends_with("testing") {
                        folders.push(path);
                    }
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let own = text.split("#[cfg(test)]").next().unwrap();
                let code = own.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect::<String>();
                for made in ["Error::new(\"", "Error::retryable(\""] {
                    for name in code.split(made).skip(1).filter_map(|rest| rest.split('"').next()) {
                        let known = name.starts_with("host/") || SdkCode::parse(name).is_some();
                        assert!(known, "{name} of {} has no page docs/errors/sdk-{name}.md", path.display());
                    }
                }
            }
        }
    }
}
