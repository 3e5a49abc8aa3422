use std::time::Duration;

use super::{
    guard::{Guard, Moment},
    *,
};
use crate::{
    directory::{InstanceName, InstanceRecord, keys::Keys, record::encode},
    id::{ActorId, Incarnation},
    kv::KeyValue,
};

fn now() -> Moment {
    Moment { now: Instant::now(), lapsed: None }
}

fn listed(services: &[&str]) -> (Model, Delta) {
    let keys = Keys::new(&Name::new("c").expect("a name"));
    let mut model = Model::new(
        keys.clone(),
        Guard::new(Name::new("own").expect("a name"), Duration::from_secs(5)),
    );
    let delta = model.replace(&kvs(&keys, services), Revision(5), now());
    (model, delta)
}

fn kvs(keys: &Keys, services: &[&str]) -> Vec<KeyValue> {
    let kv = |service: &&str| {
        let service = Name::new(service).expect("a name");
        let instance = InstanceName::new(Incarnation::from_u128(1), 1);
        let record = InstanceRecord::new(
            service.clone(),
            instance,
            Name::new("n").expect("a name"),
            ActorId::from_u64(1),
        );
        KeyValue {
            key: keys.instance(&service, instance),
            value: encode(&record).expect("it is small"),
            create_revision: Revision(2),
            mod_revision: Revision(2),
            version: 1,
            lease: None,
        }
    };
    services.iter().map(kv).collect()
}

fn cache() -> Cache {
    let name = |name| Name::new(name).expect("a name");
    Cache::new(16, Arc::new(Configs::new(Keys::new(&name("c")), name("own"), Arc::default())))
}

fn cells(cache: &Cache) -> usize {
    cache.shards.iter().map(|shard| shard.len()).sum()
}

#[test]
fn a_handle_sees_a_change_and_keeps_its_view_between() {
    let cache = cache();
    let orders = Name::new("orders").expect("a name");
    let mut handle = cache.handle(&orders);
    assert!(handle.current().instances.is_empty());
    let (mut model, delta) = listed(&["orders", "mail"]);
    cache.publish(&model, delta, true);
    assert!(handle.is_stale());
    let first = Arc::clone(handle.current());
    assert_eq!(first.instances.len(), 1);
    assert!(Arc::ptr_eq(&first, handle.current()));
    assert!(Arc::ptr_eq(&first, &handle.clone().load()));
    let delta = model.replace(&[], Revision(6), now());
    cache.publish(&model, delta, true);
    assert!(handle.current().instances.is_empty());
    assert!(handle.current().generation > first.generation);
}

#[test]
fn services_that_went_are_forgotten_unless_a_handle_waits_for_them() {
    let cache = cache();
    let names: Vec<String> = (0..500).map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut model, delta) = listed(&names);
    cache.publish(&model, delta, true);
    assert_eq!((cells(&cache), cache.services().len()), (500, 500));
    let mut handle = cache.handle(&Name::new("s7").expect("a name"));
    let delta = model.replace(&[], Revision(6), now());
    cache.publish(&model, delta, true);
    assert_eq!((cells(&cache), cache.services().len()), (1, 0));
    let (model, delta) = listed(&names);
    cache.publish(&model, delta, true);
    assert_eq!(handle.current().instances.len(), 1);
}

#[test]
fn resolving_a_service_that_is_not_there_leaves_nothing_behind() {
    let cache = cache();
    assert_eq!(cache.resolve(&Name::new("nobody").expect("a name")).generation, 0);
    assert_eq!(cells(&cache), 0);
}
