//! What a person sees of a cluster with the servers' own clients, against the book.

use std::collections::BTreeMap;

use callboard::prelude::*;
use callboard_tests::worker::{Echo, Put, Worker};

use crate::support::{Cluster, order, sees};

const BOOK: &str = include_str!("../../../book/src/two-terminals.md");

/// The first column of the table below a heading.
fn keys_of(heading: &str) -> Vec<String> {
    let section = BOOK.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading:?}"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.filter_map(|row| Some(row.split('`').nth(1)?.to_owned())).collect()
}

/// Whether a key is one of a pattern in which `<..>` stands for a part.
fn fits(pattern: &str, key: &str) -> bool {
    let mut rest = key;
    let mut pieces = pattern.split('<');
    let Some(after) = rest.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    rest = after;
    for piece in pieces {
        let literal = piece.split_once('>').map_or("", |(_, literal)| literal);
        let part = rest.find(['/', ':', '{', '}']).unwrap_or(rest.len());
        let Some(after) = rest[part..].strip_prefix(literal) else { return false };
        if part == 0 {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

#[test]
fn a_pattern_fits_keys_of_its_form_alone() {
    assert!(fits("/callboard/<cluster>/svc/<service>/<instance>", "/callboard/a/svc/b/c-0"));
    assert!(!fits("/callboard/<cluster>/svc/<service>/<instance>", "/callboard/a/svc/b"));
    assert!(!fits("/callboard/<cluster>/svc/<service>/<instance>", "/callboard/a/svc/b/c/d"));
    assert!(fits("cb:<cluster>:{s:<service>:0}:in", "cb:a:{s:b.c:0}:in"));
    assert!(!fits("cb:<cluster>:{s:<service>:0}:in", "cb:a:{s:b:0}:hw"));
}

#[tokio::test]
async fn etcdctl_and_redis_cli_show_what_the_book_says() {
    let cluster = Cluster::start().await;
    let system = cluster.system("test").await;
    let mut worker = cluster.worker("w1").await;
    order(&mut worker, "serve jobs 1").await;
    order(&mut worker, "serve leaving 1").await;
    order(&mut worker, "stop leaving").await;
    sees(&system, "jobs", 1).await;
    let service: ServiceRef<Worker> = system.service("jobs");
    service.ask(Echo { n: 0, micros: 0 }).await.expect("it runs");
    for id in 0..10 {
        service.tell(Put { id, micros: 0 }).await.expect("it runs");
    }
    cluster.all_handled(&["w1"], 10).await;

    let shown = cluster.etcd.ctl(&["get", "--prefix", "/callboard/"]).await.expect("it runs");
    let mut lines = shown.lines();
    let patterns = keys_of("## In etcd");
    let mut seen = BTreeMap::<&str, u32>::new();
    while let (Some(key), Some(value)) = (lines.next(), lines.next()) {
        let pattern = patterns.iter().find(|pattern| fits(pattern, key));
        let pattern = pattern.unwrap_or_else(|| panic!("the book has no {key}"));
        *seen.entry(pattern).or_default() += 1;
        let json: Result<serde_json::Value, _> = serde_json::from_str(value);
        assert!(json.is_ok(), "{key} is no JSON: {value}");
    }
    assert_eq!(seen.len(), patterns.len(), "the book has keys that are not there: {seen:?}");

    let shown = cluster.redis.cli(&["KEYS", "*"]).await.expect("it runs");
    let patterns = keys_of("## In Redis");
    let mut seen = BTreeMap::<&str, u32>::new();
    for key in shown.lines() {
        let pattern = patterns.iter().find(|pattern| fits(pattern, key));
        let pattern = pattern.unwrap_or_else(|| panic!("the book has no {key}"));
        *seen.entry(pattern).or_default() += 1;
    }
    assert!(seen.len() >= 5, "too little to compare: {seen:?}");

    let stream = ["XINFO".to_owned(), "STREAM".to_owned(), "cb:shop:{s:jobs:0}:in".to_owned()];
    let about = cluster.redis.cli(&stream).await.expect("it runs");
    let about: Vec<_> = about.lines().collect();
    let field = |name: &str| {
        let at = about.iter().position(|line| *line == name);
        about[at.unwrap_or_else(|| panic!("no {name}: {about:?}")) + 1]
    };
    assert_eq!((field("length"), field("groups")), ("0", "1"), "all are settled");
    system.shutdown().await.expect("the servers run");
}
