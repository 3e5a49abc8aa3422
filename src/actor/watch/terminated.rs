use std::convert::Infallible;

use crate::{actor::StopReason, id::ActorId, message::Message};

/// Tells an actor that one that it watches has ended for good; see
/// [`Ctx::watch`](crate::Ctx::watch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminated {
    /// Which actor; [`Addr::id`](crate::Addr::id) of its address.
    pub id: ActorId,
    /// Its name.
    pub name: String,
    /// Why it ended.
    pub reason: StopReason,
}

impl Message for Terminated {
    type Reply = ();
    type Error = Infallible;
    type Outcome = ();
    const NAME: &'static str = "callboard.terminated";
    const VERSION: u32 = 1;

    fn into_result((): ()) -> Result<(), Infallible> {
        Ok(())
    }
}
