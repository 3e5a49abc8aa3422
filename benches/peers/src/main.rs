//! `callboard-bench-peers PEER THREADS`, the process that is called, or `callboard-bench-peers PEER THREADS
//! ADDRESS`, the one that calls; started by the benchmark `remote`.

use std::env;

use callboard_bench_peers::{
    kameo::Kameo,
    peer::Peer,
    ractor::Ractor,
    shared::Result,
    telepathy::Telepathy,
    work::{be_called, call},
};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (peer, threads, address) = match &arguments[..] {
        [peer, threads] => (peer, threads, None),
        [peer, threads, address] => (peer, threads, Some(address.as_str())),
        _ => return Err("it is started by the benchmark `remote`".into()),
    };
    let threads = threads.parse()?;
    // The loop of the calls on a thread of its own, as callboard's is.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match peer.as_str() {
            "ractor" => run::<Ractor>(threads, address).await,
            "kameo" => run::<Kameo>(threads, address).await,
            "telepathy" => run::<Telepathy>(threads, address).await,
            other => Err(format!("no such peer: {other:?}").into()),
        }
    })
}

async fn run<P: Peer>(threads: usize, address: Option<&str>) -> Result<()> {
    match address {
        None => be_called::<P>(threads).await,
        Some(address) => call::<P>(threads, address).await,
    }
}
