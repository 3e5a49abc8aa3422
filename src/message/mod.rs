//! What is sent: messages, their outcomes, and how a message from another process is concluded.

mod delivery;

pub use delivery::{Conclusion, DeliverySink, RemoteDelivery};
