//! What a message costs between two processes, against what the servers give without a framework, and
//! against other frameworks.
//!
//! Owns the rows, the two processes and their servers, and how all that is shown. The program starts
//! itself a second time as the callee ([`callee`]), which does as it is told on its standard input and
//! ends with it. The peers' processes are those of a program of their own ([`peers`]).

pub mod actor;
pub mod bare;
pub mod benchmark;
pub mod callee;
pub mod demands;
pub mod line;
pub mod many;
pub mod measured;
pub mod options;
pub mod pair;
pub mod peers;
pub mod report;
pub mod resp;
pub mod sample;
pub mod shared;
pub mod work;
pub mod worker;

pub use shared::Result;
