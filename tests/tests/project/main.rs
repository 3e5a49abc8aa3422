//! What must hold of the project as a whole: its layers, its layout, its book.
//!
//! These read the sources as text or as syntax and start nothing; but for `limits`, which asks the code
//! for its defaults and bounds.

mod book;
mod ignored;
mod layering;
mod limits;
mod platform;
mod source;
mod top_level;
mod unsafe_code;
