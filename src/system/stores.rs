//! Where directory and log are, and the connections to real ones.

use std::sync::Arc;

#[cfg(not(all(feature = "etcd", feature = "redis")))]
use super::settings::{ENV_ETCD, ENV_REDIS};
use super::{
    Embedded,
    settings::{Servers, Settings},
};
use crate::{
    error::{Error, Result},
    id::Name,
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
    /// On servers, for this cluster.
    Remote(Servers, Name),
}

impl Backends {
    pub(super) fn of(store: &Embedded) -> Self {
        Self { kv: Arc::new(store.kv()), log: Arc::new(store.log()) }
    }
}

impl Stores {
    /// What the settings say: both servers, or neither.
    pub(super) fn of(settings: &Settings, cluster: &Name) -> Result<Self> {
        match settings.servers()? {
            None => Ok(Self::At(Backends::of(&Embedded::new()))),
            Some(servers) => Ok(Self::Remote(servers, cluster.clone())),
        }
    }

    /// Connects, on the runtime of the caller, where the connections stay.
    pub(super) async fn connect(self) -> Result<Backends> {
        match self {
            Self::At(backends) => Ok(backends),
            Self::Remote(servers, cluster) => connect(servers, &cluster).await,
        }
    }
}

#[cfg(all(feature = "etcd", feature = "redis"))]
async fn connect(servers: Servers, cluster: &Name) -> Result<Backends> {
    use crate::{
        directory::root_of,
        kv::{EtcdKv, EtcdOptions},
        log::{RedisLog, RedisOptions},
    };
    let mut etcd = EtcdOptions::new(servers.etcd);
    etcd.user = servers.etcd_user.name.zip(servers.etcd_user.password);
    etcd.prefix = root_of(cluster);
    let etcd = async {
        let connected = EtcdKv::connect(etcd).await;
        connected.map_err(|error| Error::Directory(error.into()))
    };
    let redis = async {
        let connected = RedisLog::connect(RedisOptions::new(servers.redis)).await;
        connected.map_err(|error| Error::Log(error.into()))
    };
    let (kv, log) = futures_util::future::try_join(etcd, redis).await?;
    Ok(Backends { kv: Arc::new(kv), log: Arc::new(log) })
}

/// Never embedded in silence when servers were named.
#[cfg(not(all(feature = "etcd", feature = "redis")))]
async fn connect(_: Servers, _: &Name) -> Result<Backends> {
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
