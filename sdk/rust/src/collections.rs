//! Hash maps and sets that iterate in the same order in every run. The seeds of std's maps depend
//! on the number of maps created before, so a step that replay skips would change their order.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

/// std's hash map with a fixed hasher. Create one with `HashMap::default()`.
///
/// An attacker who chooses the keys can cause collisions. Prefer `BTreeMap` for untrusted keys.
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// std's hash set with a fixed hasher. Create one with `HashSet::default()`.
pub type HashSet<T> = std::collections::HashSet<T, BuildHasherDefault<DefaultHasher>>;
