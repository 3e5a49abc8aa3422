//! What the directory costs: a resolve, the way of a change to another node, a registration, and what
//! a node has to learn when it joins, each beside what etcd gives without a framework.
//!
//! Owns the rows, the nodes and the contents of their clusters, and how all that is shown. The program
//! starts itself again as a node that joins ([`learn`]), so that its memory is its own.

pub mod change;
pub mod churn;
pub mod demands;
pub mod learn;
pub mod node;
pub mod options;
pub mod propagation;
pub mod registration;
pub mod report;
pub mod resolve;
pub mod shape;
pub mod sheet;

/// What goes wrong in a benchmark ends it.
pub type Result<T, E = callboard::BoxError> = std::result::Result<T, E>;
