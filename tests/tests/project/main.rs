//! What must hold of the project as a whole: its layers, its layout, its book.
//!
//! These read the sources as text or as syntax; they start nothing.

mod book;
mod ignored;
mod layering;
mod platform;
mod source;
mod top_level;
mod unsafe_code;
