//! Where directory and log are, and the connections to real ones.

use std::sync::Arc;

#[cfg(not(all(feature = "etcd", feature = "redis")))]
use super::settings::{ENV_ETCD, ENV_REDIS};
use super::{Embedded, settings::Settings};
use crate::{
    error::{Error, Result},
    kv::KeyValueStore,
    log::MessageLog,
};

/// The stores of a system.
#[derive(Clone)]
pub(super) struct Backends {
    pub(super) kv: Arc<dyn KeyValueStore>,
    pub(super) log: Arc<dyn MessageLog>,
}

/// Where to find them.
pub(super) enum Stores {
    At(Backends),
    /// etcd's endpoints and Redis's address.
    Remote(Vec<String>, String),
}

impl Backends {
    pub(super) fn of(store: &Embedded) -> Self {
        Self { kv: Arc::new(store.kv()), log: Arc::new(store.log()) }
    }
}

impl Stores {
    /// What the settings say: both servers, or neither.
    pub(super) fn of(settings: &Settings) -> Result<Self> {
        match settings.servers()? {
            None => Ok(Self::At(Backends::of(&Embedded::new()))),
            Some((etcd, redis)) => Ok(Self::Remote(etcd, redis)),
        }
    }

    /// Connects, on the runtime of the caller, where the connections stay.
    pub(super) async fn connect(self) -> Result<Backends> {
        match self {
            Self::At(backends) => Ok(backends),
            Self::Remote(etcd, redis) => connect(etcd, redis).await,
        }
    }
}

#[cfg(all(feature = "etcd", feature = "redis"))]
async fn connect(etcd: Vec<String>, redis: String) -> Result<Backends> {
    use crate::{
        kv::{EtcdKv, EtcdOptions},
        log::{RedisLog, RedisOptions},
    };
    let etcd = async {
        let connected = EtcdKv::connect(EtcdOptions::new(etcd)).await;
        connected.map_err(|error| Error::Directory(error.into()))
    };
    let redis = async {
        let connected = RedisLog::connect(RedisOptions::new(redis)).await;
        connected.map_err(|error| Error::Log(error.into()))
    };
    let (kv, log) = futures_util::future::try_join(etcd, redis).await?;
    Ok(Backends { kv: Arc::new(kv), log: Arc::new(log) })
}

/// Never embedded in silence when servers were named.
#[cfg(not(all(feature = "etcd", feature = "redis")))]
async fn connect(_: Vec<String>, _: String) -> Result<Backends> {
    let (setting, feature) =
        if cfg!(feature = "etcd") { (ENV_REDIS, "redis") } else { (ENV_ETCD, "etcd") };
    Err(Error::Setting {
        setting: setting.to_owned(),
        reason: format!(
            "callboard was built without its feature `{feature}`: build it with the feature `cluster` \
             (which needs `protoc`; Debian: protobuf-compiler and libprotobuf-dev), or unset {ENV_ETCD} \
             and {ENV_REDIS} (and leave out `.etcd(..)` and `.redis(..)`) to run embedded"
        ),
    })
}
