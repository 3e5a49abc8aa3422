//! The process that is called: its own side, and the handle that the caller has of it.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use callboard::{
    Service, System,
    log::{RedisLog, RedisOptions},
};
use tokio::sync::mpsc;

use super::{
    Result,
    actor::{Seen, Sink},
    bare, resp,
    sample::used_here,
};

/// The argument that makes the program the callee.
pub const ROLE: &str = "--as-callee";
/// The service that it serves.
pub const SERVICE: &str = "sink";
/// The cluster of both processes.
pub const CLUSTER: &str = "bench";
/// How long an order may take.
const ORDER_MAX: Duration = Duration::from_secs(120);

/// The callee as its parent sees it. It is killed when this is dropped, and ends by itself when the
/// parent has died.
#[derive(Debug)]
pub struct Callee {
    child: Child,
    orders: ChildStdin,
    answers: mpsc::UnboundedReceiver<String>,
}

impl Callee {
    /// Starts this program again as the callee, with its system and its service.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start(etcd: &str, redis: &str) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .args([ROLE, etcd, redis])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let answers = lines(BufReader::new(output), || ());
        let mut callee = Self { child, orders, answers };
        callee.answer("start").await?;
        Ok(callee)
    }

    /// Gives an order without waiting.
    ///
    /// # Errors
    /// When it has ended.
    pub fn send(&mut self, order: &str) -> Result<()> {
        Ok(writeln!(self.orders, "{order}")?)
    }

    /// Waits for the answer to the oldest order that has none yet.
    ///
    /// # Errors
    /// When it says that it failed, or says nothing.
    pub async fn answer(&mut self, order: &str) -> Result<String> {
        let line = tokio::time::timeout(ORDER_MAX, self.answers.recv()).await;
        let line = line?.ok_or_else(|| format!("the callee ended at {order:?}"))?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("ok", answer) => Ok(answer.to_owned()),
            (_, reason) => Err(format!("the callee failed at {order:?}: {reason}").into()),
        }
    }

    /// Processor time that it has used so far.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn used(&mut self) -> Result<Duration> {
        self.send("used")?;
        Ok(Duration::from_nanos(self.answer("used").await?.parse()?))
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as well.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the callee could not be ended: {error}");
        }
    }
}

/// The callee's own side.
struct Orders {
    seen: Arc<Seen>,
    log: RedisLog,
    _system: System,
    _served: Service<Sink>,
}

/// Does as it is told until the standard input ends.
///
/// # Errors
/// When it can't start, or can't answer.
pub async fn run(etcd: &str, redis: &str) -> Result<()> {
    let mut orders = match Orders::start(etcd, redis).await {
        Ok(orders) => orders,
        Err(error) => {
            say(&format!("error {error}"))?;
            return Err(error);
        }
    };
    say("ok")?;
    // The parent has ended or died: nobody is left to shut down for.
    let mut lines = lines(BufReader::new(io::stdin()), || std::process::exit(0));
    while let Some(line) = lines.recv().await {
        match orders.carry_out(&line).await {
            Ok(answer) => say(format!("ok {answer}").trim_end())?,
            Err(error) => say(&format!("error {error}"))?,
        }
    }
    Ok(())
}

impl Orders {
    async fn start(etcd: &str, redis: &str) -> Result<Self> {
        let system = system("callee", etcd, redis).await?;
        let seen = Arc::default();
        let served = system.serve(SERVICE, Sink::factory(&seen)).await?;
        let log = RedisLog::connect(RedisOptions::new(redis)).await?;
        Ok(Self { seen, log, _system: system, _served: served })
    }

    async fn carry_out(&mut self, line: &str) -> Result<String> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["used"] => return Ok(used_here().as_nanos().to_string()),
            ["handled", count] => self.seen.reach(count.parse()?).await,
            ["receive", run, count, frames] => {
                bare::receive(&self.log, run, count.parse()?, frames.parse()?).await?;
            }
            ["reply", port, asks] => {
                let (port, asks) = (port.parse()?, asks.parse()?);
                // Blocks, on a thread of its own as a program without a runtime would.
                tokio::task::spawn_blocking(move || resp::reply(port, asks)).await??;
            }
            _ => return Err(format!("no such order: {line:?}").into()),
        }
        Ok(String::new())
    }
}

/// A system as both processes have it: one thread for actors, beside its I/O thread.
///
/// # Errors
/// When the servers can't be reached.
pub async fn system(node: &str, etcd: &str, redis: &str) -> Result<System> {
    let builder = System::builder().cluster(CLUSTER).node(node).arbiters(1);
    Ok(builder.etcd([etcd]).redis(redis).start().await?)
}

/// Lines, read on a thread that may block.
fn lines(
    input: impl BufRead + Send + 'static,
    at_the_end: fn(),
) -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in input.lines().map_while(io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        at_the_end();
    });
    lines
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
