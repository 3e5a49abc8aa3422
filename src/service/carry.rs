//! Addresses and references inside messages.
//!
//! An address travels as the process and the actor; at the other end it becomes an address again
//! that sends through the bus, or the plain one when it comes home.

use std::{
    any::Any,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use tokio::time::Instant;

use super::{LocalActorOf, Node, ServiceRef, local::Table};
use crate::{
    actor::Handlers,
    address::{Addr, CodecContext, RemoteMessage, RemoteReply, RemoteSink, current_context},
    bus::{Body, Destination, Outgoing},
    error::{Failure, FailureKind},
    id::{ActorId, Incarnation},
};

const NO_CONTEXT: &str = "an address or service reference can be encoded and decoded only as part \
                          of a message that a system sends or receives";

fn current_node() -> Option<Arc<Node>> {
    current_context()?.downcast().ok()
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Addr")]
struct Carried {
    incarnation: Incarnation,
    actor: ActorId,
}

impl<A: Handlers> Serialize for Addr<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let node = current_node().ok_or_else(|| ser::Error::custom(NO_CONTEXT))?;
        let incarnation = match self.incarnation() {
            Some(incarnation) => incarnation,
            None => {
                node.export(self);
                node.incarnation()
            }
        };
        Carried { incarnation, actor: self.id() }.serialize(serializer)
    }
}

impl<'de, A: Handlers> Deserialize<'de> for Addr<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = current_node().ok_or_else(|| de::Error::custom(NO_CONTEXT))?;
        let carried = Carried::deserialize(deserializer)?;
        node.import(&carried).map_err(de::Error::custom)
    }
}

impl<P: ?Sized> Serialize for ServiceRef<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.name().serialize(serializer)
    }
}

impl<'de, P: ?Sized> Deserialize<'de> for ServiceRef<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = current_node().ok_or_else(|| de::Error::custom(NO_CONTEXT))?;
        let name = String::deserialize(deserializer)?;
        Ok(Self::new(&node, &name))
    }
}

impl Node {
    /// Makes an actor of this process reachable for whoever gets its address.
    fn export<A: Handlers>(&self, addr: &Addr<A>) {
        if self.is_admitted(addr.id()) {
            return;
        }
        let Some(actor) = LocalActorOf::new(addr.clone(), Arc::new(Table::new()), self.context())
        else {
            return;
        };
        self.admit(Arc::new(actor));
        let (node, addr) = (self.weak(), addr.clone());
        self.runtime().spawn(async move {
            if let Err(failure) = addr.stopped().await {
                tracing::debug!(%failure, "an exported actor can't be waited for");
            }
            if let Some(node) = Weak::upgrade(&node) {
                node.dismiss(addr.id());
            }
        });
    }

    fn import<A: Handlers>(&self, carried: &Carried) -> Result<Addr<A>, String> {
        let Carried { incarnation, actor } = *carried;
        if let Some(local) = self.shortcut(incarnation, actor) {
            let addr: Box<dyn Any> = local.addr();
            return match addr.downcast::<Addr<A>>() {
                Ok(addr) => Ok(*addr),
                Err(_) => Err(format!("actor {actor} is of another type than its address")),
            };
        }
        Ok(Addr::from_remote(Arc::new(RemoteActor { node: self.weak(), incarnation, actor })))
    }
}

/// An actor in another process.
struct RemoteActor {
    node: Weak<Node>,
    incarnation: Incarnation,
    actor: ActorId,
}

impl RemoteActor {
    fn node(&self) -> Result<Arc<Node>, Failure> {
        self.node.upgrade().ok_or_else(|| {
            FailureKind::Stopped { actor: "the system of this address".to_owned() }.into()
        })
    }

    fn outgoing(&self, message: RemoteMessage) -> Outgoing<'static> {
        let RemoteMessage { name, version, codec, body } = message;
        let mut outgoing = Outgoing::new(name, version, Body::Bytes(body));
        outgoing.codec = codec;
        outgoing.target = Some(self.actor);
        outgoing
    }
}

impl RemoteSink for RemoteActor {
    fn identity(&self) -> (Incarnation, ActorId) {
        (self.incarnation, self.actor)
    }

    fn context(&self) -> CodecContext {
        let node: Weak<Node> = self.node.clone();
        node
    }

    fn try_tell(&self, message: RemoteMessage) -> Result<(), Failure> {
        let to = Destination::Inbox(self.incarnation);
        self.node()?.bus().try_tell(&to, self.outgoing(message)).map(drop)
    }

    fn tell(&self, message: RemoteMessage) -> BoxFuture<'static, Result<(), Failure>> {
        let (node, outgoing) = (self.node(), self.outgoing(message));
        let (incarnation, actor) = (self.incarnation, self.actor);
        Box::pin(async move { node?.bus().tell_actor(incarnation, actor, outgoing).await })
    }

    fn ask(
        &self,
        message: RemoteMessage,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<RemoteReply, Failure>> {
        let (node, mut outgoing) = (self.node(), self.outgoing(message));
        let (incarnation, actor) = (self.incarnation, self.actor);
        Box::pin(async move {
            outgoing.deadline = Some(Instant::now() + timeout);
            let asked = node?.bus().ask(incarnation, actor, outgoing).await;
            let reply = asked.map_err(as_stopped)?;
            Ok(RemoteReply { codec: reply.codec, body: reply.body })
        })
    }
}

/// Who asks one actor by its address has nobody else to go to: for them it has stopped.
fn as_stopped(failure: Failure) -> Failure {
    match failure.kind() {
        FailureKind::Moved { actor } => {
            let kind = FailureKind::Stopped { actor: actor.clone() };
            Failure::with_delivery(kind, failure.delivery())
        }
        _ => failure,
    }
}
