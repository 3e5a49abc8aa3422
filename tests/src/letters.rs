//! Dead letters, made by way of the log port as the bus makes them.

use std::{ops::Range, time::Duration};

use bytes::Bytes;
use callboard::{
    Codec, Incarnation,
    bus::{
        codec::encode,
        frame::{Frame, FrameBuilder, Kind, Letter, Message, Trace, letter_of_message},
    },
    log::{
        Append, AppendRequest, BuryRequest, Consumer, Mark, MessageLog, Owner, Ownership,
        ReadGroupRequest, Settle, Start, StreamName, Totals,
    },
};
use serde::Serialize;

/// How many messages an entry holds that is buried.
const PER_ENTRY: usize = 100;

/// Who sent what [`bury`] buries.
pub fn sender() -> Incarnation {
    Incarnation::from_u128(0xabc)
}

/// Makes a dead letter of a message for each number, in order: entries of a hundred messages are appended,
/// read, and buried message by message. The trace id is the number.
///
/// # Panics
/// When the log does not do as it is told.
pub async fn bury<M: Serialize>(
    log: &dyn MessageLog,
    stream: &StreamName,
    name: &str,
    numbers: Range<u64>,
    make: impl Fn(u64) -> M,
) {
    let consumer = Consumer { group: "undertaker".to_owned(), name: "u".to_owned() };
    log.ensure_group(stream, &consumer.group, Start::New).await.expect("a group");
    let lane = u32::try_from(numbers.start).expect("few") + 1;
    let (numbers, mut first) = (numbers.collect::<Vec<_>>(), 1);
    for numbers in numbers.chunks(PER_ENTRY) {
        let mut builder = FrameBuilder::new();
        for number in numbers {
            let mut message = Message::new(Kind::Tell, Codec::Bincode).named(name, 1);
            message.trace = Some(Trace { trace_id: u128::from(*number), span_id: 7, flags: 1 });
            let body = |into: &mut Vec<u8>| encode(Codec::Bincode, &make(*number), into);
            builder.push(&message, body).expect("it is small");
        }
        let count = builder.count();
        let frame = builder.seal(sender(), lane, first);
        bury_frame(log, stream, &consumer, (lane, first, count), frame).await;
        first += u64::from(count);
    }
    log.remove_group(stream, &consumer.group).await.expect("the group goes");
}

async fn bury_frame(
    log: &dyn MessageLog,
    stream: &StreamName,
    consumer: &Consumer,
    (lane, first, count): (u32, u64, u32),
    frame: Bytes,
) {
    let owner = Owner::Consumer(consumer.clone());
    let append = AppendRequest {
        stream: stream.clone(),
        producer: sender(),
        lane,
        first,
        count,
        frame: frame.clone(),
        must_exist: false,
        backlog_max: None,
        dedup: Vec::new(),
    };
    let stored = log.append(append).await.expect("an answer");
    let Append::Stored(id) = stored else { panic!("it was answered {stored:?}") };
    let (streams, consumer) = (vec![stream.clone()], consumer.clone());
    let read = ReadGroupRequest { streams, consumer, count: 1, block: Duration::ZERO };
    let read = log.read_group(read).await.expect("an answer");
    assert_eq!(read[0].entries[0].id, id, "another entry was there");
    let parsed = Frame::parse(frame).expect("it was built here");
    for index in 0..count {
        let letter = Letter {
            reason: format!("its handler failed, letter {index} of {count}"),
            attempts: 5,
            origin: id,
            index,
            first_ms: id.ms,
            last_ms: id.ms,
            inbox: None,
            unreadable: false,
        };
        let letter = letter_of_message(&parsed, index, &letter).expect("within the count");
        let request = BuryRequest { mark: Mark { id, index, count }, letter, into: None };
        let buried = log.bury(stream, &owner, request).await.expect("an answer");
        assert_eq!(buried, Ownership::Done);
    }
    let totals = Totals { dead: count, ..Totals::default() };
    let end = Settle { id, count, totals, retain: None };
    let settled = log.settle(stream, &owner, &[end]).await.expect("an answer");
    assert_eq!(settled, [Ownership::Done]);
}
