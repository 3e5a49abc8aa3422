//! Derives and attributes of callboard. Use them through the `callboard` crate.
#![forbid(unsafe_code)]
