//! Definitions: what all instances of a service agree on. The first that is written stands.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Directory, DirectoryError, Inner, ServiceDef,
    record::{decode, encode},
    store::patiently,
};
use crate::{
    id::Name,
    kv::{Compare, KeyValue, Op, OpResponse, Revision, Txn, TxnResponse},
};

impl Directory {
    /// Defines a service, unless it is defined already; resolves when this node's cache has the
    /// definition.
    ///
    /// # Errors
    /// [`DirectoryError::DefinedDifferently`] when another definition stands,
    /// [`DirectoryError::Record`] for one that can't work, [`DirectoryError::Store`] when the store
    /// failed repeatedly (saying it again is safe), [`DirectoryError::Closed`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether the service is defined; saying it again is safe.
    pub async fn define(
        &self,
        service: &Name,
        definition: ServiceDef,
    ) -> Result<(), DirectoryError> {
        let value = self.inner.check_definition(&definition)?;
        let key = self.inner.keys.definition(service);
        loop {
            let there = match self.inner.create(&key, &value).await? {
                Created::Now(revision) => return self.inner.seen(revision).await,
                Created::Before(there) => there,
            };
            match decode::<ServiceDef>(&there.value).filter(|stands| stands.check().is_ok()) {
                Some(stands) if stands == definition => {
                    return self.inner.seen(there.mod_revision).await;
                }
                Some(stands) => {
                    return Err(DirectoryError::DefinedDifferently {
                        service: service.clone(),
                        stands: Box::new(stands),
                        asked: Box::new(definition),
                    });
                }
                // Nobody can read it, so nothing stands.
                None => {
                    if let Some(revision) = self.inner.swap(&key, &value, &there).await? {
                        return self.inner.seen(revision).await;
                    }
                }
            }
        }
    }

    /// The definition of a service as this node's cache has it.
    pub fn definition(&self, service: &Name) -> Option<Arc<ServiceDef>> {
        self.resolve(service).definition.clone()
    }

    /// Puts another definition in the place of whatever stands; gives the one before. Resolves when
    /// this node's cache has it.
    ///
    /// Whether the service may be redefined is the caller's to know: the directory does not see
    /// whether messages wait in partitions that would go.
    ///
    /// # Errors
    /// As for [`define`](Self::define), but never [`DirectoryError::DefinedDifferently`].
    ///
    /// # Cancel safety
    /// As for [`define`](Self::define).
    pub async fn redefine(
        &self,
        service: &Name,
        definition: ServiceDef,
    ) -> Result<Option<ServiceDef>, DirectoryError> {
        let value = self.inner.check_definition(&definition)?;
        let key = self.inner.keys.definition(service);
        loop {
            let there = match self.inner.create(&key, &value).await? {
                Created::Now(revision) => {
                    self.inner.seen(revision).await?;
                    return Ok(None);
                }
                Created::Before(there) => there,
            };
            if let Some(revision) = self.inner.swap(&key, &value, &there).await? {
                self.inner.seen(revision).await?;
                return Ok(decode(&there.value));
            }
        }
    }
}

/// What became of an attempt to create a key.
enum Created {
    Now(Revision),
    Before(KeyValue),
}

impl Inner {
    fn check_definition(&self, definition: &ServiceDef) -> Result<Bytes, DirectoryError> {
        self.registration.check_open()?;
        definition.check()?;
        encode(definition)
    }

    async fn create(&self, key: &str, value: &Bytes) -> Result<Created, DirectoryError> {
        loop {
            let txn = Txn::new([Op::put(key, value.clone(), None)])
                .when(Compare::absent(key))
                .otherwise([Op::get(key)]);
            let mut response = self.persist(txn).await?;
            if response.succeeded {
                return Ok(Created::Now(response.revision));
            }
            if let Some(OpResponse::Get(Some(there))) = response.responses.pop() {
                return Ok(Created::Before(there));
            }
        }
    }

    /// Writes over what was read; none when it changed meanwhile.
    async fn swap(
        &self,
        key: &str,
        value: &Bytes,
        there: &KeyValue,
    ) -> Result<Option<Revision>, DirectoryError> {
        let txn = Txn::new([Op::put(key, value.clone(), None)])
            .when(Compare::unchanged_since(key, there.mod_revision));
        let response = self.persist(txn).await?;
        Ok(response.succeeded.then_some(response.revision))
    }

    pub(super) async fn persist(&self, txn: Txn) -> Result<TxnResponse, DirectoryError> {
        let write = || self.store.txn(txn.clone());
        Ok(patiently(self.options.backoff_max, write).await?)
    }
}
