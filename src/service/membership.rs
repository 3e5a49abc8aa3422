use std::sync::Arc;

use crate::{
    bus::{Listing, Members, Membership},
    directory::Directory,
    id::Name,
};

/// Who is alive, as the directory knows it.
#[derive(Debug)]
pub(crate) struct Registered(Directory);

impl Registered {
    pub(crate) fn new(directory: Directory) -> Arc<Self> {
        Arc::new(Self(directory))
    }
}

impl Membership for Registered {
    fn members(&self) -> Option<Members> {
        let Self(directory) = self;
        if directory.stale_since().is_some() {
            return None;
        }
        let since = directory.lease_held_since()?;
        let incarnations = directory.nodes().iter().map(|node| node.incarnation).collect();
        let members = Members { incarnations, since, lease_ttl: directory.lease_ttl() };
        // A directory that does not show ourselves shows less than there is.
        members.contains(directory.incarnation()).then_some(members)
    }

    fn listing(&self, service: &Name, message: &str, version: u32) -> Listing {
        let Self(directory) = self;
        if directory.stale_since().is_some() {
            return Listing::Possible;
        }
        let view = directory.resolve(service);
        match view.instances.iter().any(|record| record.handles(message, version)) {
            true => Listing::Possible,
            // A view that is older than this counts as stale.
            false => Listing::Nobody { lag: directory.silence_max() },
        }
    }
}
