//! What only Unix has stays in one module, with a fallback beside it.

use crate::source::{files, lines_with, read, shown, tokens};

/// The only file that may depend on the system it runs on.
const PLATFORM: &str = "src/platform.rs";

/// What exists on one system only, or asks which system this is.
const ONE_SYSTEM: [&[&str]; 13] = [
    &["unix"],
    &["libc"],
    &["nix"],
    &["rustix"],
    &["signal_hook"],
    &["SignalKind"],
    &["UnixStream"],
    &["UnixListener"],
    &["UnixDatagram"],
    &["target_os"],
    &["target_family"],
    // Slices have a method of this name.
    &["(", "windows", ")"],
    &["os", ":", ":", "windows"],
];

fn one_system(text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    let mut found: Vec<_> = ONE_SYSTEM
        .into_iter()
        .flat_map(|wanted| {
            lines_with(&tokens, wanted).into_iter().map(|line| (line, wanted.concat()))
        })
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
        for (line, name) in one_system(&read(&file)) {
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
fn code_for_one_system_is_caught() {
    let samples = [
        "use std::os::unix::fs::PermissionsExt;",
        "use std::os::{unix, raw};",
        "#[cfg(unix)]\nfn f() {}",
        "fn f() { unsafe { libc::getpid() }; }",
        "use tokio::signal::unix::{SignalKind, signal};",
        "#[cfg(target_os = \"linux\")]\nfn f() {}",
        "#[cfg(windows)]\nfn f() {}",
        "#[cfg(not(windows))]\nfn f() {}",
        "use std::os::windows::io::AsHandle;",
    ];
    for sample in samples {
        assert!(!one_system(sample).is_empty(), "not caught: {sample}");
    }
    assert!(one_system("fn f(x: &[u8]) { x.windows(2); }").is_empty());
    assert!(one_system("/// On unix.\nfn f() -> &'static str { \"unix\" }").is_empty());
}
