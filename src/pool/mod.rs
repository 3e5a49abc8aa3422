//! Pools: several actors of one type behind one handle.
//!
//! Owns the choice of the member that a message goes to and the futures that send there. Does not
//! spawn the members: the system does.

mod choice;
mod handle;
mod sends;

pub use choice::Routing;
pub use handle::Pool;
pub use sends::{PoolAsk, PoolTell};
