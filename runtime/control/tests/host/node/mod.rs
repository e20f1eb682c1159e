//! The node: its disk, its epochs and its scrubs.

mod disk;
mod epochs;
mod scrubs;
