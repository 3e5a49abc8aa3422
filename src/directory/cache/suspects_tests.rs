use super::*;

/// Instance `n` on node `n`, with that node's key.
fn node(n: u64, life: u128) -> NodeRecord {
    NodeRecord {
        node: name(&format!("n{n}")),
        incarnation: Incarnation::from_u128(life),
        callboard: "0".to_owned(),
        labels: BTreeMap::new(),
    }
}

fn on_node(n: u64) -> InstanceRecord {
    let instance = InstanceName::new(Incarnation::from_u128(1), n);
    InstanceRecord::new(name("orders"), instance, name(&format!("n{n}")), ActorId::from_u64(n))
}

fn put_node(n: u64, life: u128, revision: i64) -> WatchEvent {
    let value = encode(&node(n, life)).expect("it is small");
    WatchEvent { kind: EventKind::Put, kv: kv(keys().node(&node(n, life).node), value, revision) }
}

fn both(n: u64, revision: i64) -> [WatchEvent; 2] {
    [put_node(n, 1, revision), put(&on_node(n), revision)]
}

/// What the end of a lease deletes.
fn end_of(n: u64, revision: i64) -> [WatchEvent; 2] {
    let record = on_node(n);
    let instance = keys().instance(&record.service, record.instance);
    [delete(instance, revision), delete(keys().node(&record.node), revision)]
}

fn farewell(n: u64, revision: i64) -> WatchEvent {
    let record = on_node(n);
    let key = keys().bye(&record.service, record.instance);
    WatchEvent { kind: EventKind::Put, kv: kv(key, "{}", revision) }
}

/// A model that knows so many nodes with an instance each.
fn cluster(nodes: u64) -> Model {
    let mut model = model();
    let kvs: Vec<KeyValue> = (1..=nodes).flat_map(|n| both(n, 2)).map(|event| event.kv).collect();
    model.replace(&kvs, Revision(5), now());
    model
}

fn after(start: Instant, seconds: u64) -> Moment {
    Moment { now: start + Duration::from_secs(seconds), lapsed: None }
}

fn sizes(model: &Model) -> (usize, usize, usize) {
    let orders = name("orders");
    (model.instances(&orders).len(), model.suspects(&orders).len(), model.nodes().len())
}

#[test]
fn one_death_is_believed_at_once() {
    let mut model = cluster(3);
    let delta = model.apply(&end_of(1, 6), now());
    assert_eq!(told(&delta), ["down 1 left=false"]);
    assert_eq!((sizes(&model), model.next_due()), ((2, 0, 2), None));
}

#[test]
fn a_mass_is_kept_for_one_more_lease_and_brings_back_its_first_victims() {
    let (mut model, start) = (cluster(6), Instant::now());
    for (n, seconds) in [(1, 0), (2, 1)] {
        let delta = model.apply(&end_of(n, 5 + n as i64), after(start, seconds));
        assert_eq!(told(&delta), [format!("down {n} left=false")]);
    }
    let delta = model.apply(&end_of(3, 8), after(start, 2));
    assert!(told(&delta)[0].starts_with("Suspect"), "{delta:?}");
    assert_eq!((delta.events.len(), sizes(&model)), (3, (6, 3, 6)));
    // Each for one lease time from when it vanished.
    for (seconds, left) in [(4, (6, 3, 6)), (5, (5, 2, 5)), (6, (4, 1, 4)), (7, (3, 0, 3))] {
        model.expire(after(start, seconds));
        assert_eq!(sizes(&model), left, "after {seconds} s");
    }
    // The same again: what was dropped then does not come back.
    let later = after(start, 8);
    let delta = model.apply(&end_of(4, 9), later);
    assert!(told(&delta)[0].starts_with("Suspect"), "{delta:?}");
    assert_eq!(sizes(&model), (3, 1, 3));
}

#[test]
fn who_registers_again_is_up_and_who_says_bye_has_left() {
    let (mut model, start) = (cluster(3), Instant::now());
    let all: Vec<WatchEvent> = (1..=3).flat_map(|n| end_of(n, 6)).collect();
    assert_eq!(model.apply(&all, after(start, 0)).events.len(), 3);
    assert_eq!(told(&model.apply(&both(1, 7), after(start, 1))), ["up 1"]);
    assert_eq!(told(&model.apply(&[farewell(2, 8)], after(start, 2))), ["down 2 left=true"]);
    assert_eq!(sizes(&model), (2, 1, 3));
    let delta = model.expire(after(start, 5));
    assert_eq!(told(&delta), ["down 3 left=false"]);
    assert_eq!((sizes(&model), model.next_due()), ((1, 0, 1), None));
}

#[test]
fn instances_of_an_earlier_life_are_not_kept() {
    let (mut model, start) = (cluster(3), Instant::now());
    let all: Vec<WatchEvent> = (1..=3).flat_map(|n| end_of(n, 6)).collect();
    model.apply(&all, after(start, 0));
    let delta = model.apply(&[put_node(1, 2, 7)], after(start, 1));
    assert_eq!(told(&delta), ["down 1 left=false"]);
    // Nor in a list.
    let list = [put_node(2, 2, 8).kv, put_node(1, 2, 7).kv];
    let delta = model.replace(&list, Revision(9), after(start, 2));
    assert_eq!(told(&delta), ["down 2 left=false"]);
    assert_eq!(sizes(&model), (1, 1, 3));
}

#[test]
fn those_who_left_in_order_are_no_mass() {
    let (mut model, start) = (cluster(3), Instant::now());
    for n in 1..=3 {
        let [instance, node] = end_of(n, 5 + n as i64);
        let delta = model.apply(&[instance, farewell(n, 5 + n as i64), node], after(start, n));
        assert_eq!(told(&delta), [format!("down {n} left=true")]);
    }
    assert_eq!(sizes(&model), (0, 0, 0));
}

#[test]
fn a_node_whose_own_lease_vanished_keeps_everything() {
    for listed in [true, false] {
        let (mut model, start) = (cluster(2), Instant::now());
        let at = Moment { lapsed: Some(start), ..after(start, 3) };
        let all: Vec<WatchEvent> = (1..=2).flat_map(|n| end_of(n, 6)).collect();
        let delta =
            if listed { model.replace(&[], Revision(6), at) } else { model.apply(&all, at) };
        assert_eq!((delta.events.len(), sizes(&model)), (2, (2, 2, 2)));
        // A list that still lacks them gives no more time.
        let at = Moment { lapsed: Some(start), ..after(start, 6) };
        assert!(model.replace(&[], Revision(7), at).events.is_empty());
        // Nobody is dropped while the own lease is in doubt.
        let doubt = after(start, 8);
        let doubt = Moment { lapsed: Some(doubt.now), ..doubt };
        assert!(model.expire(doubt).events.is_empty());
        let at = Moment { lapsed: Some(doubt.now), ..after(start, 12) };
        assert!(model.expire(at).events.is_empty());
        let at = Moment { lapsed: Some(doubt.now), ..after(start, 13) };
        assert_eq!(model.expire(at).events.len(), 2);
        assert_eq!(sizes(&model), (0, 0, 0));
    }
}

#[test]
fn the_own_registration_seen_to_vanish_is_enough_and_brings_back_who_went_before() {
    let mut model = Model::new(keys(), Guard::new(name("n2"), TTL));
    let kvs: Vec<KeyValue> = (1..=2).flat_map(|n| both(n, 2)).map(|event| event.kv).collect();
    model.replace(&kvs, Revision(5), now());
    let start = Instant::now();
    assert_eq!(told(&model.apply(&end_of(1, 6), after(start, 0))), ["down 1 left=false"]);
    let delta = model.apply(&end_of(2, 7), after(start, 1));
    assert_eq!((delta.events.len(), sizes(&model)), (2, (2, 2, 2)));
}

#[test]
fn a_key_deleted_by_hand_is_believed_also_in_a_mass() {
    let (mut model, start) = (cluster(4), Instant::now());
    let all: Vec<WatchEvent> = (1..=3).flat_map(|n| end_of(n, 6)).collect();
    model.apply(&all, after(start, 0));
    let [instance, _] = end_of(4, 7);
    assert_eq!(told(&model.apply(&[instance], after(start, 1))), ["down 4 left=false"]);
}
