use callboard::{
    directory::{DirectoryError, Mode, ServiceDef},
    testing::KvFaults,
};

use crate::cluster::{Cluster, name};

fn keyed(partitions: u32) -> ServiceDef {
    ServiceDef { mode: Mode::Keyed { partitions }, ..ServiceDef::default() }
}

#[tokio::test(start_paused = true)]
async fn the_first_definition_stands() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.node("a").await, cluster.node("b").await);
    let orders = name("orders");
    a.directory.define(&orders, keyed(4)).await.unwrap();
    assert_eq!(a.directory.definition(&orders).as_deref(), Some(&keyed(4)));
    b.directory.define(&orders, keyed(4)).await.unwrap();
    let refused = b.directory.define(&orders, keyed(8)).await.unwrap_err();
    let DirectoryError::DefinedDifferently { service, stands, asked } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((service, &**stands, &**asked), (&orders, &keyed(4), &keyed(8)));
    let text = refused.to_string();
    assert!(text.contains("partitions: 4") && text.contains("partitions: 8"), "{text}");
    assert_eq!(b.directory.definition(&orders).as_deref(), Some(&keyed(4)));
    assert_eq!(b.directory.services(), [orders]);
}

#[tokio::test(start_paused = true)]
async fn a_definition_outlives_its_nodes_and_can_be_replaced() {
    let cluster = Cluster::default();
    let orders = name("orders");
    let a = cluster.node("a").await;
    a.directory.define(&orders, keyed(4)).await.unwrap();
    a.directory.shutdown().await.unwrap();
    let b = cluster.node("b").await;
    assert_eq!(b.directory.definition(&orders).as_deref(), Some(&keyed(4)));
    let before = b.directory.redefine(&orders, keyed(8)).await.unwrap();
    assert_eq!(before, Some(keyed(4)));
    assert_eq!(b.directory.definition(&orders).as_deref(), Some(&keyed(8)));
    assert_eq!(b.directory.redefine(&name("mail"), keyed(1)).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn of_many_different_definitions_at_once_one_stands() {
    let cluster = Cluster::default();
    let mut nodes = Vec::new();
    for n in 0..5 {
        nodes.push(cluster.node(&format!("n{n}")).await);
    }
    for round in 0..10 {
        let service = name(&format!("s{round}"));
        let defining =
            nodes.iter().zip(1..).map(|(node, n)| node.directory.define(&service, keyed(n)));
        let outcomes = futures_util::future::join_all(defining).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_definition_whose_answer_was_lost_is_no_conflict_with_itself() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    for round in 0..50 {
        node.line.set(KvFaults { ambiguous: 0.5, ..KvFaults::default() });
        let service = name(&format!("s{round}"));
        match node.directory.define(&service, keyed(4)).await {
            Ok(()) | Err(DirectoryError::Store(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_nobody_can_read_does_not_stand() {
    let cluster = Cluster::default();
    let node = cluster.node("a").await;
    cluster.put("def/orders", "garbage").await;
    node.directory.define(&name("orders"), keyed(4)).await.unwrap();
    assert_eq!(node.directory.definition(&name("orders")).as_deref(), Some(&keyed(4)));
    let refused = node.directory.define(&name("mail"), keyed(0)).await.unwrap_err();
    assert!(matches!(refused, DirectoryError::Record(_)), "{refused}");
}
