//! Lists of settings, as attributes hold them: `key = value, group(key = value), flag`.
//!
//! Owns how keys are read, what is said about a wrong one, and the kinds of values that several
//! macros share. Does not know which keys a macro has.

mod bounds;
mod duration;
mod errors;
mod keys;
mod name;
mod suggest;
mod value;

pub(crate) use bounds::{bytes, in_bounds, millicores};
pub(crate) use duration::{duration, duration_range, positive_duration};
pub(crate) use errors::Errors;
pub(crate) use keys::{group, read_attributes};
pub(crate) use name::{check_message_name, check_name};
pub(crate) use suggest::{did_you_mean, listed};
pub(crate) use value::{choice, integer, setting, text};
