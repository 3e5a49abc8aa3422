use std::time::Duration;

use crate::mailbox::{MailboxLimits, Overflow};

/// When an actor is built again after it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartWhen {
    /// After a panic or a failed start.
    #[default]
    Failure,
    /// Also when it stopped by itself.
    Always,
    /// Never.
    Never,
}

/// The settings of an actor, as `#[actor(..)]` states them. Every method is one attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActorOptions {
    pub(crate) capacity: usize,
    pub(crate) bytes: usize,
    pub(crate) overflow: Overflow,
    pub(crate) restart_when: RestartWhen,
    pub(crate) restart_max: u32,
    pub(crate) restart_within: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) drain: Duration,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) breaker: Option<BreakerOptions>,
}

/// CPU share of an actor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cpu {
    pub(crate) weight: u32,
    /// In thousandths of a core.
    pub(crate) cap: Option<u32>,
}

/// When the circuit of an actor opens and closes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BreakerOptions {
    pub(crate) failures: u32,
    pub(crate) failure_rate: u8,
    pub(crate) slow_rate: u8,
    pub(crate) slow: Duration,
    pub(crate) minimum: u32,
    pub(crate) window: Duration,
    pub(crate) probe_after: (Duration, Duration),
    pub(crate) probes: u32,
    pub(crate) hung: Duration,
    pub(crate) tell_is_refused: bool,
}

impl BreakerOptions {
    const DEFAULT: Self = Self {
        failures: 5,
        failure_rate: 50,
        slow_rate: 80,
        slow: Duration::from_secs(5),
        minimum: 20,
        window: Duration::from_secs(30),
        probe_after: (Duration::from_secs(1), Duration::from_secs(60)),
        probes: 3,
        hung: Duration::from_secs(60),
        tell_is_refused: false,
    };
}

/// Messages in a mailbox, unless the actor says otherwise.
pub(crate) const CAPACITY_DEFAULT: usize = 1024;
/// The most messages that a mailbox may hold.
pub(crate) const CAPACITY_MAX: usize = 1 << 20;
/// Bytes in a mailbox, unless the actor says otherwise.
pub(crate) const BYTES_DEFAULT: usize = 8 << 20;
/// Bounds of a mailbox in bytes.
pub(crate) const BYTES_BOUNDS: (usize, usize) = (1 << 10, 1 << 30);
/// How long a stopping actor may work off what it had accepted.
pub(crate) const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

impl ActorOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            capacity: CAPACITY_DEFAULT,
            bytes: BYTES_DEFAULT,
            overflow: Overflow::Wait,
            restart_when: RestartWhen::Failure,
            restart_max: 5,
            restart_within: Duration::from_secs(30),
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
            drain: DRAIN_DEFAULT,
            cpu: None,
            breaker: None,
        }
    }

    /// `mailbox(capacity = ..)`: messages, 1 to 2^20; what is outside is brought to the bound.
    #[must_use]
    pub const fn mailbox_capacity(mut self, messages: usize) -> Self {
        self.capacity = clamp(messages, 1, CAPACITY_MAX);
        self
    }

    /// `mailbox(bytes = ..)`: 1 KiB to 1 GiB; what is outside is brought to the bound.
    #[must_use]
    pub const fn mailbox_bytes(mut self, bytes: usize) -> Self {
        self.bytes = clamp(bytes, BYTES_BOUNDS.0, BYTES_BOUNDS.1);
        self
    }

    /// `mailbox(overflow = "wait" | "reject" | "drop_oldest")`.
    #[must_use]
    pub const fn mailbox_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// `restart(when = "failure" | "always" | "never")`.
    #[must_use]
    pub const fn restart_when(mut self, when: RestartWhen) -> Self {
        self.restart_when = when;
        self
    }

    /// `restart(max = ..)`: restarts within the window.
    #[must_use]
    pub const fn restart_max(mut self, max: u32) -> Self {
        self.restart_max = max;
        self
    }

    /// `restart(within = "..")`: the window.
    #[must_use]
    pub const fn restart_within(mut self, within: Duration) -> Self {
        self.restart_within = within;
        self
    }

    /// `restart(backoff = "shortest..longest")`.
    #[must_use]
    pub const fn restart_backoff(mut self, shortest: Duration, longest: Duration) -> Self {
        self.backoff = (shortest, longest);
        self
    }

    /// `stop(drain = "..")`: how long a stopping actor may work off what it had accepted.
    #[must_use]
    pub const fn stop_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// `cpu(weight = ..)`: 1 to 10 000.
    #[must_use]
    pub const fn cpu_weight(mut self, weight: u32) -> Self {
        let cap = match self.cpu {
            Some(cpu) => cpu.cap,
            None => None,
        };
        self.cpu = Some(Cpu { weight, cap });
        self
    }

    /// `cpu(cap = "250m")`: thousandths of a core.
    #[must_use]
    pub const fn cpu_cap(mut self, millicores: u32) -> Self {
        let weight = match self.cpu {
            Some(cpu) => cpu.weight,
            None => 1,
        };
        self.cpu = Some(Cpu { weight, cap: Some(millicores) });
        self
    }

    /// `breaker`: a circuit breaker with its defaults, where nothing else is said.
    #[must_use]
    pub const fn with_breaker(mut self) -> Self {
        self.breaker = Some(self.breaker_or_default());
        self
    }

    /// `breaker(failures = ..)`: failures in a row that open the circuit.
    #[must_use]
    pub const fn breaker_failures(mut self, failures: u32) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.failures = failures;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(failure_rate = ..)`: per cent of the window.
    #[must_use]
    pub const fn breaker_failure_rate(mut self, percent: u8) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.failure_rate = percent;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(slow_rate = ..)`: per cent of the window.
    #[must_use]
    pub const fn breaker_slow_rate(mut self, percent: u8) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.slow_rate = percent;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(slow = "..")`: what counts as slow.
    #[must_use]
    pub const fn breaker_slow(mut self, slow: Duration) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.slow = slow;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(minimum = ..)`: outcomes below which rates say nothing.
    #[must_use]
    pub const fn breaker_minimum(mut self, minimum: u32) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.minimum = minimum;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(window = "..")`.
    #[must_use]
    pub const fn breaker_window(mut self, window: Duration) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.window = window;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(probe_after = "first..longest")`.
    #[must_use]
    pub const fn breaker_probe_after(mut self, first: Duration, longest: Duration) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.probe_after = (first, longest);
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(probes = ..)`: successes in a row that close it.
    #[must_use]
    pub const fn breaker_probes(mut self, probes: u32) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.probes = probes;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(hung = "..")`: a handler that takes so long counts as failed.
    #[must_use]
    pub const fn breaker_hung(mut self, hung: Duration) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.hung = hung;
        self.breaker = Some(breaker);
        self
    }

    /// `breaker(tell = "store" | "refuse")`: what an open circuit does with durable tells.
    #[must_use]
    pub const fn breaker_refuses_tells(mut self, refuse: bool) -> Self {
        let mut breaker = self.breaker_or_default();
        breaker.tell_is_refused = refuse;
        self.breaker = Some(breaker);
        self
    }

    const fn breaker_or_default(&self) -> BreakerOptions {
        match self.breaker {
            Some(breaker) => breaker,
            None => BreakerOptions::DEFAULT,
        }
    }

    pub(crate) fn limits(&self) -> MailboxLimits {
        MailboxLimits { capacity: self.capacity, bytes: self.bytes, overflow: self.overflow }
    }
}

impl Default for ActorOptions {
    fn default() -> Self {
        Self::new()
    }
}

const fn clamp(value: usize, low: usize, high: usize) -> usize {
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}
