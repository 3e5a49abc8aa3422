//! Two processes over etcd and Redis against the bare servers:
//! `cargo bench --manifest-path benches/Cargo.toml --bench remote`.
//!
//! Starts a private etcd and a private redis-server, and itself again as the process that is called.
//! All rows are run in each round, a limit right after what it limits.

use std::{env, fs};

use callboard_benches::{
    options::holds,
    remote::{
        Result,
        callee::{self, ROLE},
        line::LINES,
        options::{HELP, Options},
        pair::Pair,
        report::{Measured, report},
    },
};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = env::args().collect();
    if let [_, role, etcd, redis] = &arguments[..]
        && role == ROLE
    {
        return runtime.block_on(callee::run(etcd, redis));
    }
    let Some(options) = Options::read()? else {
        println!("{HELP}");
        return Ok(());
    };
    let report = runtime.block_on(measure(&options))?;
    println!("{report}");
    if let Some(path) = options.markdown {
        fs::write(path, report)?;
    }
    Ok(())
}

async fn measure(options: &Options) -> Result<String> {
    let mut lines: Vec<usize> = (0..LINES.len()).collect();
    lines.retain(|at| holds(&options.rows, LINES[*at].row));
    let mut measured = vec![Measured::default(); LINES.len()];
    let mut pair = Pair::start(options.persistence()).await?;
    for round in 0..options.rounds {
        for at in &lines {
            measured[*at].push(&LINES[*at].run(&mut pair, options.divisor).await?);
        }
        eprintln!("round {} of {}", round + 1, options.rounds);
    }
    pair.system.shutdown().await?;
    Ok(report(options, &lines, &measured)?)
}
