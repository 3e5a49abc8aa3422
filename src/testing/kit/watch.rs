use std::{fmt, future::Future, pin::pin, sync::Arc};

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::{sync::Notify, time::Instant};

use crate::host::Observer;

/// Polls of actors at one instant of the clock after which they count as restless, unless the test
/// says otherwise.
const POLLS_MAX: u64 = 1_000_000;
/// The last of these polls, among which the busiest actors are looked for.
const POLLS_TALLIED: u64 = 1_000;
/// How many of the busiest are named.
const NAMED_MAX: usize = 3;

/// A panic that the actor layer caught.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorPanic {
    /// The actor's name.
    pub actor: String,
    /// Wire name of the message in hand, or the hook that ran.
    pub handling: String,
    /// What the panic said.
    pub text: String,
}

impl fmt::Display for ActorPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` handling `{}`: {}", self.actor, self.handling, self.text)
    }
}

/// What the hosts of a test system tell.
pub(super) struct Watch {
    state: Mutex<State>,
    restless: Notify,
}

struct State {
    panics: Vec<ActorPanic>,
    /// How many panics are to come in the whole test.
    expected: usize,
    /// Waits of the kit that are under way; polls count only meanwhile.
    waits: usize,
    polls_max: u64,
    /// The instant of the clock at which `polls` were counted.
    at: Option<Instant>,
    polls: u64,
    tally: FxHashMap<String, u64>,
    /// Who would not come to rest.
    busiest: Option<String>,
}

/// The actors never come to rest.
#[derive(Debug)]
pub(super) struct Restless(String);

impl fmt::Display for Restless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Restless {
    pub(super) fn new(why: String) -> Self {
        Self(why)
    }
}

impl Watch {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            panics: Vec::new(),
            expected: 0,
            waits: 0,
            polls_max: POLLS_MAX,
            at: None,
            polls: 0,
            tally: FxHashMap::default(),
            busiest: None,
        };
        Arc::new(Self { state: Mutex::new(state), restless: Notify::new() })
    }

    pub(super) fn set_polls_max(&self, polls: u64) {
        self.state.lock().polls_max = polls.max(1);
    }

    /// Awaits this, unless the actors turn out to be restless meanwhile.
    ///
    /// # Errors
    /// [`Restless`] names the busiest actors.
    pub(super) async fn unless_restless<F: Future>(
        &self,
        future: F,
    ) -> Result<F::Output, Restless> {
        let _waiting = Waiting::begin(self);
        let restless = pin!(self.restless.notified());
        match select(pin!(future), restless).await {
            Either::Left((output, _)) => Ok(output),
            Either::Right(_) => {
                let state = self.state.lock();
                let (polls, busiest) = (state.polls, state.busiest.as_deref().unwrap_or_default());
                Err(Restless(format!(
                    "the actors never come to rest: {polls} polls at one instant of the clock and \
                     still more to do; the busiest of the last {}: {busiest}",
                    polls.min(POLLS_TALLIED)
                )))
            }
        }
    }

    pub(super) fn expect(&self, panics: usize) {
        self.state.lock().expected += panics;
    }

    pub(super) fn panics(&self) -> Vec<ActorPanic> {
        self.state.lock().panics.clone()
    }

    /// What is wrong with the panics of the test as a whole.
    pub(super) fn complaint(&self) -> Option<String> {
        let state = self.state.lock();
        let came = state.panics.len();
        if came == state.expected {
            return None;
        }
        let expected = match state.expected {
            0 => "none was".to_owned(),
            1 => "1 was".to_owned(),
            n => format!("{n} were"),
        };
        let came = match came {
            0 => "no handler panicked".to_owned(),
            1 => "a handler panicked".to_owned(),
            n => format!("{n} handlers panicked"),
        };
        Some(format!("{came}, {expected} expected{}", lines(&state.panics)))
    }

    /// The panics that came beyond those expected, to explain why something else did not come.
    pub(super) fn unexpected_panics(&self) -> String {
        let state = self.state.lock();
        if state.panics.len() <= state.expected {
            return String::new();
        }
        format!("; meanwhile panicked:{}", lines(&state.panics))
    }
}

fn lines(panics: &[ActorPanic]) -> String {
    panics.iter().map(|panic| format!("\n  {panic}")).collect()
}

impl Observer for Watch {
    fn polled(&self, tenant: &str) {
        let mut state = self.state.lock();
        if state.waits == 0 || state.busiest.is_some() {
            return;
        }
        let now = Some(Instant::now());
        if state.at != now {
            state.at = now;
            state.polls = 0;
            state.tally.clear();
        }
        state.polls += 1;
        if state.polls > state.polls_max.saturating_sub(POLLS_TALLIED) {
            match state.tally.get_mut(tenant) {
                Some(polls) => *polls += 1,
                None => {
                    state.tally.insert(tenant.to_owned(), 1);
                }
            }
        }
        if state.polls >= state.polls_max {
            state.busiest = Some(state.busiest());
            drop(state);
            self.restless.notify_waiters();
        }
    }

    fn panicked(&self, actor: &str, handling: &str, text: &str) {
        let text = text.strip_prefix("panicked: ").unwrap_or(text);
        self.state.lock().panics.push(ActorPanic {
            actor: actor.to_owned(),
            handling: handling.to_owned(),
            text: text.to_owned(),
        });
    }
}

impl State {
    fn busiest(&self) -> String {
        let mut polled: Vec<_> = self.tally.iter().collect();
        polled.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        let named = polled.iter().take(NAMED_MAX);
        named.map(|(name, polls)| format!("`{name}` ({polls})")).collect::<Vec<_>>().join(", ")
    }
}

/// A wait of the kit: the first of them begins the count.
struct Waiting<'a>(&'a Watch);

impl<'a> Waiting<'a> {
    fn begin(watch: &'a Watch) -> Self {
        let mut state = watch.state.lock();
        if state.waits == 0 {
            state.at = None;
            state.busiest = None;
        }
        state.waits += 1;
        Self(watch)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.lock().waits -= 1;
    }
}
