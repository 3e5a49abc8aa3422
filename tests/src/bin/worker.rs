//! A worker process of the tests: `worker RECORD`, with the cluster in the environment. Does what it is
//! told by lines on its standard input, each answered by `ok ..` or `error ..`, in order; ends with its
//! input.

use std::{
    collections::HashMap,
    env,
    fs::File,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use callboard::{
    Name, Service,
    kv::{EtcdKv, EtcdOptions},
    letters::Selection,
    log::{RedisLog, RedisOptions},
    prelude::*,
};
use callboard_tests::{
    jobs::Producer,
    leading::lead_for_ever,
    worker::{ENV_CLAIM_GRACE, Echo, Narrow, Put, Record, Worker},
};
use tokio::{sync::mpsc, task::JoinHandle};

struct Orders {
    system: System,
    path: PathBuf,
    record: Record,
    served: HashMap<String, Service<Worker>>,
    narrow: Vec<Service<Narrow>>,
    asking: Option<Asking>,
    producer: Option<Producer>,
}

/// A task that asks without a pause.
struct Asking {
    ends: Arc<AtomicBool>,
    task: JoinHandle<(u64, Option<String>)>,
}

impl Asking {
    fn start(service: ServiceRef<Worker>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn({
            let ends = Arc::clone(&ends);
            async move {
                let mut answered = 0;
                while !ends.load(SeqCst) {
                    let ask = service.ask(Echo { n: answered, micros: 1000 });
                    match ask.timeout(Duration::from_secs(5)).await {
                        Ok(_) => answered += 1,
                        Err(error) => return (answered, Some(error.to_string())),
                    }
                }
                (answered, None)
            }
        });
        Self { ends, task }
    }

    /// How many were answered; the first that was not is an error.
    async fn end(self) -> Result<u64, BoxError> {
        self.ends.store(true, SeqCst);
        match self.task.await? {
            (answered, None) => Ok(answered),
            (answered, Some(error)) => Err(format!("after {answered} answers: {error}").into()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let path = env::args().nth(1).ok_or("usage: worker RECORD")?;
    let record = Record::open(Path::new(&path))?;
    let system = match start().await {
        Ok(system) => system,
        Err(error) => {
            say(&format!("error {error}"))?;
            return Err(error);
        }
    };
    say("ok")?;
    let path = PathBuf::from(path);
    let mut orders = Orders {
        system,
        path,
        record,
        served: HashMap::new(),
        narrow: Vec::new(),
        asking: None,
        producer: None,
    };
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let answer = match orders.carry_out(&line).await {
            Ok(answer) => format!("ok {answer}"),
            Err(error) => format!("error {error}"),
        };
        say(answer.trim_end())?;
    }
    Ok(())
}

/// As the environment says; with a time of grace of the tests' own through its parts.
async fn start() -> Result<System, BoxError> {
    let Ok(grace) = env::var(ENV_CLAIM_GRACE) else { return Ok(System::start().await?) };
    let endpoints = env::var("CALLBOARD_ETCD")?;
    let etcd = EtcdOptions::new(endpoints.split(',').map(str::to_owned));
    let claim_grace = Duration::from_millis(grace.parse()?);
    let redis = RedisOptions { claim_grace, ..RedisOptions::new(env::var("CALLBOARD_REDIS")?) };
    let kv = Arc::new(EtcdKv::connect(etcd).await?);
    let log = Arc::new(RedisLog::connect(redis).await?);
    Ok(System::builder().backends(kv, log).start().await?)
}

impl Orders {
    async fn carry_out(&mut self, line: &str) -> Result<String, BoxError> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["serve", name, instances] => {
                let factory = Worker::factory(self.system.node().as_str(), &self.record);
                let served = self.system.serve(name, factory).instances(instances.parse()?).await?;
                self.served.insert(name.to_owned(), served);
            }
            ["serve-narrow", name, instances] => {
                let factory = Narrow::factory(&self.record);
                let served = self.system.serve(name, factory).instances(instances.parse()?).await?;
                self.narrow.push(served);
            }
            ["incarnation"] => return Ok(self.system.incarnation().to_string()),
            // Tells jobs from this number on until it is told to end.
            ["produce", "end"] => {
                let failed = self.producer.take().ok_or("it does not produce")?.end().await;
                let lost = self.system.bus().stats().messages_lost;
                return Ok(format!("{failed} {lost}"));
            }
            ["produce", name, first] => {
                let record = Record::open(&self.path.with_extension("told"))?;
                let service: ServiceRef<Worker> = self.system.service(name);
                self.producer = Some(Producer::start(&service, first.parse()?, &record));
            }
            ["stop", name] => {
                self.served.remove(name).ok_or("it is not served here")?.stop().await?;
            }
            ["ask", name, n] => {
                let service: ServiceRef<Worker> = self.system.service(name);
                let (n, node) = service.ask(Echo { n: n.parse()?, micros: 0 }).await?;
                return Ok(format!("{n} {node}"));
            }
            ["tell", name, id] => {
                let service: ServiceRef<Worker> = self.system.service(name);
                service.tell(Put { id: id.parse()?, micros: 0 }).await?;
            }
            // Begins to replay the dead letters, and does not wait for the end.
            ["replay", name, rate] => {
                let replay = self.system.dead_letters(name)?.replay(Selection::all());
                tokio::spawn(replay.rate(rate.parse()?).start());
            }
            // Asks until it is told to end.
            ["asks", "end"] => {
                let asking = self.asking.take().ok_or("it does not ask")?;
                return Ok(asking.end().await?.to_string());
            }
            ["asks", name] => self.asking = Some(Asking::start(self.system.service(name))),
            // The nodes of the instances that it sees, one word each.
            ["instances", name] => {
                let view = self.system.directory().resolve(&Name::new(name)?);
                let nodes: Vec<_> = view.instances.iter().map(|one| one.node.as_str()).collect();
                return Ok(nodes.join(" "));
            }
            // For how many milliseconds its view of the directory may have been old.
            ["stale"] => {
                let since = self.system.directory().stale_since();
                return Ok(since.map_or(0, |since| since.elapsed().as_millis()).to_string());
            }
            ["lead", role] => {
                let endpoints = env::var("CALLBOARD_ETCD")?;
                let endpoints = endpoints.split(',').map(str::to_owned);
                let kv = EtcdKv::connect(EtcdOptions::new(endpoints)).await?;
                let file = File::create(self.path.with_extension("writes"))?;
                tokio::spawn(lead_for_ever(self.system.role(role)?, kv, file));
            }
            ["shutdown"] => self.system.shutdown().await?,
            _ => return Err(format!("no such order: {line:?}").into()),
        }
        Ok(String::new())
    }
}

/// The lines of the standard input, read on a thread that may block.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
        // The test has ended or died: nobody is left to shut down for.
        std::process::exit(0);
    });
    lines
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
