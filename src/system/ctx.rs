use std::sync::Arc;

use super::{Inner, System};
use crate::{
    actor::{Ctx, Handlers},
    error::{Error, Result},
};

impl<A: Handlers> Ctx<A> {
    /// The system that the actor lives in.
    ///
    /// # Errors
    /// [`Error::ShutDown`] when nothing but its actors is left of it.
    pub fn system(&self) -> Result<System> {
        let extension = self.shared().host().extension().ok_or(Error::ShutDown)?;
        let inner: Arc<Inner> = extension.downcast().map_err(|_| Error::ShutDown)?;
        Ok(System(inner))
    }
}
