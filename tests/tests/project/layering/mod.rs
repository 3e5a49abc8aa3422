//! Imports point down the layers.
//!
//! [`LAYERS`] says where each module stands. A path in code counts as an import wherever it is
//! written: in `use`, in an expression, a type, an attribute or the arguments of a macro. Names
//! that a module re-exports count as what they stand for. Code under `cfg(test)` is exempt.

mod check;
mod tree;

use check::{layer_of, violations};
use tree::Tree;

use crate::source::{files, root, shown};

/// Lower layers first. A folder stands where its own `mod.rs` stands, and a module within it that
/// is listed by itself stands elsewhere. **A new module of `src` is added here**, to the lowest
/// layer from which it can reach what it needs.
const LAYERS: [(u8, &[&str]); 7] = [
    // Vocabulary. The words of the log (ids, names, limits, errors) are of it, the port is not: a
    // frame is cut and read without one.
    (0, &["id", "message", "error", "time", "sync", "platform", "log::stream", "log::error"]),
    // The local core, and logic without I/O.
    (
        1,
        &[
            "actor",
            "mailbox",
            "host",
            "address",
            "pool",
            "topic",
            "inspect",
            "supervision::breaker",
            "supervision::backoff",
            "supervision::intensity",
            "resource::share",
            "resource::bucket",
            "bus::frame",
            "bus::codec",
            "bus::keys",
        ],
    ),
    // The ports and their adapters.
    (2, &["kv", "log"]),
    // What is written once over the ports.
    (3, &["directory", "bus"]),
    (4, &["health", "letters", "service", "resource", "supervision"]),
    // Composition.
    (5, &["system", "workflow", "testing", "prelude", "__private"]),
    // What an operator touches.
    (6, &["cli", "orchestrator", "bin"]),
];

/// The layer whose modules see the vocabulary and themselves, but neither each other nor the core.
const PORTS: u8 = 2;

#[test]
fn imports_point_down_the_layers() {
    let tree = Tree::read(&root().join("src/lib.rs"));
    assert!(tree.modules().len() >= 8, "read only {} modules", tree.modules().len());
    let found = violations(&tree);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_source_file_belongs_to_the_tree() {
    let tree = Tree::read(&root().join("src/lib.rs"));
    let lost: Vec<_> = files("src", "rs")
        .into_iter()
        .filter(|file| !tree.files().contains(file))
        .map(|file| shown(&file))
        .filter(|file| !file.starts_with("src/bin/") && file != "src/main.rs")
        .collect();
    assert!(lost.is_empty(), "no `mod` declares {lost:?}, so nothing compiles or checks them");
}

/// A crate of these files, given by their paths below `src`.
fn sample(files: &[(&str, &str)]) -> Vec<String> {
    violations(&Tree::of_sample(files))
}

#[test]
fn a_wrong_import_is_caught() {
    let found = sample(&[
        ("lib.rs", "mod bus; mod mailbox;"),
        ("bus/mod.rs", "pub struct Lane;"),
        ("mailbox.rs", "use crate::bus::Lane;"),
    ]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("src/mailbox.rs:1"), "{found:?}");
    assert!(found[0].contains("`crate::bus::Lane`"), "{found:?}");
    assert!(found[0].contains("layer 1") && found[0].contains("layer 3"), "{found:?}");
}

#[test]
fn an_import_is_caught_in_whatever_form_it_is_written() {
    for import in [
        "use crate::{id::Name, bus::{self, Lane}};",
        "use super::bus::Lane;",
        "fn f() { crate::bus::open(); }",
        "fn f(lane: &crate::bus::Lane) {}",
        "fn f() { log!(\"{}\", crate::bus::open()); }",
        "fn f() { log!(\"{}\", super::bus::open()); }",
        "mod inner { use super::super::bus::Lane; }",
        "#[derive(crate::bus::Shape)] struct S;",
        "pub(crate) use crate::bus::Lane as Track;",
        "impl crate::bus::Open for () {}",
        "use crate::Lane;",
        "#[cfg(not(test))] use crate::bus::Lane;",
        "#[cfg(any(test, feature = \"x\"))] use crate::bus::Lane;",
        "macro_rules! open { () => { $crate::bus::open() } }",
    ] {
        let found = sample(&[
            ("lib.rs", "mod bus; mod id; mod mailbox; pub use bus::Lane;"),
            ("bus/mod.rs", ""),
            ("id.rs", ""),
            ("mailbox.rs", import),
        ]);
        assert!(!found.is_empty(), "not caught: {import}");
    }
}

#[test]
fn what_points_down_or_aside_is_let_through() {
    let found = sample(&[
        ("lib.rs", "mod bus; mod id; mod mailbox; mod host; pub use id::Name;"),
        ("id.rs", "pub struct Name;"),
        ("host.rs", "use crate::mailbox::Room;"),
        ("mailbox.rs", "use crate::{Name, host, id}; use std::fmt; use super::id as names;"),
        ("bus/mod.rs", "mod frame; mod lane; pub use frame::Frame; use crate::mailbox::Room;"),
        (
            "bus/lane.rs",
            "use super::Frame; use crate::bus::frame::Head; use self::inner::A; mod inner { pub struct A; }",
        ),
        ("bus/frame.rs", "use crate::id::Name;"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_name_counts_as_what_it_is_re_exported_from() {
    let files = |import: &'static str| {
        [
            ("lib.rs", "mod bus; mod mailbox; pub use bus::{Frame, Lane};"),
            ("bus/mod.rs", "mod frame; mod lane; pub use frame::Frame; pub use lane::Lane;"),
            ("bus/frame.rs", ""),
            ("bus/lane.rs", ""),
            ("mailbox.rs", import),
        ]
    };
    assert!(sample(&files("use crate::Frame;")).is_empty());
    assert!(sample(&files("use crate::bus::Frame;")).is_empty());
    assert_eq!(sample(&files("use crate::Lane;")).len(), 1);
}

#[test]
fn a_module_in_a_file_of_another_name_is_read() {
    let found = sample(&[
        ("lib.rs", "mod bus; #[path = \"box.rs\"] mod mailbox;"),
        ("bus/mod.rs", ""),
        ("box.rs", "use crate::bus::Lane;"),
    ]);
    assert!(found.len() == 1 && found[0].contains("src/box.rs:1"), "{found:?}");
}

#[test]
fn tests_within_a_module_are_exempt() {
    let found = sample(&[
        ("lib.rs", "mod bus; mod mailbox;"),
        ("bus/mod.rs", ""),
        (
            "mailbox/mod.rs",
            "#[cfg(test)] mod tests; #[cfg(all(test, loom))] use crate::bus::Lane;\n\
             #[cfg(test)] mod more { use crate::bus::Lane; }",
        ),
        ("mailbox/tests.rs", "use crate::bus::Lane;"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_port_sees_only_the_vocabulary_and_itself() {
    let files = |import: &'static str| {
        [
            ("lib.rs", "mod id; mod mailbox; mod kv; mod log;"),
            ("id.rs", ""),
            ("mailbox.rs", ""),
            ("kv/mod.rs", "pub mod embedded;"),
            ("kv/embedded.rs", import),
            ("log/mod.rs", "pub mod stream;"),
            ("log/stream.rs", ""),
        ]
    };
    assert!(sample(&files("use crate::{id::Name, kv::Revision};")).is_empty());
    assert_eq!(sample(&files("use crate::log::Stream;")).len(), 1);
    assert_eq!(sample(&files("use crate::mailbox::Room;")).len(), 1);
    assert_eq!(sample(&files("use crate::log::stream::EntryId;")).len(), 1);
}

#[test]
fn a_module_without_a_layer_is_told_where_to_go() {
    let found = sample(&[("lib.rs", "mod gadgets;"), ("gadgets.rs", "")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("`gadgets`"), "{found:?}");
    assert!(found[0].contains("LAYERS in tests/tests/project/layering"), "{found:?}");
}

#[test]
fn the_longest_listed_path_decides() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(layer_of(&path("bus::frame::head")), Some(1));
    assert_eq!(layer_of(&path("bus::lane")), Some(3));
    assert_eq!(layer_of(&path("supervision::supervisor")), Some(4));
    assert_eq!(layer_of(&path("gadgets")), None);
}
