//! A process of the benchmark, as its parent has it.

use std::{
    io::{BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use tokio::sync::mpsc;

use super::shared::{Result, orders, usage::Usage};

/// How long an order may take.
const ORDER_MAX: Duration = Duration::from_secs(120);

/// A process that does as it is told. It is killed when this is dropped, and ends by itself when the
/// parent has died.
#[derive(Debug)]
pub struct Worker {
    name: &'static str,
    child: Child,
    orders: ChildStdin,
    answers: mpsc::UnboundedReceiver<String>,
}

impl Worker {
    /// Starts it; gives what it says when it has started.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start(name: &'static str, command: &mut Command) -> Result<(Self, String)> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let answers = orders::lines(BufReader::new(output), || ());
        let mut worker = Self { name, child, orders, answers };
        let said = worker.answer("start").await?;
        Ok((worker, said))
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
        let name = self.name;
        let line = tokio::time::timeout(ORDER_MAX, self.answers.recv()).await;
        let line = line.map_err(|_| format!("the {name} says nothing to {order:?}"))?;
        let line = line.ok_or_else(|| format!("the {name} ended at {order:?}"))?;
        orders::read(&line)
            .map_err(|reason| format!("the {name} failed at {order:?}: {reason}").into())
    }

    /// Gives an order and waits for the answer.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn order(&mut self, order: &str) -> Result<String> {
        self.send(order)?;
        self.answer(order).await
    }

    /// What it uses.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    pub async fn usage(&mut self) -> Result<Usage> {
        self.order("usage").await?.parse()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as well.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("the {} could not be ended: {error}", self.name);
        }
    }
}
