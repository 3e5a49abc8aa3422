//! The directory against what etcd gives without a framework:
//! `cargo bench --manifest-path benches/Cargo.toml --bench directory`.
//!
//! Starts a private etcd, and itself again as a node that joins. All rows are run in each round.

use std::{env, fs};

use callboard_benches::{
    directory::{
        Result, change,
        learn::{self, ROLE},
        node::{Line, Place},
        options::{HELP, Options},
        registration,
        report::{Measured, report},
        resolve::{Resolvers, SHAPES},
    },
    servers::EtcdServer,
};

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<String> = env::args().collect();
    if let [_, role, how, url, cluster, instances] = &arguments[..]
        && role == ROLE
    {
        return runtime.block_on(learn::run(how, url, cluster, instances.parse()?));
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
    let etcd = EtcdServer::start().await;
    let place = Place::Etcd(etcd.url());
    let filler = Line::open(&place).await?;
    for shape in SHAPES {
        shape.fill(&filler.kv).await?;
    }
    eprintln!("the clusters are filled");
    let mut measured = Measured::default();
    for round in 0..options.rounds {
        if options.wants("resolve") {
            let resolvers = Resolvers::start(&place).await?;
            let changes = resolvers.round(&mut measured.resolve, options.divisor).await?;
            measured.changes = Some(measured.changes.map_or(changes, |least| changes.min(least)));
        }
        if options.wants("propagation") {
            measured.propagation.round(&place, options.divisor).await?;
        }
        if options.wants("registration") {
            registration::round(&mut measured.registration, &place, options.divisor).await?;
        }
        if options.wants("learn") {
            learn::round(&mut measured.learn, &etcd.url()).await?;
        }
        if options.wants("change") {
            change::round(&mut measured.change, &place, round, options.divisor).await?;
        }
        eprintln!("round {} of {}", round + 1, options.rounds);
    }
    Ok(report(options, &measured)?)
}
