//! Workloads of the [Savina suite](https://doi.org/10.1145/2687357.2687368), each against the same
//! peers.
//!
//! What the actors do is written once, as a [`Behaviour`](crate::peer::Behaviour) that an actor of
//! each peer carries. Every workload counts what came to pass and asserts that it is what must. What
//! starts a run is boxed, so that it does not make the messages of the run larger.

pub mod bank;
pub mod big;
pub mod chameneos;
pub mod fork_join;
pub mod ping_pong;

use std::future::Future;

use tokio::sync::oneshot;

use crate::{
    peer::{Job, Peer},
    span::Span,
};

/// Reaches an actor of a peer that carries a behaviour.
type At<P, B> = <<P as Peer>::Spawner as crate::peer::Spawner>::Address<B>;

/// Told at the end of a run what was counted.
type Done = oneshot::Sender<u64>;

/// Builds the actors, runs the workload for a tenth of its size, then for all of it under the clock.
fn warmed_up<S, B, F>(size: u64, build: B, run: impl Fn(S, u64) -> F + Send + 'static) -> Job
where
    S: Clone + Send + 'static,
    B: Future<Output = S> + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    Box::pin(async move {
        let stage = build.await;
        run(stage.clone(), size / 10).await;
        let span = Span::begin();
        run(stage, size).await;
        span.end()
    })
}

/// Waits for the end of a run and compares what was counted with what must be.
async fn counted(run: oneshot::Receiver<u64>, expected: u64, what: &str) {
    let counted = run.await.expect("the actors live until the end of the run");
    assert_eq!(counted, expected, "{what}");
}
