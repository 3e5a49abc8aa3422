//! What a system looks like from outside while it runs.
//!
//! Owns the reports of [`System::inspect`](crate::System::inspect) and
//! [`Addr::inspect`](crate::Addr::inspect). Counts nothing itself: the threads of the actors write
//! words, and whoever inspects reads them, so no actor is asked and none is waited for, however busy
//! it is. The words are read one after the other: a report of an actor at work may show a message as
//! in hand that is counted as handled already.

mod actor;
mod histogram;
mod host;
mod inspection;
mod seconds;

pub use actor::{ActorReport, Awaited, InHand};
pub use histogram::{Bucket, HistogramReport};
pub use host::HostReport;
pub use inspection::Inspection;
