//! Other frameworks between two processes of their own.
//!
//! Their program is a package beside this one, `peers`: what they need to go between processes would
//! change them in the benchmarks of one process too. It is built when it is first needed, with the
//! same profile.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    Result,
    sample::{Sample, Timed, Used},
    worker::Worker,
};

/// Another framework.
#[derive(Debug)]
pub struct Peer {
    /// For `--peers`, and as its program knows it.
    pub key: &'static str,
    /// How it is arranged.
    pub arranged: &'static str,
}

/// All of them.
pub const PEERS: [Peer; 3] = [
    Peer {
        key: "ractor",
        arranged: "ractor_cluster 0.16.5: a session of two `NodeServer`s over TCP, not encrypted, as its \
                   documentation starts them; the actor is found by its process group. A `cast` is put \
                   into an unbounded mailbox and says nothing of what becomes of it; a `call` has an \
                   answer",
    },
    Peer {
        key: "kameo",
        arranged: "kameo 0.22.2 with `remote`: a swarm of libp2p over QUIC, encrypted as all its \
                   transports are; the actor is found by its name in the swarm's table. Tells are those \
                   with an acknowledgment, 1024 awaited at a time: without it, what is beyond the bound \
                   of streams is dropped in silence",
    },
    Peer {
        key: "telepathy",
        arranged: "actix-telepathy 0.7.0: two nodes of a `Cluster` over TCP, not encrypted; the actor is \
                   found by a `ClusterListener`. `do_send` is put into an unbounded mailbox and says \
                   nothing of what becomes of it. It has no ask",
    },
];

/// The two processes of a peer.
#[derive(Debug)]
pub struct PeerPair {
    caller: Worker,
    callee: Worker,
    told: u64,
}

/// Builds the peers' program, and says where it is.
///
/// # Errors
/// When it can't be built.
pub fn build() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    eprintln!("building the peers ...");
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--profile", "bench", "--locked", "--message-format"])
        .args([
            "json-render-diagnostics".as_ref(),
            "--manifest-path".as_ref(),
            manifest.as_os_str(),
        ])
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the peers can't be built: {}", output.status).into());
    }
    let program = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| "cargo does not say where the peers' program is".into())
}

impl PeerPair {
    /// Starts both, the second when the first is there, and waits until they know each other.
    ///
    /// # Errors
    /// When one of them can't be started.
    pub async fn start(program: &Path, peer: &Peer, threads: usize) -> Result<Self> {
        let mut command = Command::new(program);
        command.args([peer.key, &threads.to_string()]);
        let (callee, address) = Worker::start("peer's callee", &mut command).await?;
        let mut command = Command::new(program);
        command.args([peer.key, &threads.to_string(), &address]);
        let (caller, _) = Worker::start("peer's caller", &mut command).await?;
        Ok(Self { caller, callee, told: 0 })
    }

    /// Tells, from the first send until the callee has handled all.
    ///
    /// # Errors
    /// When a tell fails.
    pub async fn tell(&mut self, messages: u64) -> Result<Sample> {
        self.told += messages;
        let (tell, handled) = (format!("tell {messages}"), format!("handled {}", self.told));
        let before = self.used().await?;
        let began = Instant::now();
        self.caller.send(&tell)?;
        self.callee.send(&handled)?;
        self.caller.answer(&tell).await?;
        self.callee.answer(&handled).await?;
        let timed = Timed::whole(began.elapsed());
        Ok(Sample { messages, timed, used: self.used().await?.since(before) })
    }

    /// Asks, so many at once.
    ///
    /// # Errors
    /// When an ask fails.
    pub async fn ask(&mut self, messages: u64, at_once: u64) -> Result<Sample> {
        let before = self.used().await?;
        let answer = self.caller.order(&format!("ask {messages} {at_once}")).await?;
        let (elapsed, middle) = answer.split_once(' ').ok_or("two times")?;
        let (elapsed, middle) =
            (Duration::from_nanos(elapsed.parse()?), Duration::from_nanos(middle.parse()?));
        let timed = Timed { elapsed, middle: Some(middle), per_frame: None };
        Ok(Sample { messages, timed, used: self.used().await?.since(before) })
    }

    async fn used(&mut self) -> Result<Used> {
        let (caller, callee) = (self.caller.usage().await?, self.callee.usage().await?);
        Ok(Used { caller: Some(caller), callee: Some(callee), redis: None })
    }
}
