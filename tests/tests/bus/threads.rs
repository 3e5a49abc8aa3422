//! With real threads and the real clock: lost wake-ups show as a test that never ends.

use std::time::Duration;

use callboard::{
    ActorId,
    bus::{Destination, Offered, frame::Kind},
};

use crate::support::*;

const SENDERS: u64 = 4;
const MESSAGES: u64 = 3_000;

#[test]
fn many_threads_send_through_one_lane_and_each_keeps_its_order() {
    let io =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (sender, receiver, seen, _held) = io.block_on(async {
        let log = log();
        let (sender, receiver) = (bus_over(log.clone()).await, bus_over(log).await);
        let seen = Seen::default();
        let service = receiver.consume_service(&name("adder"), seen.intake()).await.unwrap();
        let echo = intake(|message| {
            let conclusion = match message.kind {
                Kind::Ask => replied(&message.body),
                _ => handled(),
            };
            message.delivery.conclude(conclusion);
            Offered::Taken
        });
        let inbox = receiver.open_inbox(echo).await.unwrap();
        (sender, receiver, seen, (service, inbox))
    });
    let callee = receiver.incarnation();
    std::thread::scope(|scope| {
        for thread in 0..SENDERS {
            let bus = sender.clone();
            scope.spawn(move || {
                let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
                own.block_on(async move {
                    let to = Destination::Service(name("adder"), 0);
                    for n in 0..MESSAGES {
                        let sent = bus.buffer(&to, number(thread * MESSAGES + n)).await.unwrap();
                        if n % 100 == 0 {
                            sent.stored().await.unwrap();
                            let ask = bus.ask(callee, ActorId::from_u64(1), number(n));
                            assert_eq!(ask.await.unwrap().body[..], n.to_le_bytes());
                        }
                    }
                });
            });
        }
    });
    let all = io.block_on(async {
        let all = async {
            while (seen.all().len() as u64) < SENDERS * MESSAGES {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            seen.all()
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("all messages come")
    });
    for thread in 0..SENDERS {
        let of_thread: Vec<u64> = all.iter().copied().filter(|v| v / MESSAGES == thread).collect();
        assert_eq!(of_thread, (thread * MESSAGES..(thread + 1) * MESSAGES).collect::<Vec<_>>());
    }
    io.block_on(async {
        sender.shutdown(Duration::from_secs(10)).await;
        receiver.shutdown(Duration::from_secs(10)).await;
    });
}
