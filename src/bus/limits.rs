use std::time::Duration;

use super::backoff::Backoff;

/// The bounds of a bus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BusLimits {
    /// What a lane holds before senders wait. 1 MiB.
    pub lane_bytes_max: usize,
    /// A lane that carried nothing for so long is dropped. 10 min.
    pub lane_idle: Duration,
    /// Raw bytes of frames of services and topics that are held at a time. 8 MiB.
    pub held_bytes_max: usize,
    /// How long one call of the log may take, beyond the time it is told to wait. 2 s.
    pub call_timeout: Duration,
    /// Between attempts of a call that failed. Up to 2 s.
    pub call_backoff: Backoff,
    /// Tries of a tell whose handler fails, before it is buried. 5.
    pub attempts_max: u32,
    /// Between those tries. 100 ms .. 30 s.
    pub retry_backoff: Backoff,
    /// How long a message to a service waits when nobody who is alive knows it, before it is buried;
    /// longer where the view of who is alive may be older. 10 s.
    pub unknown_grace: Duration,
    /// Messages that wait beside a full mailbox of an actor in the inbox. 1024.
    pub side_queue_messages_max: usize,
    /// Their bodies in bytes. 1 MiB.
    pub side_queue_bytes_max: usize,
    /// Held and delayed messages of a service before tells to it are refused. 1 000 000.
    pub backlog_max: Option<u64>,
    /// Of an ask that names none. 30 s.
    pub ask_timeout: Duration,
    /// How long a read waits for something to come.
    pub read_block: Duration,
    /// How often the log hears at least of what is held. 5 s.
    pub touch_every: Duration,
    /// Entries of a process that is gone are taken over when nobody touched them for so long. 7 s.
    pub claim_idle_gone: Duration,
    /// Entries of any process are taken over when nobody touched them for so long. 30 s.
    pub claim_idle: Duration,
}

impl Default for BusLimits {
    fn default() -> Self {
        let span = Duration::from_millis;
        Self {
            lane_bytes_max: 1 << 20,
            lane_idle: Duration::from_secs(600),
            held_bytes_max: 8 << 20,
            call_timeout: Duration::from_secs(2),
            call_backoff: Backoff { base: span(50), cap: Duration::from_secs(2) },
            attempts_max: 5,
            retry_backoff: Backoff { base: span(100), cap: Duration::from_secs(30) },
            unknown_grace: Duration::from_secs(10),
            side_queue_messages_max: 1024,
            side_queue_bytes_max: 1 << 20,
            backlog_max: Some(1_000_000),
            ask_timeout: Duration::from_secs(30),
            read_block: Duration::from_secs(5),
            touch_every: Duration::from_secs(5),
            claim_idle_gone: Duration::from_secs(7),
            claim_idle: Duration::from_secs(30),
        }
    }
}
