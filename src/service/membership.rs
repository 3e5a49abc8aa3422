use std::sync::Arc;

use crate::{
    bus::{Members, Membership},
    directory::Directory,
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
}
