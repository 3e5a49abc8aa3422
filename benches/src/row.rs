//! The rows of the table.

use crate::{
    peer::Peer,
    peers::{actix::Actix, callboard::Callboard, kameo::Kameo, ractor::Ractor, tokio::Tokio},
    savina::{bank, big, chameneos, fork_join, ping_pong},
    span::Sample,
    workload,
};

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One operation, over and over.
    Micro,
    /// Programs of the Savina suite.
    Savina,
}

/// All tables in order, as `--table` names them.
pub const TABLES: [(&str, Kind); 2] = [("micro", Kind::Micro), ("savina", Kind::Savina)];

/// One workload.
#[derive(Debug)]
pub struct Row {
    /// The table that it stands in.
    pub kind: Kind,
    /// For `--rows`.
    pub key: &'static str,
    /// As the table names it.
    pub title: &'static str,
    /// How it is arranged.
    pub arranged: &'static str,
    /// Messages, hops or actors of one sample, or whatever the title says.
    pub messages: u64,
    /// Whether a thread waits for the other at every message, so that it matters how it waits.
    pub is_latency: bool,
    /// Whether everything happens on the actors' thread, after a warm-up, so that the instructions
    /// of a message can be counted.
    pub is_countable: bool,
    /// Whether it needs a mailbox that holds its bound.
    needs_bounded: bool,
    work: Work,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Tell,
    TellBounded,
    TryTell,
    Ask,
    AskFromActor,
    Ring,
    TellAcross,
    TellBoundedAcross,
    AsksInFlight,
    AskAcross,
    AskAcrossLoaded,
    AskBetween,
    AskBetweenLoaded,
    YieldingBare,
    YieldingTokio,
    Spawn,
    PingPong,
    ForkJoin,
    Chameneos,
    Big,
    Bank,
}

impl Work {
    const fn kind(self) -> Kind {
        match self {
            Self::PingPong | Self::ForkJoin | Self::Chameneos | Self::Big | Self::Bank => {
                Kind::Savina
            }
            _ => Kind::Micro,
        }
    }
}

const fn row(
    key: &'static str,
    title: &'static str,
    messages: u64,
    work: Work,
    arranged: &'static str,
) -> Row {
    let needs_bounded = matches!(work, Work::TellBounded | Work::TryTell | Work::TellBoundedAcross);
    let is_latency = matches!(
        work,
        Work::AskAcross | Work::AskAcrossLoaded | Work::AskBetween | Work::AskBetweenLoaded
    );
    let is_countable = !is_latency
        && !matches!(
            work,
            Work::TellAcross | Work::TellBoundedAcross | Work::AsksInFlight | Work::Spawn
        );
    Row {
        kind: work.kind(),
        key,
        title,
        arranged,
        messages,
        is_latency,
        is_countable,
        needs_bounded,
        work,
    }
}

/// All rows in order.
pub const ROWS: [Row; 21] = [
    row(
        "tell",
        "tell, one thread",
        500_000,
        Work::Tell,
        "an actor's handler sends 1000, then asks for the total, so that all are handled; the \
         mailbox holds more",
    ),
    row(
        "tell-bounded",
        "tell, bounded 1024",
        500_000,
        Work::TellBounded,
        "an actor's handler sends without a pause into a mailbox of 1024 and waits for room (actix: \
         `try_send`, and a yield to the runtime when it is full)",
    ),
    row(
        "try-tell",
        "try_tell",
        500_000,
        Work::TryTell,
        "as tell, by the call that never waits, into a mailbox of 1024",
    ),
    row(
        "ask",
        "ask",
        200_000,
        Work::Ask,
        "a task that is no actor, on the actor's thread, asks one after the other",
    ),
    row(
        "ask-actor",
        "actor-to-actor ask, one arbiter",
        200_000,
        Work::AskFromActor,
        "an actor's handler asks another actor of its thread, one after the other",
    ),
    row(
        "ring",
        "ring, per hop",
        400_000,
        Work::Ring,
        "one token goes round 64 actors of one thread",
    ),
    row(
        "tell-across",
        "tell across threads",
        500_000,
        Work::TellAcross,
        "a task on another thread sends 50 000, then asks for the total; the mailbox holds more",
    ),
    row(
        "tell-bounded-across",
        "tell across threads, bounded",
        500_000,
        Work::TellBoundedAcross,
        "a task on another thread sends without a pause into a mailbox of 1024",
    ),
    row(
        "in-flight",
        "64 asks in flight, across threads",
        128_000,
        Work::AsksInFlight,
        "64 tasks on another thread ask, each one after the other",
    ),
    row(
        "ask-across",
        "ask across threads, one at a time",
        20_000,
        Work::AskAcross,
        "a task on another thread asks, one after the other: either thread has nothing to do while \
         the other works",
    ),
    row(
        "ask-across-loaded",
        "ask across threads, cores busy",
        1_000,
        Work::AskAcrossLoaded,
        "as before, beside as many busy threads as there are cores",
    ),
    row(
        "ask-between",
        "ask between two arbiters",
        50_000,
        Work::AskBetween,
        "an actor's handler asks an actor of another thread, one after the other",
    ),
    row(
        "ask-between-loaded",
        "ask between two arbiters, cores busy",
        1_000,
        Work::AskBetweenLoaded,
        "as before, beside as many busy threads as there are cores",
    ),
    row(
        "yield",
        "handler that yields once",
        200_000,
        Work::YieldingBare,
        "as tell; the handler wakes its own waker and returns pending once; no other message of \
         that actor is handled meanwhile (actix: `AtomicResponse`)",
    ),
    row(
        "yield-tokio",
        "the same by tokio's yield_now",
        100_000,
        Work::YieldingTokio,
        "as before with `tokio::task::yield_now`, which comes back only after the runtime has \
         looked for I/O",
    ),
    row(
        "spawn",
        "spawn, per actor",
        10_000,
        Work::Spawn,
        "a task on the actors' thread spawns 10 000 and waits until each has run its start hook",
    ),
    row(
        "ping-pong",
        "ping-pong, per message",
        400_000,
        Work::PingPong,
        "one message between two actors, to and fro; the ping carries the address of its sender",
    ),
    row(
        "fork-join",
        "fork-join create, per actor",
        10_000,
        Work::ForkJoin,
        "a task on the actors' thread spawns 10 000 and sends each one message; it computes a sine \
         and ends; the task waits until all have ended",
    ),
    row(
        "chameneos",
        "chameneos, per meeting",
        100_000,
        Work::Chameneos,
        "100 creatures meet in pairs at a mall: four messages a meeting, three of which carry an \
         address or a colour for the other",
    ),
    row(
        "big",
        "big, per message",
        480_000,
        Work::Big,
        "120 actors, each of which pings another at random when the ping before was answered",
    ),
    row(
        "bank",
        "bank transaction, per transaction",
        80_000,
        Work::Bank,
        "4 tellers with 16 transactions under way each, 1000 accounts: a tell to an account, whose \
         handler asks another account and then tells the teller; it handles nothing else meanwhile",
    ),
];

impl Row {
    /// Whether a peer can run it.
    fn suits<P: Peer>(&self) -> bool {
        P::HAS_BOUNDED || !self.needs_bounded
    }

    /// Runs it once for a peer that is started for it; nothing when the peer has no such thing.
    pub fn run<P: Peer>(&self, messages: u64) -> Option<Sample> {
        if !self.suits::<P>() {
            return None;
        }
        let peer = P::start();
        let work = match self.work {
            Work::Tell => workload::tell::<P>,
            Work::TellBounded => workload::tell_bounded,
            Work::TryTell => workload::try_tell,
            Work::Ask => workload::ask,
            Work::AskFromActor => workload::ask_from_actor,
            Work::Ring => workload::ring,
            Work::TellAcross => workload::tell_across,
            Work::TellBoundedAcross => workload::tell_bounded_across,
            Work::AsksInFlight => workload::asks_in_flight,
            Work::AskAcross => workload::ask_across,
            Work::AskAcrossLoaded => workload::ask_across_loaded,
            Work::AskBetween => workload::ask_between,
            Work::AskBetweenLoaded => workload::ask_between_loaded,
            Work::YieldingBare => workload::yielding_bare,
            Work::YieldingTokio => workload::yielding_tokio,
            Work::Spawn => workload::spawn,
            Work::PingPong => ping_pong::run,
            Work::ForkJoin => fork_join::run,
            Work::Chameneos => chameneos::run,
            Work::Big => big::run,
            Work::Bank => bank::run,
        };
        Some(work(&peer, messages))
    }
}

/// Runs a row once for one peer.
pub type Runner = fn(&Row, u64) -> Option<Sample>;

/// The peers in the order of the table; callboard is the first.
pub const PEERS: [(&str, Runner); 5] = [
    (Callboard::<true>::NAME, Row::run::<Callboard<true>>),
    (Actix::NAME, Row::run::<Actix>),
    (Kameo::NAME, Row::run::<Kameo>),
    (Ractor::NAME, Row::run::<Ractor>),
    (Tokio::NAME, Row::run::<Tokio>),
];

/// Other settings of callboard, for the rows in which they matter ([`Row::is_latency`]).
pub const VARIANTS: &[(&str, Runner)] = &[
    #[cfg(feature = "spin")]
    (Callboard::<false>::NAME, Row::run::<Callboard<false>>),
];
