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
            equals_the_shells(&text(&run_example("wordcount", &[folder, "200"]).stdout), folder);
        }
    }

    fn equals_the_shells(counted: &str, folder: &str) {
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

    #[cfg(feature = "cluster")]
    mod killed {
        use std::{
            process::{Child, Stdio},
            time::{Duration, Instant},
        };

        use callboard::log::CLAIM_GRACE;
        use callboard_tests::servers::{EtcdServer, RedisServer};

        use super::*;

        /// Ended when it is dropped.
        struct Program(Child);

        impl Drop for Program {
            fn drop(&mut self) {
                self.0.kill().and_then(|()| self.0.wait()).expect("it can be ended");
            }
        }

        struct Servers {
            etcd: EtcdServer,
            redis: RedisServer,
        }

        impl Servers {
            fn wordcount(&self, arguments: &[&str]) -> Program {
                let child = Command::new(env!("CARGO"))
                    .current_dir(root())
                    .args(["build", "--quiet", "-p", "callboard", "--all-features"])
                    .args(["--example", "wordcount"])
                    .status()
                    .expect("cargo runs");
                assert!(child.success(), "the example is built");
                let target = std::env::current_exe().expect("this test's own path");
                let folder = target.ancestors().nth(2).expect("target/debug/deps/..");
                let child = Command::new(folder.join("examples/wordcount"))
                    .current_dir(root())
                    .args(arguments)
                    .env("CALLBOARD_ETCD", self.etcd.url())
                    .env("CALLBOARD_REDIS", self.redis.url())
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn();
                Program(child.expect("it can be started"))
            }

            /// How many entries are pending for each consumer.
            async fn pending(&self) -> Vec<(String, u64)> {
                let key = "cb:default:{s:mapper:0}:in";
                let groups = self.redis.cli(&["XINFO", "GROUPS", key]).await.unwrap_or_default();
                let mut lines = groups.lines().skip_while(|line| *line != "name");
                let Some(group) = lines.nth(1) else { return Vec::new() };
                let known = self.redis.cli(&["XINFO", "CONSUMERS", key, group]).await;
                let known = known.unwrap_or_default();
                let lines: Vec<_> = known.lines().collect();
                let value = |at: usize| lines.get(at + 1).copied().unwrap_or_default();
                let fields = |name: &str| {
                    let at = lines.iter().enumerate().filter(move |(_, line)| ***line == *name);
                    at.map(|(at, _)| at).collect::<Vec<_>>()
                };
                let pairs = fields("name").into_iter().zip(fields("pending"));
                pairs
                    .map(|(name, pending)| {
                        (value(name).to_owned(), value(pending).parse().unwrap_or(0))
                    })
                    .collect()
            }
        }

        #[tokio::test]
        async fn a_worker_that_is_killed_leaves_the_totals_right() {
            let redis = RedisServer::start().await;
            let up = Instant::now();
            let servers = Servers { etcd: EtcdServer::start().await, redis };
            let mut with_work_in_hand = false;
            for _ in 0..5 {
                let mut worker = servers.wordcount(&["worker"]);
                // Also lets the worker before be forgotten.
                let wait = CLAIM_GRACE.saturating_sub(up.elapsed()) + Duration::from_secs(2);
                tokio::time::sleep(wait).await;
                let mut counting = servers.wordcount(&["src", "200"]);
                let until = Instant::now() + Duration::from_secs(10);
                while !servers.pending().await.iter().any(|(_, pending)| *pending > 0)
                    && counting.0.try_wait().expect("ours").is_none()
                    && Instant::now() < until
                {}
                worker.0.kill().expect("it can be killed");
                let counted = tokio::task::spawn_blocking(move || {
                    let output = counting.0.stdout.take().expect("it is piped");
                    std::io::read_to_string(output).map(|text| (text, counting))
                });
                // What the living have in hand is done by then.
                tokio::time::sleep(Duration::from_secs(3)).await;
                let left = servers.pending().await;
                with_work_in_hand |= left.iter().any(|(_, pending)| *pending > 0);
                let counted = tokio::time::timeout(Duration::from_secs(60), counted).await;
                let (counted, _counting) =
                    counted.expect("it ends").expect("no panic").expect("text");
                equals_the_shells(&counted, "src");
                if with_work_in_hand {
                    return;
                }
            }
            panic!("no worker was killed with anything in hand");
        }
    }
}
