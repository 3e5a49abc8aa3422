//! A worker process of the tests: `worker RECORD`, with the cluster in the environment. Does what it is
//! told by lines on its standard input, each answered by `ok ..` or `error ..`, in order; ends with its
//! input.

use std::{
    collections::HashMap,
    env,
    io::{BufRead, Write},
    path::Path,
};

use callboard::{Service, prelude::*};
use callboard_tests::worker::{Echo, Put, Record, Worker};
use tokio::sync::mpsc;

struct Orders {
    system: System,
    record: Record,
    served: HashMap<String, Service<Worker>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let path = env::args().nth(1).ok_or("usage: worker RECORD")?;
    let record = Record::open(Path::new(&path))?;
    let system = match System::start().await {
        Ok(system) => system,
        Err(error) => {
            say(&format!("error {error}"))?;
            return Err(error.into());
        }
    };
    say("ok")?;
    let mut orders = Orders { system, record, served: HashMap::new() };
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

impl Orders {
    async fn carry_out(&mut self, line: &str) -> Result<String, BoxError> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["serve", name, instances] => {
                let factory = Worker::factory(self.system.node().as_str(), &self.record);
                let served = self.system.serve(name, factory).instances(instances.parse()?).await?;
                self.served.insert(name.to_owned(), served);
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
