//! What only Unix has stays in one module, with a fallback beside it.

use crate::source::{files, lines_with, read, shown, tokens};

/// The only file that may depend on the system it runs on.
const PLATFORM: &str = "src/platform.rs";

/// Names that exist on Unix only, or ask which system this is.
const UNIX_ONLY: [&str; 14] = [
    "unix",
    "libc",
    "nix",
    "rustix",
    "signal_hook",
    "SignalKind",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "target_os",
    "target_family",
    "linux",
    "macos",
    "windows",
];

fn unix_only(text: &str) -> Vec<(usize, &'static str)> {
    let tokens = tokens(text);
    let mut found: Vec<_> = UNIX_ONLY
        .into_iter()
        .flat_map(|name| lines_with(&tokens, &[name]).into_iter().map(move |line| (line, name)))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn code_for_one_system_stays_in_the_platform_module() {
    let mut wrong = Vec::new();
    for file in files("src", "rs").into_iter().chain(files("macros/src", "rs")) {
        if shown(&file) == PLATFORM {
            continue;
        }
        for (line, name) in unix_only(&read(&file)) {
            wrong.push(format!("{}:{line}: `{name}`", shown(&file)));
        }
    }
    assert!(
        wrong.is_empty(),
        "move this to {PLATFORM}, behind a function with a fallback for other systems:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_platform_module_has_a_fallback() {
    for file in files("src", "rs").into_iter().filter(|file| shown(file) == PLATFORM) {
        let fallback = lines_with(&tokens(&read(&file)), &["not", "(", "unix", ")"]);
        assert!(!fallback.is_empty(), "{PLATFORM} has nothing under cfg(not(unix))");
    }
}

#[test]
fn unix_only_code_is_caught() {
    let samples = [
        "use std::os::unix::fs::PermissionsExt;",
        "use std::os::{unix, raw};",
        "#[cfg(unix)]\nfn f() {}",
        "fn f() { unsafe { libc::getpid() }; }",
        "use tokio::signal::unix::{SignalKind, signal};",
        "#[cfg(target_os = \"linux\")]\nfn f() {}",
    ];
    for sample in samples {
        assert!(!unix_only(sample).is_empty(), "not caught: {sample}");
    }
    assert!(unix_only("/// On unix.\nfn f() -> &'static str { \"unix\" }").is_empty());
}
