//! What a message costs between two processes, against what the servers give without a framework.
//!
//! Owns the rows, the two processes and their servers, and how all that is shown. The program starts
//! itself a second time as the callee ([`callee`]), which does as it is told on its standard input and
//! ends with it.

pub mod actor;
pub mod bare;
pub mod callee;
pub mod line;
pub mod options;
pub mod pair;
pub mod report;
pub mod resp;
pub mod sample;
pub mod work;

/// What goes wrong in a benchmark ends it.
pub type Result<T, E = callboard::BoxError> = std::result::Result<T, E>;
