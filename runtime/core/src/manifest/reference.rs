//! The component that a deployment runs: a version of a module by name, or a component by digest.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{ComponentDigest, InvalidName, ModuleName};

/// A module's version: a semantic version (`1.2.3`, `1.2.3-rc.1`) of at most 64 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleVersion(Arc<str>);

impl ModuleVersion {
    /// The version as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModuleVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let number = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
        };
        let words = |text: &str, plain_numbers: bool| {
            text.split('.').all(|word| {
                let digits = word.bytes().all(|b| b.is_ascii_digit());
                !word.is_empty()
                    && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && (!digits || plain_numbers || number(word))
            })
        };
        let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
        let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
        let good = text.len() <= 64
            && core.split('.').count() == 3
            && core.split('.').all(number)
            && pre.is_none_or(|pre| words(pre, false))
            && build.is_none_or(|build| words(build, true));
        if good {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName { kind: "version", rule: "a semantic version such as `1.2.3`, of at most 64 characters" })
        }
    }
}

/// A version of a module: `name@version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleRef {
    /// The module.
    pub name: ModuleName,
    /// Its version.
    pub version: ModuleVersion,
}

impl fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl FromStr for ModuleRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = InvalidName { kind: "module with its version", rule: "`name@version`, such as `hello@0.1.0`" };
        let (name, version) = text.split_once('@').ok_or(bad)?;
        Ok(Self { name: name.parse().map_err(|_| bad)?, version: version.parse().map_err(|_| bad)? })
    }
}

/// The source of a deployment's component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A module's version.
    Module(ModuleRef),
    /// A component by its digest.
    Component(ComponentDigest),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(module) => module.fmt(f),
            Self::Component(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_semantic() {
        for good in ["0.1.0", "1.2.3-rc.1", "1.0.0+build.007", "1.0.0-a-b+c"] {
            assert_eq!(good.parse::<ModuleVersion>().unwrap().as_str(), good);
        }
        for bad in ["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.3 ", "1.2.3/4", "1.2.3-ä"]
        {
            assert!(bad.parse::<ModuleVersion>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_reference_or_refused(text in "\\PC{0,90}|[a-z0-9@.+-]{0,30}") {
            if let Ok(module) = text.parse::<ModuleRef>() { prop_assert_eq!(module.to_string(), text); }
        }
    }
}
