//! `actix-telepathy`: two nodes of a cluster over TCP; the caller learns of the other by its listener.

use std::{net::SocketAddr, sync::Arc, thread};

// The derives want all of actix's prelude and `log` in scope.
use actix::prelude::*;
use actix_broker::BrokerSubscribe;
use actix_telepathy::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    peer::{Caller, Peer},
    shared::{Result, seen::Seen, text},
    threads::free_address,
};

/// The peer.
#[derive(Debug)]
pub enum Telepathy {}

/// The actor as the caller has it.
#[derive(Debug)]
pub struct Remote(RemoteAddr);

/// What counts.
#[derive(RemoteMessage, Serialize, Deserialize)]
struct Put {
    text: String,
}

#[derive(RemoteActor)]
#[remote_messages(Put)]
struct Sink(Arc<Seen>);

impl Actor for Sink {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.register(context.address().recipient());
    }
}

impl Handler<Put> for Sink {
    type Result = ();

    fn handle(&mut self, put: Put, _: &mut Context<Self>) {
        debug_assert!(!put.text.is_empty(), "it came as it was sent");
        self.0.one();
    }
}

/// Waits for the other node.
struct Listener(Option<oneshot::Sender<RemoteAddr>>);

impl ClusterListener for Listener {}
impl Supervised for Listener {}

impl Actor for Listener {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.subscribe_system_async::<ClusterLog>(context);
    }
}

impl Handler<ClusterLog> for Listener {
    type Result = ();

    fn handle(&mut self, event: ClusterLog, _: &mut Context<Self>) {
        if let ClusterLog::NewMember(node) = event
            && let Some(sender) = self.0.take()
            && sender.send(node.get_remote_addr(Sink::ACTOR_ID.to_owned())).is_err()
        {
            eprintln!("nobody waits for the node any more");
        }
    }
}

/// Runs a system on a thread of its own, which actix gives all of it.
fn run(
    own: SocketAddr,
    seeds: Vec<SocketAddr>,
    start: impl FnOnce() + Send + 'static,
) -> oneshot::Receiver<()> {
    let (sender, started) = oneshot::channel();
    thread::spawn(move || {
        let system = System::new();
        let began = system.block_on(async {
            start();
            Cluster::new(own, seeds);
            sender.send(())
        });
        if began.is_ok()
            && let Err(error) = system.run()
        {
            eprintln!("actix: {error}");
        }
    });
    started
}

impl Peer for Telepathy {
    type Caller = Remote;
    type Callee = ();

    async fn serve(_threads: usize, seen: Arc<Seen>) -> Result<((), String)> {
        let own = free_address()?;
        let start = || {
            Sink(seen).start();
        };
        run(own, Vec::new(), start).await?;
        Ok(((), own.to_string()))
    }

    async fn connect(_threads: usize, address: &str) -> Result<Remote> {
        let (sender, member) = oneshot::channel();
        let start = || {
            Listener(Some(sender)).start();
        };
        run(free_address()?, vec![address.parse()?], start).await?;
        Ok(Remote(member.await?))
    }
}

impl Caller for Remote {
    /// `do_send` says nothing of what becomes of it; it goes into a mailbox without bounds.
    const OUTSTANDING: usize = 1;

    async fn tell(&self) -> Result<()> {
        self.0.do_send(Put { text: text() });
        Ok(())
    }

    async fn ask(&self) -> Result<u64> {
        Err("telepathy has no ask".into())
    }
}
