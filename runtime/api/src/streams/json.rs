//! The wire form of a stream.
