//! Two processes over etcd and Redis against the bare servers and against other frameworks:
//! `cargo bench --manifest-path benches/Cargo.toml --bench remote`.
//!
//! Starts a private etcd and a private redis-server, and itself again as the process that is called.
//! All rows are run in each round, a limit right after what it limits; the thousand services have
//! rounds of their own.

use std::{env, fs, path::Path};

use callboard_benches::{
    remote::{
        Result,
        callee::{self, ROLE},
        line::{LINES, Line},
        measured::Measured,
        options::{HELP, Options},
        pair::{Pair, Which},
        peers::build,
        report::{legend, tables},
        work::run,
    },
    servers::Persistence,
};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = env::args().collect();
    if let [_, role, etcd, redis, services] = &arguments[..]
        && role == ROLE
    {
        return runtime.block_on(callee::run(etcd, redis, services.parse()?));
    }
    let Some(options) = Options::read()? else {
        println!("{HELP}");
        return Ok(());
    };
    let wants_peers = LINES.iter().any(|line| line.peer().is_some() && options.wants(line));
    let peers = if wants_peers { Some(build()?) } else { None };
    let mut report = String::new();
    for (fsync, persistence) in &options.fsyncs {
        let measured = runtime.block_on(measure(&options, *persistence, peers.as_deref()))?;
        // At once: a run may take long.
        let tables = tables(&options, fsync, &measured)?;
        println!("{tables}");
        report.push_str(&tables);
    }
    let legend = legend(&options)?;
    println!("{legend}");
    if let Some(path) = options.markdown {
        fs::write(path, report + &legend)?;
    }
    Ok(())
}

async fn measure(
    options: &Options,
    persistence: Persistence,
    peers: Option<&Path>,
) -> Result<Measured> {
    let mut measured = Measured::default();
    let mut pair = Pair::start(persistence).await?;
    let (many, few): (Vec<&Line>, Vec<&Line>) =
        LINES.iter().filter(|line| options.wants(line)).partition(|line| line.row == "many");
    // What a thousand services leave behind (lanes of the caller, streams) is not to be in the other
    // rows.
    for lines in [few, many].iter().filter(|lines| !lines.is_empty()) {
        for round in 0..options.rounds {
            if lines[0].which() == Which::Many {
                measured.idle.look(&mut pair).await?;
            }
            for line in lines {
                if let Some(sample) = run(line, &mut pair, peers, options.divisor).await? {
                    measured.push(line, &sample);
                }
            }
            pair.end_many().await?;
            eprintln!("{}: round {} of {}", lines[0].row, round + 1, options.rounds);
        }
    }
    pair.system.shutdown().await?;
    Ok(measured)
}
