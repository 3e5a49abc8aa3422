//! Counts the instructions that callboard takes per message and compares them with those recorded.
//!
//! Time is noisy where other programs run; the instructions of a workload are not. Callgrind counts
//! those of the whole process, for two sizes of each workload: the difference leaves out what is
//! done once, such as starting the system and calibrating its clock.

mod callgrind;
mod recorded;
mod workload;

use std::{env, fmt, process::ExitCode};

use recorded::Recorded;
use workload::Workload;

const USAGE: &str = "\
usage: instructions [check|record]
       instructions run WORKLOAD MESSAGES

check   counts, and fails when a count is over the recorded one by more than 10 % (default)
record  counts, and writes tests/instructions/recorded.toml
run     runs a workload, to be counted: tell, ask, ask-actor, ring, resolve-hot, resolve-cold

Needs valgrind. To be built by: cargo run --profile instructions -p callboard-instructions";

/// By how much a count may be over the one recorded, in hundredths.
const SLACK_PERCENT: f64 = 10.0;

/// What ends the program early.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] | ["check"] => check(),
        ["record"] => record(),
        ["run", workload, messages] => run(workload, messages),
        _ => Err(Failed(USAGE.to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}

fn run(workload: &str, messages: &str) -> Result<(), Failed> {
    let workload = Workload::ALL.into_iter().find(|known| known.name() == workload);
    let (Some(workload), Ok(messages)) = (workload, messages.parse()) else {
        return Err(Failed(USAGE.to_owned()));
    };
    workload.run(messages);
    Ok(())
}

fn counts() -> Result<Vec<(Workload, f64)>, Failed> {
    let count = |workload| Ok((workload, callgrind::per_message(workload)?));
    Workload::ALL.into_iter().map(count).collect()
}

fn record() -> Result<(), Failed> {
    let recorded = Recorded::of(&counts()?);
    recorded.write()?;
    print!("{recorded}");
    Ok(())
}

fn check() -> Result<(), Failed> {
    let recorded = Recorded::read()?;
    if let Some(other) = recorded.other_machine() {
        // Another instruction set has other counts; there is nothing to compare with.
        println!("not checked: the counts are recorded for {other}");
        return Ok(());
    }
    println!("{:<12} {:>9} {:>9} {:>8}", "workload", "counted", "recorded", "percent");
    let mut over = Vec::new();
    let mut under = Vec::new();
    for (workload, count) in counts()? {
        let (name, known) = (workload.name(), recorded.of_workload(workload)?);
        let percent = (count / known - 1.0) * 100.0;
        println!("{name:<12} {count:>9.1} {known:>9.1} {percent:>+8.1}");
        match percent {
            more if more > SLACK_PERCENT => over.push(name),
            less if less < -SLACK_PERCENT => under.push(name),
            _ => {}
        }
    }
    if !under.is_empty() {
        println!("well under what is recorded: {}; record that", under.join(", "));
    }
    if over.is_empty() {
        return Ok(());
    }
    let over = over.join(", ");
    let compiler = recorded.compiler();
    Err(Failed(format!(
        "more than {SLACK_PERCENT} % over what is recorded (by {compiler}): {over}. Either make it \
         cheaper or say in the commit why it must cost more and run\n  \
         cargo run --profile instructions -p callboard-instructions -- record"
    )))
}
