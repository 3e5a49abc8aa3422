//! Kameo's remote actors: a swarm of libp2p over QUIC, which was faster than over TCP; the actor is
//! found by its name in the swarm's table.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use kameo::{
    Actor, RemoteActor,
    actor::{ActorRef, RemoteActorRef, Spawn},
    mailbox,
    message::{Context, Message},
    remote, remote_message,
};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, multiaddr::Protocol, swarm::SwarmEvent};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::{
    peer::{Caller, Peer},
    shared::{OUTSTANDING, Result, seen::Seen, text},
    threads::{Threads, found},
};

const NAME: &str = "sink";
/// Every message is a stream of its own within the connection. What is beyond the bounds is dropped,
/// so they are above what the loops have under way.
const STREAMS_MAX: usize = 4 * OUTSTANDING;
/// A connection that lies idle is kept: kameo's own example has these 5 minutes.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// The peer.
#[derive(Debug)]
pub enum Kameo {}

/// What is kept while the actor is called.
#[derive(Debug)]
pub struct Callee {
    _sink: ActorRef<Sink>,
    _threads: Threads,
}

/// The actor as the caller has it.
#[derive(Debug)]
pub struct Remote {
    sink: RemoteActorRef<Sink>,
    _threads: Threads,
}

/// Counts what it is told, and answers with a length.
#[derive(Actor, RemoteActor, Debug)]
pub struct Sink(Arc<Seen>);

#[derive(Serialize, Deserialize)]
struct Put {
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Get {
    text: String,
}

#[remote_message]
impl Message<Put> for Sink {
    type Reply = ();

    async fn handle(&mut self, put: Put, _: &mut Context<Self, ()>) {
        debug_assert!(!put.text.is_empty(), "it came as it was sent");
        self.0.one();
    }
}

#[remote_message]
impl Message<Get> for Sink {
    type Reply = u64;

    async fn handle(&mut self, get: Get, _: &mut Context<Self, u64>) -> u64 {
        get.text.len() as u64
    }
}

/// As kameo's documentation builds one for use in earnest; only that peers are not looked for.
fn swarm() -> Result<Swarm<remote::Behaviour>> {
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(|key| {
            let messaging =
                remote::messaging::Config::default().with_max_concurrent_streams(STREAMS_MAX);
            remote::Behaviour::new(key.public().to_peer_id(), messaging)
        })?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_MAX)
                .with_max_negotiating_inbound_streams(STREAMS_MAX)
        })
        .build();
    swarm.behaviour().init_global();
    Ok(swarm)
}

/// Runs a swarm; says where it listens.
fn run(mut swarm: Swarm<remote::Behaviour>) -> oneshot::Receiver<Multiaddr> {
    let (sender, listening) = oneshot::channel();
    let mut sender = Some(sender);
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await
                && let Some(sender) = sender.take()
                && sender.send(address).is_err()
            {
                return;
            }
        }
    });
    listening
}

impl Peer for Kameo {
    type Caller = Remote;
    type Callee = Callee;

    async fn serve(threads: usize, seen: Arc<Seen>) -> Result<(Callee, String)> {
        let threads = Threads::start(threads)?;
        let start = async {
            let mut swarm = swarm()?;
            swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse()?)?;
            let id = *swarm.local_peer_id();
            let address = run(swarm).await?.with(Protocol::P2p(id));
            let sink = Sink::spawn_with_mailbox(Sink(seen), mailbox::unbounded());
            sink.register(NAME).await?;
            Ok((sink, address.to_string()))
        };
        let (sink, address) = threads.run(start).await?;
        Ok((Callee { _sink: sink, _threads: threads }, address))
    }

    async fn connect(threads: usize, address: &str) -> Result<Remote> {
        let threads = Threads::start(threads)?;
        let address: Multiaddr = address.parse()?;
        let connect = async {
            let mut swarm = swarm()?;
            let Some(Protocol::P2p(id)) = address.iter().last() else {
                return Err("no peer in the address".into());
            };
            swarm.add_peer_address(id, address.clone());
            swarm.dial(address)?;
            // It listens nowhere.
            drop(run(swarm));
            found(async || Ok(RemoteActorRef::<Sink>::lookup(NAME).await?)).await
        };
        let sink = threads.run(connect).await?;
        Ok(Remote { sink, _threads: threads })
    }
}

impl Caller for Remote {
    /// A tell without an acknowledgment is dropped in silence when there is too much; one with it is
    /// awaited until it is in the mailbox.
    const OUTSTANDING: usize = OUTSTANDING;

    async fn tell(&self) -> Result<()> {
        Ok(self.sink.tell(&Put { text: text() }).send_ack().await?)
    }

    async fn ask(&self) -> Result<u64> {
        Ok(self.sink.ask(&Get { text: text() }).send().await?)
    }
}
