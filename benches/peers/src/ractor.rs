//! `ractor_cluster`: a session of two node servers over TCP; the actor is found by its group.

use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, pg, rpc::CallResult};
use ractor_cluster::{NodeServer, NodeServerMessage, RactorClusterMessage, client_connect};

use crate::{
    peer::{Caller, Peer},
    shared::{Result, seen::Seen, text},
    threads::{Threads, found, free_address},
};

const GROUP: &str = "sink";

/// The peer.
#[derive(Debug)]
pub enum Ractor {}

/// What is kept while the actor is called.
#[derive(Debug)]
pub struct Callee {
    _sink: ActorRef<ToSink>,
    _node: ActorRef<NodeServerMessage>,
    _threads: Threads,
}

/// The actor as the caller has it.
#[derive(Debug)]
pub struct Remote {
    sink: ActorRef<ToSink>,
    _node: ActorRef<NodeServerMessage>,
    _threads: Threads,
}

/// What the actor is sent. The derived code sends each part as its bytes.
#[derive(RactorClusterMessage, Debug)]
pub enum ToSink {
    /// Counts.
    Put(String),
    /// Asks for the length.
    #[rpc]
    Get(String, RpcReplyPort<u64>),
}

struct Sink(Arc<Seen>);

impl Actor for Sink {
    type Msg = ToSink;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, this: ActorRef<ToSink>, (): ()) -> Result<(), ActorProcessingErr> {
        pg::join(GROUP.to_owned(), vec![this.get_cell()]);
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<ToSink>,
        message: ToSink,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ToSink::Put(_) => {
                self.0.one();
            }
            ToSink::Get(text, reply) => reply.send(text.len() as u64)?,
        }
        Ok(())
    }
}

/// A node as the documentation starts one: not encrypted, connected to whom it is told.
async fn node(name: &'static str, port: u16) -> Result<ActorRef<NodeServerMessage>> {
    let server = NodeServer::new(port, "bench".into(), name.into(), "localhost".into(), None, None)
        .with_listen_addr(std::net::Ipv4Addr::LOCALHOST.into());
    Ok(Actor::spawn(None, server, ()).await?.0)
}

impl Peer for Ractor {
    type Caller = Remote;
    type Callee = Callee;

    async fn serve(threads: usize, seen: Arc<Seen>) -> Result<(Callee, String)> {
        let threads = Threads::start(threads)?;
        let address = free_address()?;
        let start = async move {
            let (sink, _) = Actor::spawn(None, Sink(seen), ()).await?;
            Ok((node("callee", address.port()).await?, sink))
        };
        let (node, sink) = threads.run(start).await?;
        Ok((Callee { _sink: sink, _node: node, _threads: threads }, address.to_string()))
    }

    async fn connect(threads: usize, address: &str) -> Result<Remote> {
        let threads = Threads::start(threads)?;
        let address = address.to_owned();
        let own = free_address()?;
        let connect = async move {
            let node = node("caller", own.port()).await?;
            client_connect(&node, address).await?;
            Ok(node)
        };
        let node = threads.run(connect).await?;
        let sink = found(async || {
            let members = pg::get_members(&GROUP.to_owned());
            Ok(members.into_iter().find(|member| !member.get_id().is_local()))
        })
        .await?;
        Ok(Remote { sink: sink.into(), _node: node, _threads: threads })
    }
}

impl Caller for Remote {
    /// A cast says nothing of what becomes of it; it goes into a mailbox without bounds.
    const OUTSTANDING: usize = 1;

    async fn tell(&self) -> Result<()> {
        Ok(self.sink.cast(ToSink::Put(text()))?)
    }

    async fn ask(&self) -> Result<u64> {
        match self.sink.call(|reply| ToSink::Get(text(), reply), None).await? {
            CallResult::Success(length) => Ok(length),
            other => Err(format!("an ask of ractor: {other:?}").into()),
        }
    }
}
