//! The endpoints, one connection each, and the user's token at each of them.
//!
//! The client's own balancing spreads calls at random, so that one endpoint of three that hangs
//! would hold every third call for as long as it does. Here all calls go to one endpoint until it
//! fails; then they go to the next.

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use etcd_client::{Client, ConnectOptions, Error};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

use super::{
    EtcdOptions,
    error::{DENIED, Meaning, has_no_users, meaning, no_answer, unavailable},
};
use crate::kv::KvError;

/// HTTP/2 pings: below five seconds etcd takes them for an attack.
const PING: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// All endpoints, and which of them is asked.
#[derive(Debug)]
pub(super) struct Members {
    /// In an order of this process's own, so that many do not all move to the same one.
    all: Vec<Member>,
    current: AtomicUsize,
    options: EtcdOptions,
}

/// One endpoint.
struct Member {
    endpoint: String,
    client: Client,
    /// How many tokens the user has got here.
    tokens: AtomicU64,
    /// Held while one is asked for: of many calls that were refused one asks.
    signing_in: Mutex<()>,
}

/// Whether a call may be made again when nobody knows if it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Carried out twice it does no more than once.
    Free,
    Never,
}

/// A call that failed: by etcd's word, or without one.
pub(super) enum Failed {
    Client(Error),
    Other(KvError),
}

/// A call in progress at one endpoint.
struct Attempt<'a> {
    members: &'a Members,
    index: usize,
    since: Instant,
    /// The token that it goes with.
    token: u64,
    ended: bool,
}

/// What one call may still do.
#[derive(Debug)]
struct Budget {
    /// Endpoints that it was not tried at.
    others: usize,
    /// How often it may be made again when nobody knows whether it was carried out.
    repeats: usize,
    /// How often it may get a new token.
    tokens: usize,
}

/// What to do with a call that failed.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Elsewhere,
    WithNewToken,
    GiveUp,
}

impl Members {
    /// Makes the connections, none of which is opened before it is used.
    pub(super) async fn new(options: EtcdOptions) -> Result<Self, KvError> {
        let mut endpoints = options.check()?;
        fastrand::shuffle(&mut endpoints);
        let connect = ConnectOptions::new()
            .with_keep_alive(PING.0, PING.1)
            .with_keep_alive_while_idle(false)
            // So that a call that waits for a connection in vain has time for another endpoint.
            .with_connect_timeout(options.call_timeout / 2)
            .with_require_leader(true);
        let mut all = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            // Without a user, else it would ask for a token at once.
            let client = Client::connect([&endpoint], Some(connect.clone())).await;
            let client = client.map_err(|error| match meaning(&error) {
                Meaning::Refused(why) => KvError::Refused(format!(
                    "the etcd endpoint {endpoint:?} (CALLBOARD_ETCD or `.etcd(..)`) can't be \
                     used: {why}"
                )),
                _ => unavailable("connect", error),
            })?;
            let (tokens, signing_in) = (AtomicU64::new(0), Mutex::new(()));
            all.push(Member { endpoint, client, tokens, signing_in });
        }
        Ok(Self { all, current: AtomicUsize::new(0), options })
    }

    pub(super) fn options(&self) -> &EtcdOptions {
        &self.options
    }

    /// The endpoint that is asked now.
    fn current(&self) -> (usize, &Member) {
        let index = self.current.load(Ordering::Relaxed);
        (index, &self.all[index])
    }

    /// Asks the next endpoint from now on, unless somebody else saw to that.
    pub(super) fn leave(&self, index: usize, why: &dyn fmt::Display) {
        let next = (index + 1) % self.all.len();
        if next == index {
            return;
        }
        let (seen, set) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.current.compare_exchange(index, next, set, seen).is_ok() {
            let (from, to) = (&self.all[index].endpoint, &self.all[next].endpoint);
            tracing::debug!(%from, %to, %why, "another etcd endpoint is asked");
        }
    }

    /// One call with its time limit.
    ///
    /// It goes on at the next endpoint when it was certainly not carried out, and once when nobody
    /// knows, if it may be made twice. It is made again with a new token when it was refused for the
    /// old one, which etcd does before anything else.
    pub(super) async fn call<T, F>(
        &self,
        what: &str,
        repeat: Repeat,
        call: impl Fn(&Client) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.call_at(what, repeat, call).await.map(|(_, answer)| answer)
    }

    /// A [`call`](Self::call) that says at which endpoint it was carried out.
    pub(super) async fn call_at<T, F>(
        &self,
        what: &str,
        repeat: Repeat,
        call: impl Fn(&Client) -> F,
    ) -> Result<(usize, T), Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let limit = self.options.call_timeout;
        let deadline = Instant::now() + limit;
        let mut budget = Budget::new(self.all.len(), repeat, self.options.user.is_some());
        loop {
            let (index, member) = self.current();
            let since = Instant::now();
            let until = budget.until(since, deadline);
            let mut attempt =
                Attempt { members: self, index, since, token: member.tokens(), ended: false };
            let failed = match timeout_at(until, attempt.run(member, &call)).await {
                Ok(Ok(answer)) => return Ok((index, answer)),
                Ok(Err(failed)) => failed,
                Err(_) => Failed::Other(no_answer(what, limit)),
            };
            let meaning = failed.meaning();
            if matches!(meaning, Meaning::NotDone | Meaning::Unknown) {
                self.leave(index, &failed);
            }
            match budget.after(&meaning) {
                Next::Elsewhere => {}
                Next::WithNewToken => member.forget_token(attempt.token),
                Next::GiveUp => {
                    return Err(match meaning {
                        Meaning::NoToken(why) => Failed::Other(self.denied(what, &why)),
                        Meaning::NoRights => Failed::Other(self.options.no_rights(what)),
                        _ => failed,
                    });
                }
            }
        }
    }

    /// With a fresh token it is the user's rights that are missing.
    fn denied(&self, what: &str, why: &str) -> KvError {
        if self.options.user.is_some() && why.contains(DENIED) {
            return self.options.no_rights(what);
        }
        self.options.no_user(why)
    }

    /// Gets a token for the user unless there is one.
    async fn sign_in(&self, member: &Member) -> Result<(), Failed> {
        let Some(user) = &self.options.user else { return Ok(()) };
        if member.has_token() {
            return Ok(());
        }
        member.sign_in(user).await.map_err(|error| match meaning(&error) {
            Meaning::Refused(why) => Failed::Other(self.options.no_user(&why)),
            _ => Failed::Client(error),
        })
    }
}

/// The lowest bit says that the last token was refused, the others count them.
const REFUSED: u64 = 1;

impl Member {
    /// What [`forget_token`](Self::forget_token) wants to know.
    fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Acquire)
    }

    fn has_token(&self) -> bool {
        let tokens = self.tokens();
        tokens != 0 && tokens & REFUSED == 0
    }

    /// The token that was there at that time was refused: the next call gets a new one first.
    fn forget_token(&self, seen: u64) {
        let (set, fail) = (Ordering::AcqRel, Ordering::Acquire);
        // Lost, somebody else did, or has a new one.
        let forgotten = self.tokens.compare_exchange(seen, seen | REFUSED, set, fail);
        tracing::debug!(
            endpoint = %self.endpoint, first = forgotten.is_ok(),
            "etcd does not take the user's token any more; a new one is asked for"
        );
    }

    async fn sign_in(&self, (name, password): &(String, String)) -> Result<(), Error> {
        let _turn = self.signing_in.lock().await;
        if self.has_token() {
            return Ok(());
        }
        // The client's own refresh is not used: it knows fewer of the reasons for a refusal.
        let user = Some((name.clone(), password.clone()));
        match self.client.clone().update_user(user).await {
            Ok(()) => {}
            Err(error) if has_no_users(&error) => tracing::warn!(
                endpoint = %self.endpoint, user = %name,
                "etcd does not check users (`etcdctl auth enable` was not run): everybody may do \
                 everything"
            ),
            Err(error) => return Err(error),
        }
        let tokens = self.tokens();
        self.tokens.store((tokens | REFUSED) + 1, Ordering::Release);
        Ok(())
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Attempt<'_> {
    /// The user may have to get a token first.
    async fn run<T, F>(&mut self, member: &Member, call: impl Fn(&Client) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let outcome = match self.members.sign_in(member).await {
            Ok(()) => {
                self.token = member.tokens();
                call(&member.client).await.map_err(Failed::Client)
            }
            Err(failed) => Err(failed),
        };
        self.ended = true;
        outcome
    }
}

impl Drop for Attempt<'_> {
    /// Whoever called may have had less patience: then this is all that is learnt of an endpoint
    /// that hangs.
    fn drop(&mut self) {
        if !self.ended && self.since.elapsed() >= self.members.options.call_timeout / 2 {
            self.members.leave(self.index, &"it does not answer");
        }
    }
}

impl Budget {
    fn new(endpoints: usize, repeat: Repeat, has_user: bool) -> Self {
        let others = endpoints - 1;
        let repeats = if repeat == Repeat::Free { others.min(1) } else { 0 };
        Self { others, repeats, tokens: usize::from(has_user) }
    }

    /// How long one attempt may take: there must be time for the next one.
    fn until(&self, now: Instant, deadline: Instant) -> Instant {
        if self.repeats > 0 { now + (deadline - now) / 2 } else { deadline }
    }

    fn after(&mut self, meaning: &Meaning) -> Next {
        let left = match meaning {
            Meaning::NotDone => &mut self.others,
            Meaning::Unknown => &mut self.repeats,
            Meaning::NoToken(_) => &mut self.tokens,
            _ => return Next::GiveUp,
        };
        let Some(fewer) = left.checked_sub(1) else { return Next::GiveUp };
        *left = fewer;
        match meaning {
            Meaning::NoToken(_) => Next::WithNewToken,
            Meaning::NotDone => {
                self.repeats = self.repeats.min(self.others);
                Next::Elsewhere
            }
            _ => {
                self.others = self.others.saturating_sub(1);
                Next::Elsewhere
            }
        }
    }
}

impl Failed {
    fn meaning(&self) -> Meaning {
        match self {
            Self::Client(error) => meaning(error),
            Self::Other(KvError::Unavailable { .. }) => Meaning::Unknown,
            Self::Other(error) => Meaning::Refused(error.to_string()),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Other(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(budget: &mut Budget, meanings: &[Meaning]) -> Vec<Next> {
        meanings.iter().map(|meaning| budget.after(meaning)).collect()
    }

    #[test]
    fn what_may_have_been_done_is_made_again_only_where_that_does_no_harm() {
        let mut write = Budget::new(3, Repeat::Never, false);
        assert_eq!(after(&mut write, &[Meaning::Unknown]), [Next::GiveUp]);
        let mut read = Budget::new(3, Repeat::Free, false);
        let nexts = after(&mut read, &[Meaning::Unknown, Meaning::Unknown]);
        assert_eq!(nexts, [Next::Elsewhere, Next::GiveUp]);
        let mut alone = Budget::new(1, Repeat::Free, false);
        assert_eq!(after(&mut alone, &[Meaning::Unknown]), [Next::GiveUp]);
    }

    #[test]
    fn what_was_not_done_is_tried_once_at_each_endpoint() {
        for repeat in [Repeat::Free, Repeat::Never] {
            let mut budget = Budget::new(3, repeat, false);
            let nexts = after(&mut budget, &[Meaning::NotDone, Meaning::NotDone, Meaning::NotDone]);
            assert_eq!(nexts, [Next::Elsewhere, Next::Elsewhere, Next::GiveUp]);
            assert_eq!(budget.repeats, 0, "no endpoint is left to repeat it at");
        }
    }

    #[test]
    fn a_token_is_renewed_once_and_only_for_a_user() {
        let refused = || Meaning::NoToken(String::new());
        let mut budget = Budget::new(1, Repeat::Never, true);
        assert_eq!(after(&mut budget, &[refused(), refused()]), [Next::WithNewToken, Next::GiveUp]);
        let mut nobody = Budget::new(1, Repeat::Never, false);
        assert_eq!(after(&mut nobody, &[refused()]), [Next::GiveUp]);
    }
}
