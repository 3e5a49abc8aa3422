//! The examples, run as a newcomer would, with nothing installed but the toolchain.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the root").into()
}

fn run_example(name: &str, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["run", "--quiet", "--example", name, "--"])
        .args(arguments)
        .env_remove("CALLBOARD_ETCD")
        .env_remove("CALLBOARD_REDIS")
        .env_remove("RUST_LOG")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

mod quickstart {
    use super::*;

    #[test]
    fn it_says_what_the_readme_shows() {
        let output = run_example("quickstart", &[]);
        let said = text(&output.stdout);
        let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
        assert!(readme.contains(said.trim_end()), "the README does not show this:\n{said}");
        let log = text(&output.stderr);
        assert!(log.contains("thirteen is unlucky"), "the panic is visible: {log}");
        assert!(log.contains("the actor is built again"), "the restart is visible: {log}");
        let lines = include_str!("../../../examples/quickstart.rs").lines().count();
        assert!(lines < 60, "the first thing that a newcomer reads has {lines} lines");
    }
}

mod wordcount {
    use super::*;

    /// The count by other means, as the example's own text gives it.
    const BY_THE_SHELL: &str = r#"
        grep -rIl --null --exclude-dir=target --exclude-dir='.?*' '' "$1" | xargs -0 cat |
          LC_ALL=C tr -cs 'A-Za-z' '\n' | LC_ALL=C tr 'A-Z' 'a-z' | sed '/^$/d' |
          LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | head -n 200
    "#;

    #[test]
    fn the_count_equals_that_of_the_shell() {
        for folder in ["book", "src"] {
            let counted = text(&run_example("wordcount", &[folder, "200"]).stdout);
            let mut ours: Vec<_> = counted.lines().skip(1).take(200).map(str::trim).collect();
            let shell = Command::new("sh")
                .current_dir(root())
                .args(["-c", BY_THE_SHELL, "sh", folder])
                .output()
                .expect("a shell");
            let theirs = text(&shell.stdout);
            let mut theirs: Vec<_> = theirs.lines().map(str::trim).collect();
            assert_eq!(theirs.len(), 200, "{}", text(&shell.stderr));
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "the words of {folder}");
        }
    }
}
