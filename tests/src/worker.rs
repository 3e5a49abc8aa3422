//! Worker processes of the tests: each is a system of its own that does as it is told by lines on its
//! standard input, and writes down what its handlers did so that a SIGKILL leaves it readable.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use callboard::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

use crate::{jobs::Job, servers::Trouble};

/// How long a worker may take for one order.
const ORDER_MAX: Duration = Duration::from_secs(30);

/// Takes its time; written down when it begins and when it ends.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Tells one from the other.
    pub id: u64,
    /// How long its handler waits, in microseconds.
    pub micros: u64,
}

/// Answered with itself and the node that answered.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
#[message(reply = (u64, String))]
pub struct Echo {
    /// The answer.
    pub n: u64,
    /// How long its handler waits, in microseconds.
    pub micros: u64,
}

/// Ends its process at once, as a crash would.
#[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
pub struct Crash;

/// What the workers serve.
#[derive(Actor)]
#[actor(mailbox(capacity = 256))]
pub struct Worker {
    node: String,
    record: Record,
}

#[handlers]
impl Worker {
    #[handle]
    async fn put(&mut self, Put { id, micros }: Put) {
        self.record.write('b', id);
        wait(micros).await;
        self.record.write('h', id);
    }

    #[handle]
    async fn echo(&mut self, Echo { n, micros }: Echo) -> (u64, String) {
        wait(micros).await;
        (n, self.node.clone())
    }

    #[handle]
    async fn job(&mut self, job: Job) -> bool {
        do_job(&self.record, job).await
    }

    #[handle]
    fn crash(&mut self, _: Crash) {
        std::process::abort();
    }
}

async fn do_job(record: &Record, job: Job) -> bool {
    record.write('b', job.id);
    wait(job.micros).await;
    let good = job.is_good();
    record.write(if good { 'h' } else { 'e' }, job.id);
    good
}

/// Takes jobs, of which few may wait with it.
#[derive(Actor)]
#[actor(mailbox(capacity = 100))]
pub struct Narrow {
    record: Record,
}

#[handlers]
impl Narrow {
    #[handle]
    async fn job(&mut self, job: Job) -> bool {
        do_job(&self.record, job).await
    }
}

impl Narrow {
    /// Makes some that share a record.
    pub fn factory(record: &Record) -> impl Fn() -> Self + Clone + Send + Sync + 'static {
        let record = record.clone();
        move || Self { record: record.clone() }
    }
}

async fn wait(micros: u64) {
    if micros > 0 {
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

impl Worker {
    /// Makes workers of this node that share a record.
    pub fn factory(
        node: &str,
        record: &Record,
    ) -> impl Fn() -> Self + Clone + Send + Sync + 'static {
        let (node, record) = (node.to_owned(), record.clone());
        move || Self { node: node.clone(), record: record.clone() }
    }
}

/// A file with a line for each handler that began or ended. A line is one call of the system, so it is
/// there when the process is killed after it.
#[derive(Debug, Clone)]
pub struct Record(Arc<File>);

impl Record {
    /// Appends to a file.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(File::options().append(true).create(true).open(path)?)))
    }

    pub(crate) fn write(&self, what: char, id: u64) {
        let line = format!("{what} {id}\n");
        let written = (&*self.0).write(line.as_bytes()).expect("the record can be written");
        assert_eq!(written, line.len(), "a line is written at once");
    }
}

/// What is written in a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handled {
    /// How often each was handled.
    pub times: BTreeMap<u64, u32>,
    /// Begun and not ended.
    pub in_hand: BTreeSet<u64>,
    /// How often each was begun.
    pub begun: BTreeMap<u64, u32>,
}

impl Handled {
    /// Reads a record; one that is not there is empty.
    ///
    /// # Panics
    /// When it can't be read, or holds something else.
    pub fn read(path: &Path) -> Self {
        let mut handled = Self::default();
        let Ok(text) = fs::read_to_string(path) else { return handled };
        for line in text.lines() {
            let (what, id) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
            let id = id.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
            match what {
                "b" => {
                    handled.in_hand.insert(id);
                    *handled.begun.entry(id).or_default() += 1;
                }
                // It failed.
                "e" => _ = handled.in_hand.remove(&id),
                _ => {
                    handled.in_hand.remove(&id);
                    *handled.times.entry(id).or_default() += 1;
                }
            }
        }
        handled
    }
}

/// How a worker is started.
#[derive(Debug, Clone)]
pub struct WorkerSetup {
    /// The program: `env!("CARGO_BIN_EXE_worker")`.
    pub program: &'static str,
    /// The name of its node.
    pub node: String,
    /// The cluster.
    pub cluster: String,
    /// etcd's endpoints, with commas between.
    pub etcd: String,
    /// Redis's address.
    pub redis: String,
    /// Where its record goes, as `<node>.record`, and what it logs.
    pub folder: PathBuf,
    /// For how long after Redis's start it claims nothing, where that is not the usual time.
    pub claim_grace: Option<Duration>,
}

/// Says to a worker what [`WorkerSetup::claim_grace`] is, in milliseconds.
pub const ENV_CLAIM_GRACE: &str = "WORKER_CLAIM_GRACE_MS";

/// A worker process that belongs to a test. It is killed when this is dropped, and ends by itself when
/// the test process has died.
#[derive(Debug)]
pub struct WorkerProcess {
    setup: WorkerSetup,
    child: Child,
    orders: Option<ChildStdin>,
    answers: mpsc::UnboundedReceiver<String>,
}

impl WorkerProcess {
    /// Starts it and waits until its system is up.
    ///
    /// # Errors
    /// When it can't be started, or says that its system can't.
    pub async fn start(setup: WorkerSetup) -> Result<Self, Trouble> {
        let mut worker =
            Self::spawn(setup).map_err(|error| Trouble(format!("a worker: {error}")))?;
        worker.answer("start").await?;
        Ok(worker)
    }

    fn spawn(setup: WorkerSetup) -> io::Result<Self> {
        let log = File::options()
            .append(true)
            .create(true)
            .open(setup.folder.join(format!("{}.log", setup.node)))?;
        let grace = setup.claim_grace.map(|grace| (ENV_CLAIM_GRACE, grace.as_millis().to_string()));
        let mut child = Command::new(setup.program)
            .arg(setup.record())
            .envs(grace)
            .env("CALLBOARD_CLUSTER", &setup.cluster)
            .env("CALLBOARD_NODE", &setup.node)
            .env("CALLBOARD_ETCD", &setup.etcd)
            .env("CALLBOARD_REDIS", &setup.redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let (sender, answers) = mpsc::unbounded_channel();
        let output = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        // Ends with the process.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let orders = child.stdin.take();
        Ok(Self { setup, child, orders, answers })
    }

    /// Gives an order and waits for its answer: what stands after `ok`.
    ///
    /// # Errors
    /// What stands after `error`, or that no answer came.
    pub async fn order(&mut self, order: &str) -> Result<String, Trouble> {
        self.send(order)?;
        self.answer(order).await
    }

    /// Gives an order without waiting.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn send(&mut self, order: &str) -> Result<(), Trouble> {
        let orders = self.orders.as_mut().ok_or_else(|| Trouble("it was told to end".into()))?;
        writeln!(orders, "{order}").map_err(|error| Trouble(format!("{order}: {error}")))
    }

    /// Waits for the answer to the oldest order that has none yet.
    ///
    /// # Errors
    /// As [`order`](Self::order).
    pub async fn answer(&mut self, order: &str) -> Result<String, Trouble> {
        let node = &self.setup.node;
        let answer = tokio::time::timeout(ORDER_MAX, self.answers.recv()).await;
        match answer {
            Ok(Some(line)) => match line.split_once(' ').unwrap_or((&line, "")) {
                ("ok", answer) => Ok(answer.to_owned()),
                (_, answer) => Err(Trouble(format!("{node}: {order}: {answer}"))),
            },
            Ok(None) => Err(Trouble(format!("{node}: {order}: it has ended:\n{}", self.log()))),
            Err(_) => Err(Trouble(format!("{node}: {order}: no answer:\n{}", self.log()))),
        }
    }

    /// What its handlers did so far.
    pub fn handled(&self) -> Handled {
        Handled::read(&self.setup.record())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// When that can't be asked.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// The memory that it has, in KiB.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Ends it as a crash would, with SIGKILL.
    ///
    /// # Panics
    /// When it can't be killed.
    pub fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it can be killed");
    }

    /// Stops it with SIGSTOP.
    ///
    /// # Panics
    /// When it can't be.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it can't be.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it is ours");
    }

    fn log(&self) -> String {
        let path = self.setup.folder.join(format!("{}.log", self.setup.node));
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl WorkerSetup {
    /// Where its record is.
    pub fn record(&self) -> PathBuf {
        self.folder.join(format!("{}.record", self.node))
    }

    /// Where it notes what it told.
    pub fn told(&self) -> PathBuf {
        self.record().with_extension("told")
    }

    /// Where it notes what it wrote as a leader.
    pub fn writes(&self) -> PathBuf {
        self.record().with_extension("writes")
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as well.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.kill();
        }
    }
}
