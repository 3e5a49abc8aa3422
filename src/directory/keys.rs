//! Where things stand in the store.

use crate::{
    directory::{InstanceName, MaintenanceScope},
    id::{Incarnation, Name},
};

/// Makes and reads the keys of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// `/callboard/<cluster>/`
    root: String,
}

/// What a key of the cluster stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// `node/<node>`
    Node(Name),
    /// `def/<service>`, without a lease
    Definition(Name),
    /// `svc/<service>/<instance>`
    Instance(Name, InstanceName),
    /// `bye/<service>/<instance>`: written with the delete of an instance that left in order
    Bye(Name, InstanceName),
    /// `health/<service>/<instance>`: how an instance does, unless it does well
    Health(Name, InstanceName),
    /// `policy/maintenance/<node>[/<service>]`, without a lease
    Maintenance(MaintenanceScope),
    /// `config/current/<name>`, without a lease
    Config(Name),
    /// Something that the directory does not follow.
    Other,
    /// A key in a place of the directory that it would not write itself.
    Malformed,
}

/// The prefix of everything that a cluster writes.
pub(crate) fn root_of(cluster: &Name) -> String {
    format!("/callboard/{cluster}/")
}

impl Keys {
    pub(super) fn new(cluster: &Name) -> Self {
        Self { root: root_of(cluster) }
    }

    /// The prefix of everything.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The prefixes of what is followed. The rest is either nobody's business or, as the history of
    /// the configuration, too much to be kept in memory.
    pub(super) fn followed(&self) -> [String; 7] {
        ["bye/", "config/current/", "def/", "health/", "node/", "policy/maintenance/", "svc/"]
            .map(|kind| format!("{}{kind}", self.root))
    }

    pub(super) fn node(&self, node: &Name) -> String {
        format!("{}node/{node}", self.root)
    }

    pub(super) fn definition(&self, service: &Name) -> String {
        format!("{}def/{service}", self.root)
    }

    pub(super) fn instance(&self, service: &Name, instance: InstanceName) -> String {
        format!("{}svc/{service}/{instance}", self.root)
    }

    /// The prefix of the instances of a service that one process has.
    pub(super) fn instances_of(&self, service: &Name, incarnation: Incarnation) -> String {
        format!("{}svc/{service}/{incarnation}-", self.root)
    }

    pub(super) fn bye(&self, service: &Name, instance: InstanceName) -> String {
        format!("{}bye/{service}/{instance}", self.root)
    }

    pub(super) fn health(&self, service: &Name, instance: InstanceName) -> String {
        format!("{}health/{service}/{instance}", self.root)
    }

    pub(super) fn maintenance(&self, scope: &MaintenanceScope) -> String {
        let MaintenanceScope { node, service } = scope;
        match service {
            None => format!("{}policy/maintenance/{node}", self.root),
            Some(service) => format!("{}policy/maintenance/{node}/{service}", self.root),
        }
    }

    /// The prefix of all candidates for roles.
    pub(super) fn elections(&self) -> String {
        format!("{}elect/", self.root)
    }

    /// The prefix of the candidates for a role.
    pub(super) fn candidates(&self, role: &Name) -> String {
        format!("{}elect/{role}/", self.root)
    }

    /// Which generation of the store this is.
    pub(super) fn epoch(&self) -> String {
        format!("{}epoch", self.root)
    }

    pub(super) fn config(&self, name: &Name) -> String {
        format!("{}config/current/{name}", self.root)
    }

    /// The prefix of all versions of a configuration, in their order.
    pub(super) fn config_history(&self, name: &Name) -> String {
        format!("{}config/history/{name}/", self.root)
    }

    pub(super) fn config_version(&self, name: &Name, version: u64) -> String {
        format!("{}config/history/{name}/{version:020}", self.root)
    }

    /// The prefix of what the nodes say of a configuration, by their names.
    pub(super) fn config_applied(&self, name: &Name) -> String {
        format!("{}config/applied/{name}/", self.root)
    }

    /// What one node says of it, under the node's lease.
    pub(super) fn config_applied_by(&self, name: &Name, node: &Name) -> String {
        format!("{}config/applied/{name}/{node}", self.root)
    }

    pub(super) fn parse(&self, key: &str) -> Key {
        let Some((kind, rest)) = key.strip_prefix(&self.root).and_then(|key| key.split_once('/'))
        else {
            return Key::Other;
        };
        let name = || Name::new(rest).ok();
        let instance = || {
            let (service, instance) = rest.split_once('/')?;
            Some((Name::new(service).ok()?, instance.parse().ok()?))
        };
        let parsed = match kind {
            "node" => name().map(Key::Node),
            "def" => name().map(Key::Definition),
            "svc" => instance().map(|(service, instance)| Key::Instance(service, instance)),
            "bye" => instance().map(|(service, instance)| Key::Bye(service, instance)),
            "health" => instance().map(|(service, instance)| Key::Health(service, instance)),
            "policy" => match rest.strip_prefix("maintenance/") {
                Some(scope) => maintenance(scope).map(Key::Maintenance),
                None => Some(Key::Other),
            },
            "config" => match rest.strip_prefix("current/") {
                Some(name) => Name::new(name).ok().map(Key::Config),
                None => Some(Key::Other),
            },
            _ => Some(Key::Other),
        };
        parsed.unwrap_or(Key::Malformed)
    }
}

/// `<node>` or `<node>/<service>`.
fn maintenance(scope: &str) -> Option<MaintenanceScope> {
    let (node, service) = match scope.split_once('/') {
        None => (scope, None),
        Some((node, service)) => (node, Some(Name::new(service).ok()?)),
    };
    Some(MaintenanceScope { node: Name::new(node).ok()?, service })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let keys = Keys::new(&Name::new("shop").expect("a name"));
        let service = Name::new("orders").expect("a name");
        let instance = InstanceName::new(Incarnation::fresh(), 7);
        assert_eq!(keys.parse(&keys.node(&service)), Key::Node(service.clone()));
        assert_eq!(keys.parse(&keys.definition(&service)), Key::Definition(service.clone()));
        let key = keys.instance(&service, instance);
        assert!(key.starts_with(&keys.instances_of(&service, instance.incarnation())));
        assert_eq!(keys.parse(&key), Key::Instance(service.clone(), instance));
        assert_eq!(keys.parse(&keys.config(&service)), Key::Config(service.clone()));
        let health = keys.health(&service, instance);
        assert_eq!(keys.parse(&health), Key::Health(service.clone(), instance));
        for scope in [
            MaintenanceScope::node(service.clone()),
            MaintenanceScope::service(service.clone(), service.clone()),
        ] {
            assert_eq!(keys.parse(&keys.maintenance(&scope)), Key::Maintenance(scope));
        }
        assert_eq!(keys.parse(&keys.bye(&service, instance)), Key::Bye(service, instance));
    }

    #[test]
    fn foreign_keys_are_told_from_malformed_ones() {
        let keys = Keys::new(&Name::new("shop").expect("a name"));
        for other in ["/else", "/callboard/shop2/node/a", "/callboard/shop/part/orders/1"] {
            assert_eq!(keys.parse(other), Key::Other, "{other}");
        }
        let name = Name::new("limits").expect("a name");
        for other in [keys.config_version(&name, 7), keys.config_applied_by(&name, &name)] {
            assert_eq!(keys.parse(&other), Key::Other, "{other}");
        }
        for malformed in [
            "node/A",
            "svc/orders",
            "svc/orders/x-1",
            "svc/orders/1/2",
            "def/",
            "config/current/",
            "config/current/a/b",
            "health/orders",
            "policy/maintenance/",
            "policy/maintenance/a/b/c",
        ] {
            let key = format!("/callboard/shop/{malformed}");
            assert_eq!(keys.parse(&key), Key::Malformed, "{key}");
        }
    }

    #[test]
    fn what_is_followed_is_what_has_a_meaning_in_the_cache() {
        let keys = Keys::new(&Name::new("shop").expect("a name"));
        let name = Name::new("a").expect("a name");
        let instance = InstanceName::new(Incarnation::fresh(), 7);
        let is_followed =
            |key: &String| keys.followed().iter().any(|prefix| key.starts_with(prefix));
        let followed = [
            keys.node(&name),
            keys.definition(&name),
            keys.instance(&name, instance),
            keys.bye(&name, instance),
            keys.config(&name),
            keys.health(&name, instance),
            keys.maintenance(&MaintenanceScope::node(name.clone())),
        ];
        assert!(followed.iter().all(is_followed));
        let left_out = [keys.config_version(&name, 1), keys.config_applied_by(&name, &name)];
        assert!(!left_out.iter().any(is_followed));
    }

    #[test]
    fn versions_sort_as_numbers() {
        let keys = Keys::new(&Name::new("shop").expect("a name"));
        let name = Name::new("a").expect("a name");
        let key = |version| keys.config_version(&name, version);
        assert!(key(9) < key(10) && key(10) < key(u64::MAX));
        assert!(key(9).starts_with(&keys.config_history(&name)));
    }
}
