//! Processes of several versions serve one service at once: nothing is buried that somebody alive can
//! handle.

use std::{collections::BTreeMap, sync::Arc};

use callboard::{
    Embedded, Name, Service,
    bus::frame::Frame,
    bus::keys,
    log::{EntryId, MessageLog, Place, StreamInfo},
    prelude::*,
};
use callboard_tests::tier;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::support::{node, until};

mod old {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
    #[message(name = "put")]
    pub(super) struct Put(pub u64);
}

mod new {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
    #[message(name = "put", version = 2, from = old::Put)]
    pub(super) struct Put(pub u64, pub bool);

    /// Of the new program alone.
    #[derive(Message, Serialize, Deserialize, Debug, Clone, Copy)]
    #[message(name = "take")]
    pub(super) struct Take(pub u64);
}

impl From<old::Put> for new::Put {
    fn from(old::Put(n): old::Put) -> Self {
        Self(n, false)
    }
}

callboard::protocol!(All { old::Put, new::Put, new::Take });

/// How often each was handled.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Handled {
    fn note(&self, n: u64) {
        *self.0.lock().entry(n).or_default() += 1;
    }

    fn len(&self) -> usize {
        self.0.lock().len()
    }
}

#[derive(Actor)]
struct OldStore(Handled);

#[handlers]
impl OldStore {
    #[handle]
    fn put(&mut self, old::Put(n): old::Put) {
        self.0.note(n);
    }
}

#[derive(Actor)]
struct NewStore(Handled);

#[handlers]
impl NewStore {
    #[handle]
    fn put(&mut self, new::Put(n, _): new::Put) {
        self.0.note(n);
    }

    #[handle]
    fn take(&mut self, new::Take(n): new::Take) {
        self.0.note(n);
    }
}

async fn serve_old(system: &System, handled: &Handled) -> Service<OldStore> {
    let handled = handled.clone();
    system.serve("store", move || OldStore(handled.clone())).await.expect("it is served")
}

async fn serve_new(system: &System, handled: &Handled) -> Service<NewStore> {
    let handled = handled.clone();
    system.serve("store", move || NewStore(handled.clone())).await.expect("it is served")
}

async fn info(store: &Embedded) -> StreamInfo {
    let stream = keys::service(&Name::new("default").unwrap(), &Name::new("store").unwrap(), 0);
    let info = store.log().info(&stream).await.unwrap().expect("the stream is there");
    assert!(info.accounting.adds_up(), "{:?}", info.accounting);
    info
}

async fn reasons(store: &Embedded) -> Vec<String> {
    let stream = keys::service(&Name::new("default").unwrap(), &Name::new("store").unwrap(), 0);
    let (from, to) = (EntryId::MIN, EntryId::MAX);
    let letters = store.log().range(&stream, Place::Dead, from, to, 100).await.unwrap();
    let reason = |frame| Frame::parse(frame).unwrap().letter().expect("a letter").reason.clone();
    letters.into_iter().map(|entry| reason(entry.frame)).collect()
}

#[callboard::test]
async fn old_and_new_processes_come_and_go_and_all_is_handled() -> callboard::Result<()> {
    let mut rng = fastrand::Rng::with_seed(tier::seed());
    let (store, handled) = (Embedded::new(), Handled::default());
    let (sender, first) = (node("sender", &store).await, node("first", &store).await);
    let (second, third) = (node("second", &store).await, node("third", &store).await);
    serve_old(&first, &handled).await;
    let mut new = serve_new(&second, &handled).await;
    let service = sender.service::<All>("store");
    until("the new one is seen", async || service.ask(new::Put(0, true)).await.is_ok()).await;
    let mut told = 1;
    for round in 0..10 {
        for _ in 0..40 {
            match rng.u8(..3) {
                0 => service.tell(old::Put(told)).await.expect("stored"),
                1 => service.tell(new::Put(told, true)).await.expect("stored"),
                _ => service.tell(new::Take(told)).await.expect("stored"),
            }
            told += 1;
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(..500))).await;
        // The next new one comes before the last one goes, as in a deployment.
        let next = if round % 2 == 0 { &third } else { &second };
        let after = serve_new(next, &handled).await;
        std::mem::replace(&mut new, after).stop().await?;
    }
    until("all are handled", async || handled.len() == told as usize).await;
    until("all is settled", async || info(&store).await.accounting.held == 0).await;
    assert!(handled.0.lock().values().all(|times| *times == 1), "{:?}", handled.0.lock());
    let info = info(&store).await;
    assert_eq!((info.accounting.dead, info.accounting.delayed), (0, 0), "{:?}", info.accounting);
    for system in [sender, first, second, third] {
        system.shutdown().await?;
    }
    Ok(())
}

#[callboard::test]
async fn what_nobody_knows_any_more_is_buried_with_its_reason_after_the_grace()
-> callboard::Result<()> {
    let (store, handled) = (Embedded::new(), Handled::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    serve_old(&one, &handled).await;
    let new = serve_new(&two, &handled).await;
    let service = one.service::<All>("store");
    until("the new one is seen", async || service.ask(new::Put(0, true)).await.is_ok()).await;
    let soon = Duration::from_secs(2);
    service.tell(new::Put(1, true)).delay(soon).await.expect("stored");
    service.tell(new::Take(2)).delay(soon).await.expect("stored");
    service.tell(old::Put(3)).delay(soon).await.expect("stored");
    new.stop().await?;
    let left = Instant::now();
    let refused = service.tell(new::Put(4, true)).await.expect_err("nobody knows it now");
    assert!(
        refused.to_string().contains("does not know version 2 of put, it knows 1"),
        "{refused}"
    );
    until("both are buried", async || info(&store).await.dead_letters == 2).await;
    let waited = left.elapsed();
    let bounds = Duration::from_secs(9)..Duration::from_secs(20);
    assert!(bounds.contains(&waited), "{waited:?}");
    let mut reasons = reasons(&store).await;
    reasons.sort();
    assert!(reasons[0].contains("does not handle take at all; it handles put"), "{}", reasons[0]);
    assert!(reasons[1].contains("does not know version 2 of put, it knows 1"), "{}", reasons[1]);
    for reason in &reasons {
        assert!(reason.contains("no instance of store that is alive takes"), "{reason}");
    }
    until("the old one is handled", async || handled.len() == 2).await;
    until("all is settled", async || info(&store).await.accounting.held == 0).await;
    one.shutdown().await?;
    two.shutdown().await
}

/// The old message under the name and version of the new one: it does not decode.
mod broken {
    use super::*;

    #[derive(Message, Serialize, Deserialize, Debug, Clone)]
    #[message(name = "put", version = 2)]
    pub(super) struct Put(pub String);

    callboard::protocol!(pub(super) Api { Put });
}

#[callboard::test]
async fn bytes_that_do_not_decode_are_buried_at_once() -> callboard::Result<()> {
    let (store, handled) = (Embedded::new(), Handled::default());
    let one = node("one", &store).await;
    serve_new(&one, &handled).await;
    let sent = Instant::now();
    let service = one.service::<broken::Api>("store");
    service.tell(broken::Put("no number".into())).await.expect("stored");
    until("it is buried", async || info(&store).await.dead_letters == 1).await;
    assert!(sent.elapsed() < Duration::from_secs(2), "{:?}", sent.elapsed());
    let reason = reasons(&store).await.remove(0);
    assert!(reason.contains("put version 2 can't be decoded"), "{reason}");
    one.shutdown().await
}

/// A process that knows it comes while the message waits.
#[callboard::test]
async fn who_comes_within_the_grace_gets_what_waited() -> callboard::Result<()> {
    let (store, handled) = (Embedded::new(), Handled::default());
    let (one, two) = (node("one", &store).await, node("two", &store).await);
    serve_old(&one, &handled).await;
    let new = serve_new(&two, &handled).await;
    let service = one.service::<All>("store");
    until("the new one is seen", async || service.ask(new::Put(0, true)).await.is_ok()).await;
    service.tell(new::Put(1, true)).delay(Duration::from_secs(1)).await.expect("stored");
    new.stop().await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(handled.len(), 1, "nobody could");
    serve_new(&two, &handled).await;
    until("it is handled", async || handled.len() == 2).await;
    assert_eq!(info(&store).await.dead_letters, 0);
    one.shutdown().await?;
    two.shutdown().await
}
