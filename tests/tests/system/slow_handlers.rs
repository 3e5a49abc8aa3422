//! A handler that blocks its thread is named in the log.

use std::{thread, time::Duration as StdDuration};

use callboard::prelude::*;

use crate::events::{Line, Log};

/// Blocks the thread: real time, whatever the clock of the test says.
#[derive(Message)]
struct Block(StdDuration);

/// The same, between two awaits.
#[derive(Message)]
struct BlockAmid(StdDuration);

#[derive(Actor)]
struct Mason;

#[handlers]
impl Mason {
    #[handle]
    fn block(&mut self, Block(time): Block) {
        thread::sleep(time);
    }

    #[handle]
    async fn block_amid(&mut self, BlockAmid(time): BlockAmid) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        thread::sleep(time);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What the log says of handlers that took long while this was handled.
async fn said<M: HandledBy<Mason>>(system: &System, message: M) -> Vec<Line> {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let mason = system.actor(|| Mason).name("mason").spawn().expect("it is up");
    assert!(mason.ask(message).await.is_ok());
    tokio::task::yield_now().await;
    drop(guard);
    log.long()
}

fn took(line: &Line) -> Duration {
    let text = &line.fields["took"];
    callboard::parse_duration(text).unwrap_or_else(|_| {
        // `Debug` of a duration writes fractions, as in 50.1ms.
        let number: f64 = text.trim_end_matches("ms").parse().expect("a duration");
        Duration::from_secs_f64(number / 1000.0)
    })
}

#[callboard::test]
async fn a_handler_that_blocks_its_thread_is_named_with_its_message(system: System) {
    let lines = said(&system, Block(Duration::from_millis(50))).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let Line { fields, .. } = &lines[0];
    assert_eq!((fields["actor"].as_str(), fields["handling"].as_str()), ("mason", "Block"));
    assert!(took(&lines[0]) >= Duration::from_millis(50), "{lines:?}");
}

#[callboard::test]
async fn an_async_handler_that_blocks_its_thread_is_named_too(system: System) {
    let lines = said(&system, BlockAmid(Duration::from_millis(50))).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let Line { fields, .. } = &lines[0];
    assert_eq!((fields["actor"].as_str(), fields["handling"].as_str()), ("mason", "BlockAmid"));
}

#[callboard::test]
async fn a_handler_that_awaits_for_long_is_not_named(system: System) {
    let lines = said(&system, BlockAmid(Duration::ZERO)).await;
    assert!(lines.is_empty(), "{lines:?}");
}
