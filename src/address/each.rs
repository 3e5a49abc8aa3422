use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

use futures_util::future::join_all;

/// Sends to many at once and gives the outcomes in order.
///
/// Each is begun in order and with the caller's own waker, by which a mailbox sees that its own
/// actor sends; only those that have to wait are kept.
pub(crate) async fn send_each<F: Future + Unpin>(sends: Vec<F>) -> Vec<F::Output> {
    let mut outcomes = Vec::with_capacity(sends.len());
    let mut waiting = Vec::new();
    for (at, mut send) in sends.into_iter().enumerate() {
        match poll_fn(|cx| Poll::Ready(Pin::new(&mut send).poll(cx))).await {
            Poll::Ready(outcome) => outcomes.push(Some(outcome)),
            Poll::Pending => {
                outcomes.push(None);
                waiting.push(async move { (at, send.await) });
            }
        }
    }
    if !waiting.is_empty() {
        for (at, outcome) in join_all(waiting).await {
            outcomes[at] = Some(outcome);
        }
    }
    outcomes.into_iter().flatten().collect()
}
