//! The code of the book and of the README, as doctests.
//!
//! A page with Rust code is listed here; the `project` tests check that none is missing.

/// Each page documents a module, which names it in the output of the tests.
macro_rules! pages {
    ($($name:ident: $page:expr;)*) => {
        $(#[doc = $page] pub mod $name {})*
    };
}

pages! {
    actors: include_str!("../../book/src/actors.md");
    asking: include_str!("../../book/src/asking.md");
    coming_from_actix: include_str!("../../book/src/coming-from/actix.md");
    coming_from_kameo: include_str!("../../book/src/coming-from/kameo.md");
    coming_from_ractor: include_str!("../../book/src/coming-from/ractor.md");
    configuration: include_str!("../../book/src/configuration.md");
    dead_letters: include_str!("../../book/src/dead-letters.md");
    directory: include_str!("../../book/src/directory.md");
    getting_started: include_str!("../../book/src/getting-started.md");
    health: include_str!("../../book/src/health.md");
    inspecting: include_str!("../../book/src/inspecting.md");
    leaders: include_str!("../../book/src/leaders.md");
    lifecycle: include_str!("../../book/src/lifecycle.md");
    mailboxes: include_str!("../../book/src/mailboxes.md");
    messages: include_str!("../../book/src/messages.md");
    pools: include_str!("../../book/src/pools.md");
    testing: include_str!("../../book/src/testing.md");
    running_etcd: include_str!("../../book/src/running-etcd.md");
    readme: include_str!("../../README.md");
    timers_and_streams: include_str!("../../book/src/timers-and-streams.md");
}
