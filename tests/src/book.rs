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
    getting_started: include_str!("../../book/src/getting-started.md");
    testing: include_str!("../../book/src/testing.md");
    readme: include_str!("../../README.md");
}
