//! Hash maps and sets that iterate in the same order in every run. std's own are seeded by how many were made before
//! them, so a step that is skipped when a run is brought back would change their order.

use std::collections::hash_map::DefaultHasher;
use std::hash::BuildHasherDefault;

/// std's hash map with a hasher that is always the same. Make one with `HashMap::default()`.
///
/// Whoever chooses the keys can make them collide: prefer `BTreeMap` for what strangers send.
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// std's hash set with a hasher that is always the same. Make one with `HashSet::default()`.
pub type HashSet<T> = std::collections::HashSet<T, BuildHasherDefault<DefaultHasher>>;
