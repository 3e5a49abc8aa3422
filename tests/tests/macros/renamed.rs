//! Stands for a crate that depends on callboard under another name.
//!
//! The macros look the name up in the manifest of the crate that they run in; this package has it
//! under its own name, so the lookup itself is checked by a package that the test writes.

use std::{fs, path::Path, process::Command};

const MANIFEST: &str = r#"
[package]
name = "renamed"
version = "0.0.0"
edition = "2024"

[dependencies]
stage = { package = "callboard", path = "CALLBOARD" }

[workspace]
"#;

const SOURCE: &str = r#"
use stage::prelude::*;

#[derive(Message)]
#[message(reply = u64)]
pub struct Add(u64);

#[derive(Actor, Default)]
#[actor(mailbox(capacity = 8))]
pub struct Counter(u64);

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        self.0 += n;
        self.0
    }
}

#[stage::main]
async fn main(system: System) -> stage::Result<()> {
    let counter = system.spawn(Counter::default)?;
    assert_eq!(counter.ask(Add(1)).await?, 1);
    Ok(())
}
"#;

#[test]
fn a_renamed_dependency_is_found_when_the_macros_compile() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a member of the workspace");
    let target = root.join("target/tests");
    let package = target.join("renamed");
    fs::create_dir_all(package.join("src")).expect("a folder for the package");
    let manifest = MANIFEST.replace("CALLBOARD", &root.display().to_string());
    fs::write(package.join("Cargo.toml"), manifest).expect("the manifest can be written");
    fs::write(package.join("src/main.rs"), SOURCE).expect("the source can be written");
    fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")).expect("the lock file");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
