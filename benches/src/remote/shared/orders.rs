//! How a process is told what to do: lines on its standard input, an answer to each on its output.

use std::io::{self, BufRead, BufReader, Write};

use tokio::sync::mpsc;

use super::{Result, usage::Usage};

/// What a process can be told to do.
pub trait Orders {
    /// Does it, and says what came of it.
    ///
    /// # Errors
    /// When it can't be done, or is not known.
    fn carry_out(&mut self, words: &[&str]) -> impl Future<Output = Result<String>>;
}

/// Starts, answers with what starting says, and does as it is told until the standard input ends:
/// then the process ends, wherever it is.
///
/// # Errors
/// When it can't start, or can't answer.
pub async fn serve<O: Orders>(start: impl Future<Output = Result<(O, String)>>) -> Result<()> {
    let mut orders = match start.await {
        Ok((orders, answer)) => {
            say(&Ok(answer))?;
            orders
        }
        Err(error) => return Ok(say(&Err(error))?),
    };
    // The parent has ended or died: nobody is left to shut down for.
    let mut lines = lines(BufReader::new(io::stdin()), || std::process::exit(0));
    while let Some(line) = lines.recv().await {
        let words: Vec<_> = line.split_whitespace().collect();
        say(&match words[..] {
            ["usage"] => Usage::here().map(Usage::answer),
            _ => orders.carry_out(&words).await,
        })?;
    }
    Ok(())
}

/// What an answer says.
///
/// # Errors
/// The reason, when it says that the order failed.
pub fn read(answer: &str) -> Result<String> {
    match answer.split_once(' ').unwrap_or((answer, "")) {
        ("ok", answer) => Ok(answer.to_owned()),
        (_, reason) => Err(reason.into()),
    }
}

/// Lines, read on a thread that may block.
pub fn lines(
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

fn say(answer: &Result<String>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match answer {
        Ok(answer) => writeln!(out, "{}", format!("ok {answer}").trim_end())?,
        // On one line, whatever the error says.
        Err(error) => writeln!(out, "error {}", error.to_string().replace('\n', " "))?,
    }
    out.flush()
}
