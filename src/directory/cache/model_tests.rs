use std::time::Duration;

use super::*;
use crate::{
    directory::record::encode,
    id::{ActorId, Incarnation},
};

const TTL: Duration = Duration::from_secs(5);

fn name(name: &str) -> Name {
    Name::new(name).expect("a name")
}

fn keys() -> Keys {
    Keys::new(&name("c"))
}

fn model() -> Model {
    Model::new(keys(), Guard::new(name("own"), TTL))
}

fn now() -> Moment {
    Moment { now: Instant::now(), lapsed: None }
}

fn record(number: u64, weight: u32) -> InstanceRecord {
    let instance = InstanceName::new(Incarnation::from_u128(1), number);
    let mut record =
        InstanceRecord::new(name("orders"), instance, name("n"), ActorId::from_u64(number));
    record.weight = weight;
    record
}

fn kv(key: String, value: impl Into<bytes::Bytes>, revision: i64) -> KeyValue {
    let revision = Revision(revision);
    KeyValue {
        key,
        value: value.into(),
        create_revision: revision,
        mod_revision: revision,
        version: 1,
        lease: None,
    }
}

fn put(record: &InstanceRecord, revision: i64) -> WatchEvent {
    let key = keys().instance(&record.service, record.instance);
    let value = encode(record).expect("it is small");
    WatchEvent { kind: EventKind::Put, kv: kv(key, value, revision) }
}

fn delete(key: String, revision: i64) -> WatchEvent {
    WatchEvent { kind: EventKind::Delete, kv: kv(key, "", revision) }
}

fn told(delta: &Delta) -> Vec<String> {
    let told = delta.events.iter().map(|(_, event)| match event {
        DirectoryEvent::Up(r) => format!("up {}", r.actor),
        DirectoryEvent::Changed(r) => format!("changed {}", r.actor),
        DirectoryEvent::Down { instance, left } => format!("down {} left={left}", instance.actor),
        other => format!("{other:?}"),
    });
    told.collect()
}

#[test]
fn changes_become_events_and_what_is_not_newer_is_ignored() {
    let mut model = model();
    model.replace(&[put(&record(1, 1), 3).kv], Revision(5), now());
    assert!(model.apply(&[put(&record(1, 9), 5)], now()).events.is_empty());
    let delta = model.apply(&[put(&record(1, 2), 6), put(&record(2, 1), 6)], now());
    assert_eq!(told(&delta), ["changed 1", "up 2"]);
    assert_eq!(model.revision(), Revision(6));
    assert!(
        model.apply(&[put(&record(2, 1), 7)], now()).events.is_empty(),
        "written again as it was"
    );
    let key = keys().instance(&name("orders"), record(1, 1).instance);
    assert_eq!(told(&model.apply(&[delete(key, 8)], now())), ["down 1 left=false"]);
}

#[test]
fn a_bye_in_the_same_revision_explains_a_delete_in_whatever_order() {
    for bye_first in [true, false] {
        let mut model = model();
        model.replace(&[put(&record(1, 1), 3).kv], Revision(5), now());
        let bye = keys().bye(&name("orders"), record(1, 1).instance);
        let bye = WatchEvent { kind: EventKind::Put, kv: kv(bye, "{}", 6) };
        let gone = delete(keys().instance(&name("orders"), record(1, 1).instance), 6);
        let batch = if bye_first { [bye, gone] } else { [gone, bye] };
        assert_eq!(told(&model.apply(&batch, now())), ["down 1 left=true"]);
    }
}

#[test]
fn a_list_says_what_was_missed() {
    let mut model = model();
    let first = [put(&record(1, 1), 3).kv, put(&record(2, 1), 3).kv, put(&record(3, 1), 3).kv];
    assert_eq!(told(&model.replace(&first, Revision(5), now())), ["up 1", "up 2", "up 3"]);
    let bye = keys().bye(&name("orders"), record(1, 1).instance);
    let second = [kv(bye, "{}", 8), put(&record(3, 7), 7).kv, put(&record(4, 1), 7).kv];
    let delta = model.replace(&second, Revision(9), now());
    assert_eq!(told(&delta), ["down 1 left=true", "down 2 left=false", "changed 3", "up 4"]);
    // A store that lost its data is believed too.
    let delta = model.replace(&[], Revision(1), now());
    assert_eq!(delta.events.len(), 2);
    assert_eq!(model.revision(), Revision(1));
}

#[test]
fn what_cannot_be_read_counts_as_absent() {
    let mut model = model();
    model.replace(&[put(&record(1, 1), 3).kv], Revision(5), now());
    let key = keys().instance(&name("orders"), record(1, 1).instance);
    for (revision, value) in [(6, "{\"foreign\":true}"), (8, "\u{0}"), (10, "[]")] {
        let garbage = kv(key.clone(), value, revision);
        let delta = model.apply(&[WatchEvent { kind: EventKind::Put, kv: garbage }], now());
        assert_eq!(told(&delta), ["down 1 left=false"]);
        assert_eq!(delta.malformed, std::slice::from_ref(&key));
        assert_eq!(told(&model.apply(&[put(&record(1, 1), revision + 1)], now())), ["up 1"]);
    }
    // A record under the key of another is a lie.
    let value = encode(&record(2, 1)).expect("it is small");
    let delta = model.replace(&[kv(key, value, 20)], Revision(20), now());
    assert_eq!(told(&delta), ["down 1 left=false"]);
    assert_eq!(delta.malformed.len(), 1);
}

#[path = "suspects_tests.rs"]
mod suspects;
