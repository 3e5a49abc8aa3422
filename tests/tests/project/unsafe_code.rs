//! Both crates forbid unsafe code, in every root that is compiled on its own.

use crate::source::{files, lines_with, read, shown, tokens};

const FORBID: [&str; 8] = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];

fn forbids_unsafe(text: &str) -> bool {
    !lines_with(&tokens(text), &FORBID).is_empty()
}

#[test]
fn both_crates_forbid_unsafe_code() {
    let mut roots = files("src/bin", "rs");
    roots.extend(files("src", "rs").into_iter().filter(|path| {
        let shown = shown(path);
        shown == "src/lib.rs" || shown == "src/main.rs"
    }));
    roots.extend(files("macros/src", "rs").into_iter().filter(|path| path.ends_with("lib.rs")));
    assert!(roots.len() >= 2, "found only {roots:?}");
    for root in roots {
        assert!(
            forbids_unsafe(&read(&root)),
            "{} lacks #![forbid(unsafe_code)]; the fast paths were measured without unsafe",
            shown(&root)
        );
    }
}

#[test]
fn a_weaker_attribute_is_not_enough() {
    assert!(forbids_unsafe("//! Text.\n#![forbid(unsafe_code)]\nmod a;"));
    assert!(!forbids_unsafe("#![deny(unsafe_code)]"));
    assert!(!forbids_unsafe("//! #![forbid(unsafe_code)]"));
}
