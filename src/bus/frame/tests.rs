use bytes::Bytes;

use super::*;
use crate::{
    bus::codec::{BODY_BYTES_MAX, Codec},
    id::{ActorId, Incarnation},
    log::{EntryId, FRAME_BYTES_MAX},
};

const PRODUCER: Incarnation = Incarnation::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn push(builder: &mut FrameBuilder, message: &Message<'_>, body: &[u8]) -> Pushed {
    builder
        .push(message, |into| {
            into.extend_from_slice(body);
            Ok(())
        })
        .unwrap()
}

fn full_ask() -> Message<'static> {
    let mut ask = Message::new(Kind::Ask, Codec::Json).named("counter.get", 2);
    ask.target = Some(ActorId::from_u64(300));
    ask.key_hash = Some(0xdead_beef);
    ask.correlation = Some(77);
    ask.remaining_ms = Some(30_000);
    ask.moved = Some(Moved { attempt: 3, origin: EntryId { ms: 1_700_000_000_000, seq: 5 } });
    ask.reply_to = Some(PRODUCER);
    ask.trace = Some(Trace { trace_id: 1, span_id: 2, flags: 1 });
    ask.chain = vec![Waiting { incarnation: PRODUCER, actor: ActorId::from_u64(9) }];
    ask
}

#[test]
fn a_tell_is_written_as_pinned() {
    let mut builder = FrameBuilder::new();
    push(&mut builder, &Message::new(Kind::Tell, Codec::Bincode).named("Add", 1), &[2]);
    let frame = builder.seal(PRODUCER, 7, 1);
    assert_eq!(
        hex(&frame),
        "0100000043ca4577100f0e0d0c0b0a0908070605040302010700000001000000000000000100000035000000\
         05000000110001010201034164\
         64"
    );
}

#[test]
fn a_full_ask_is_written_as_pinned() {
    let mut builder = FrameBuilder::new();
    push(&mut builder, &full_ask(), b"{}");
    let frame = builder.seal(PRODUCER, 1, 42);
    assert_eq!(hex(&frame[..8]), "0100000080df1aef");
    let body = [
        "57000000",
        "22ff",
        "0102",
        "ac02",
        "efbeadde00000000",
        "4d",
        "b0ea01",
        "0380d095ffbc3105",
        "100f0e0d0c0b0a090807060504030201",
        "01000000000000000000000000000000020000000000000001",
        "01100f0e0d0c0b0a09080706050403020109",
        "7b7d",
        "010b636f756e7465722e676574",
    ];
    assert_eq!(hex(&frame[44..]), body.concat());
}

#[test]
fn a_frame_is_read_as_it_was_written() {
    let mut builder = FrameBuilder::new();
    let tell = Message::new(Kind::Tell, Codec::Bincode).named("Add", 1);
    let mut publish = Message::new(Kind::Publish, Codec::Bincode).named("Add", 1);
    publish.topic = Some("orders.placed");
    push(&mut builder, &tell, b"one");
    push(&mut builder, &full_ask(), b"");
    push(&mut builder, &publish, b"three");
    let frame = Frame::parse(builder.seal(PRODUCER, 3, 10)).unwrap();
    assert_eq!(
        (frame.producer(), frame.lane(), frame.first(), frame.count()),
        (PRODUCER, 3, 10, 3)
    );
    assert_eq!(frame.message(0).unwrap(), (tell, Bytes::from_static(b"one")));
    assert_eq!(frame.message(1).unwrap(), (full_ask(), Bytes::new()));
    assert_eq!(frame.message(2).unwrap(), (publish, Bytes::from_static(b"three")));
    assert!(frame.message(3).is_none());
    assert_eq!(frame.kind(1), Some(Kind::Ask));
    assert_eq!(frame.shared("orders.placed").as_deref(), Some("orders.placed"));
    assert_eq!(frame.shared("other"), None);
}

#[test]
fn a_frame_without_room_gives_the_body_back_and_stays_as_it_was() {
    let mut builder = FrameBuilder::new();
    let message = Message::new(Kind::Tell, Codec::Bincode).named("Add", 1);
    push(&mut builder, &message, &[1; 60_000]);
    let size = builder.size_bytes();
    let other = Message::new(Kind::Tell, Codec::Bincode).named("Other", 1);
    let Pushed::NoRoom(body) = push(&mut builder, &other, &[2; 6_000]) else { panic!("it fits") };
    assert_eq!(body, [2; 6_000]);
    assert_eq!((builder.size_bytes(), builder.count()), (size, 1));
    assert!(builder.seal(PRODUCER, 1, 1).len() <= FRAME_BYTES_TARGET);
}

#[test]
fn frames_of_many_names_stay_below_the_target() {
    let mut builder = FrameBuilder::new();
    for index in 0.. {
        let name = format!("{}{index}", "n".repeat(100));
        let message = Message::new(Kind::Tell, Codec::Bincode).named(&name, 1);
        if matches!(push(&mut builder, &message, &[0; 10]), Pushed::NoRoom(_)) {
            break;
        }
    }
    let frame = builder.seal(PRODUCER, 1, 1);
    assert!((60_000..=FRAME_BYTES_TARGET).contains(&frame.len()), "{}", frame.len());
    Frame::parse(frame).unwrap();
}

#[test]
fn the_largest_message_travels_alone_and_a_larger_one_is_refused() {
    let mut builder = FrameBuilder::new();
    let message = Message::new(Kind::Tell, Codec::Bincode).named("Add", 1);
    let large = vec![1; BODY_BYTES_MAX + 1];
    assert!(matches!(push(&mut builder, &message, &large), Pushed::TooLarge(_)));
    assert_eq!(builder.count(), 0);
    assert!(matches!(push(&mut builder, &message, &large[1..]), Pushed::In { .. }));
    assert!(matches!(push(&mut builder, &message, &[]), Pushed::NoRoom(_)));
    let frame = builder.seal(PRODUCER, 1, 1);
    assert!(frame.len() <= FRAME_BYTES_MAX);
    assert_eq!(Frame::parse(frame).unwrap().message(0).unwrap().1.len(), BODY_BYTES_MAX);
}

#[test]
fn a_failing_or_panicking_encoder_leaves_no_trace() {
    let mut builder = FrameBuilder::new();
    let message = Message::new(Kind::Tell, Codec::Bincode).named("Add", 1);
    let other = Message::new(Kind::Tell, Codec::Bincode).named("Other", 1);
    push(&mut builder, &message, b"one");
    let size = builder.size_bytes();
    let result = builder.push(&other, |into| {
        into.extend_from_slice(b"half");
        Err(crate::bus::codec::CodecError::Encode("no".into()))
    });
    assert!(result.is_err());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        builder.push(&other, |into| {
            into.extend_from_slice(b"half");
            panic!("in the encoder")
        })
    }));
    assert!(panicked.is_err());
    assert!(
        builder.push(&Message::new(Kind::Tell, Codec::Json).named("a b", 1), |_| Ok(())).is_err()
    );
    assert_eq!(builder.size_bytes(), size);
    assert_eq!(Frame::parse(builder.seal(PRODUCER, 1, 1)).unwrap().count(), 1);
}

#[test]
fn a_withdrawn_message_is_a_cancel_of_nothing() {
    let mut builder = FrameBuilder::new();
    let mut ask = Message::new(Kind::Ask, Codec::Bincode).named("Get", 1);
    ask.correlation = Some(5);
    ask.reply_to = Some(PRODUCER);
    let Pushed::In { place } = push(&mut builder, &ask, b"x") else { panic!("it fits") };
    builder.withdraw(place);
    assert_eq!(Frame::parse(builder.seal(PRODUCER, 1, 1)).unwrap().kind(0), Some(Kind::Cancel));
}

#[test]
fn a_renumbered_frame_differs_in_lane_and_sequence_alone() {
    let mut builder = FrameBuilder::new();
    push(&mut builder, &full_ask(), b"{}");
    let frame = builder.seal(PRODUCER, 1, 42);
    let moved = Frame::parse(renumber(&frame, 2, 1)).unwrap();
    assert_eq!((moved.lane(), moved.first()), (2, 1));
    assert_eq!(moved.message(0).unwrap(), (full_ask(), Bytes::from_static(b"{}")));
    assert_eq!(renumber(&renumber(&frame, 2, 1), 1, 42), frame);
}

fn letter(unreadable: bool) -> Letter {
    Letter {
        inbox: None,
        reason: "the handler panicked".into(),
        attempts: 5,
        origin: EntryId { ms: 17, seq: 1 },
        index: 1,
        first_ms: 17,
        last_ms: 99,
        unreadable,
    }
}

#[test]
fn a_dead_letter_is_its_message_with_the_letter() {
    let mut builder = FrameBuilder::new();
    push(&mut builder, &Message::new(Kind::Tell, Codec::Bincode).named("Add", 1), b"one");
    push(&mut builder, &full_ask(), b"two");
    let frame = Frame::parse(builder.seal(PRODUCER, 3, 10)).unwrap();
    let dead = Frame::parse(letter_of_message(&frame, 1, &letter(false)).unwrap()).unwrap();
    assert_eq!(dead.letter(), Some(&letter(false)));
    assert_eq!((dead.producer(), dead.lane(), dead.first(), dead.count()), (PRODUCER, 3, 11, 1));
    assert_eq!(dead.message(0), frame.message(1));
    assert!(letter_of_message(&frame, 2, &letter(false)).is_none());
}

#[test]
fn an_entry_that_is_no_frame_lies_whole_in_its_letter() {
    for size in [0, 10, FRAME_BYTES_MAX] {
        let entry = vec![0xee; size];
        let bytes = letter_of_entry(&entry, &letter(true));
        assert!(bytes.len() <= FRAME_BYTES_MAX);
        let dead = Frame::parse(bytes).unwrap();
        assert_eq!(dead.letter(), Some(&letter(true)));
        let (_, body) = dead.message(0).unwrap();
        assert!(body.len() == size || size == FRAME_BYTES_MAX);
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let mut long = letter(true);
    long.reason = "ä".repeat(2000) + "x";
    let dead = Frame::parse(letter_of_entry(b"", &long)).unwrap();
    assert_eq!(dead.letter().unwrap().reason, "ä".repeat(512));
}

#[test]
fn a_moved_message_keeps_all_but_its_attempt() {
    let mut builder = FrameBuilder::new();
    let mut tell = Message::new(Kind::Tell, Codec::Bincode).named("Add", 1);
    push(&mut builder, &tell, b"one");
    let frame = Frame::parse(builder.seal(PRODUCER, 3, 10)).unwrap();
    let moved = Moved { attempt: 2, origin: EntryId { ms: 5, seq: 0 } };
    let again = Frame::parse(moved_message(&frame, 0, moved).unwrap()).unwrap();
    tell.moved = Some(moved);
    assert_eq!(again.message(0).unwrap(), (tell, Bytes::from_static(b"one")));
}

fn random_message<'a>(rng: &mut fastrand::Rng, names: &'a [String]) -> Message<'a> {
    let kinds = [Kind::Tell, Kind::Ask, Kind::Cancel, Kind::Publish, Kind::Reply, Kind::Refusal];
    let kind = kinds[rng.usize(..kinds.len())];
    let codec = if rng.bool() { Codec::Bincode } else { Codec::Json };
    let mut message = Message::new(kind, codec);
    let needs_name = matches!(kind, Kind::Ask | Kind::Publish);
    message.name = (needs_name || rng.bool()).then(|| &*names[rng.usize(..names.len())]);
    message.version = rng.u32(..);
    message.topic = (kind == Kind::Publish).then(|| &*names[rng.usize(..names.len())]);
    message.target = rng.bool().then(|| ActorId::from_u64(rng.u64(..)));
    message.key_hash = rng.bool().then(|| rng.u64(..));
    let needs_correlation = matches!(kind, Kind::Ask | Kind::Reply | Kind::Refusal);
    message.correlation = (needs_correlation || rng.bool()).then(|| rng.u64(..) >> rng.u32(..64));
    message.remaining_ms = rng.bool().then(|| rng.u64(..100_000));
    message.moved = rng.bool().then(|| Moved {
        attempt: rng.u32(..),
        origin: EntryId { ms: rng.u64(..), seq: rng.u64(..9) },
    });
    message.reply_to =
        (kind == Kind::Ask || rng.bool()).then(|| Incarnation::from_u128(rng.u128(..)));
    message.trace = rng.bool().then(|| Trace {
        trace_id: rng.u128(..),
        span_id: rng.u64(..),
        flags: rng.u8(..),
    });
    message.chain = (0..rng.usize(..4))
        .map(|_| Waiting {
            incarnation: Incarnation::from_u128(rng.u128(..)),
            actor: ActorId::from_u64(rng.u64(..)),
        })
        .collect();
    message
}

fn random_frame(rng: &mut fastrand::Rng) -> (Bytes, usize) {
    let names: Vec<String> = (0..3).map(|i| format!("Name{i}.{}", rng.u8(..))).collect();
    let mut builder = FrameBuilder::new();
    let mut expected = Vec::new();
    for _ in 0..rng.usize(1..20) {
        let message = random_message(rng, &names);
        let body: Vec<u8> = (0..rng.usize(..80)).map(|_| rng.u8(..)).collect();
        assert!(matches!(push(&mut builder, &message, &body), Pushed::In { .. }));
        expected.push((message, Bytes::from(body)));
    }
    let bytes = builder.seal(PRODUCER, rng.u32(..), rng.u64(1..u64::MAX / 2));
    let frame = Frame::parse(bytes.clone()).unwrap();
    for (index, expected) in expected.iter().enumerate() {
        assert_eq!(frame.message(index as u32).as_ref(), Some(expected));
    }
    (bytes, expected.len())
}

#[test]
fn random_frames_survive() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..2000 {
        random_frame(&mut rng);
    }
}

/// With the checksum set right again, so that the checks behind it are reached.
#[test]
fn changed_bytes_never_panic_and_never_read_past_the_end() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut good, mut bad) = (0_u32, 0_u32);
    for round in 0..20_000 {
        let (frame, _) = random_frame(&mut rng);
        let mut bytes = frame.to_vec();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(..bytes.len());
            match rng.u8(..4) {
                0 => bytes[at] = rng.u8(..),
                1 => bytes[at] ^= 1 << rng.u8(..8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, [0, 0xff, 0x80][rng.usize(..3)]),
            }
        }
        if round % 4 != 0 && bytes.len() >= HEADER_BYTES {
            let sum = checksum(&bytes);
            bytes[AT_CHECKSUM..AT_PRODUCER].copy_from_slice(&sum.to_le_bytes());
        }
        match Frame::parse(Bytes::from(bytes)) {
            Ok(frame) => {
                good += 1;
                for index in 0..frame.count() {
                    assert!(frame.message(index).is_some() && frame.kind(index).is_some());
                }
            }
            Err(_) => bad += 1,
        }
    }
    assert!(good > 100 && bad > 1000, "the changes must reach both ends: {good} good, {bad} bad");
}

#[test]
fn any_single_flipped_bit_is_found_by_the_checksum() {
    let mut builder = FrameBuilder::new();
    push(&mut builder, &full_ask(), b"{}");
    let frame = builder.seal(PRODUCER, 1, 42);
    for bit in 0..frame.len() * 8 {
        let mut bytes = frame.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Frame::parse(Bytes::from(bytes)).is_err(), "bit {bit}");
    }
}

#[test]
fn garbage_is_refused_with_its_reason() {
    let parse = |bytes: &'static [u8]| Frame::parse(Bytes::from_static(bytes)).unwrap_err();
    assert_eq!(parse(b""), FrameError::Truncated);
    assert_eq!(parse(b"garbage"), FrameError::Format(b'g'));
    assert_eq!(parse(&[1, 0, 0]), FrameError::Truncated);
    assert_eq!(parse(&[1; 60]), FrameError::Checksum);
    let mut sealed = FrameBuilder::new();
    push(&mut sealed, &full_ask(), b"");
    let mut bytes = sealed.seal(PRODUCER, 1, 1).to_vec();
    bytes[2] = 4;
    let sum = checksum(&bytes);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(Frame::parse(Bytes::from(bytes)).unwrap_err(), FrameError::Sealed(4));
}

#[test]
fn a_letter_of_an_inbox_says_whose_it_was() {
    let mut builder = FrameBuilder::new();
    push(&mut builder, &Message::new(Kind::Tell, Codec::Bincode).named("Add", 1), b"one");
    let frame = Frame::parse(builder.seal(PRODUCER, 3, 10)).unwrap();
    let letter = Letter { inbox: Some(Incarnation::from_u128(0xfe)), ..letter(false) };
    let bytes = letter_of_message(&frame, 0, &letter).unwrap();
    assert_eq!(Frame::parse(bytes).unwrap().letter(), Some(&letter));
}

#[test]
fn messages_that_go_into_a_stream_again_begin_anew() {
    let mut builder = FrameBuilder::new();
    let mut tell = Message::new(Kind::Tell, Codec::Json).named("Add", 2);
    tell.remaining_ms = Some(5);
    tell.target = Some(ActorId::from_u64(3));
    tell.trace = full_ask().trace;
    let mut retried = tell.clone();
    retried.moved = Some(Moved { attempt: 4, origin: EntryId { ms: 2, seq: 2 } });
    for message in [&tell, &retried, &tell] {
        push(&mut builder, message, b"{}");
    }
    let frame = Frame::parse(builder.seal(PRODUCER, 3, 10)).unwrap();
    let origin = EntryId { ms: 9, seq: 9 };
    let again = |keeps_target| {
        let bytes = messages_again(&frame, &[1, 2], Again { origin, keeps_target }).unwrap();
        Frame::parse(bytes).unwrap()
    };
    let back = again(true);
    assert_eq!((back.producer(), back.count(), back.first()), (PRODUCER, 2, 11));
    assert!(back.letter().is_none());
    for (index, origin) in [(0, EntryId { ms: 2, seq: 2 }), (1, origin)] {
        let (message, body) = back.message(index).unwrap();
        assert_eq!((message.remaining_ms, &body[..]), (None, &b"{}"[..]));
        assert_eq!(message.moved, Some(Moved { attempt: 1, origin }));
        assert_eq!((message.trace, message.target), (tell.trace, tell.target));
    }
    assert_eq!(again(false).message(0).unwrap().0.target, None);
    assert!(messages_again(&frame, &[3], Again { origin, keeps_target: true }).is_none());
    let bytes = letter_of_message(&frame, 0, &letter(false)).unwrap();
    let dead = Frame::parse(bytes).unwrap();
    let bytes = messages_again(&dead, &[0], Again { origin, keeps_target: true }).unwrap();
    let (message, _) = Frame::parse(bytes).unwrap().message(0).map(|(m, b)| (m.moved, b)).unwrap();
    let expected = Moved { attempt: 0, origin: letter(false).origin };
    assert_eq!(message, Some(expected), "the letter knows");
}
