//! The top of the repository holds these entries and no others.

use std::{collections::BTreeSet, fs, process::Command};

use crate::source::root;

const ENTRIES: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "book",
    "examples",
    "macros",
    "src",
    "tests",
];

/// The first parts of the paths of all tracked files, without dot-files; where there is no git, of
/// all files but the build's.
fn entries() -> BTreeSet<String> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    match listed {
        Ok(output) if output.status.success() => {
            let paths = String::from_utf8(output.stdout).expect("paths are UTF-8");
            top_of(paths.split_terminator('\0'))
        }
        _ => {
            let folder = fs::read_dir(root()).expect("the repository can be read");
            let names = folder.map(|entry| entry.expect("readable").file_name());
            let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
            top_of(names.iter().map(String::as_str).filter(|name| *name != "target"))
        }
    }
}

fn top_of<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    paths
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .map(str::to_owned)
        .collect()
}

fn strangers(found: &BTreeSet<String>) -> Vec<&str> {
    found.iter().map(String::as_str).filter(|name| !ENTRIES.contains(name)).collect()
}

#[test]
fn nothing_else_lies_at_the_top_level() {
    let found = entries();
    let strangers = strangers(&found);
    assert!(
        strangers.is_empty(),
        "{strangers:?} at the top level: put it into one of {ENTRIES:?}, or into a dot-folder"
    );
}

#[test]
fn every_entry_of_the_layout_is_there() {
    let found = entries();
    let missing: Vec<_> = ENTRIES.into_iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?} missing at the top level");
}

#[test]
fn a_stranger_at_the_top_level_is_caught() {
    let found = top_of([".ci/run", "src/lib.rs", "docs/a.md", "todo.txt"].into_iter());
    assert_eq!(strangers(&found), ["docs", "todo.txt"]);
}
