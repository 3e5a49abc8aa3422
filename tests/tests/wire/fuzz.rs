//! Bytes of all sorts: no panic, no memory beyond what they are in size, and each entry by itself.
//!
//! A million bytes of each sort; a hundred million in the long tier. Frames are made of good ones by
//! changes that know their structure, with the checksum set right again, so that what stands behind it
//! is reached.

use std::{
    collections::{BTreeMap, HashMap},
    thread,
};

use allocation_counter::measure;
use bytes::Bytes;
use callboard::{
    ActorId, Codec, Embedded, Incarnation, Name,
    bus::{
        codec::{decode, encode},
        frame::{
            Frame, FrameBuilder, Kind, Letter, Message, Moved, Trace, Waiting, letter_of_entry,
            letter_of_message, moved_message, renumber,
        },
        keys,
    },
    log::{AppendRequest, EntryId, FRAME_BYTES_MAX, MessageLog},
    prelude::*,
};
use callboard_tests::tier;

use crate::vectors::sum;

/// How many bytes of each sort.
fn volume() -> usize {
    if tier::trials() >= 100 { 100_000_000 } else { 1_000_000 }
}

/// On a stack that is half of what a thread has: what recurses without a bound is found.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn bytes(rng: &mut fastrand::Rng, most: usize) -> Vec<u8> {
    (0..rng.usize(..=most)).map(|_| rng.u8(..)).collect()
}

fn id(rng: &mut fastrand::Rng) -> EntryId {
    EntryId { ms: rng.u64(..) >> rng.u32(..64), seq: rng.u64(..4) }
}

fn message<'a>(rng: &mut fastrand::Rng, names: &'a [String]) -> Message<'a> {
    let kinds = [Kind::Tell, Kind::Ask, Kind::Cancel, Kind::Publish, Kind::Reply, Kind::Refusal];
    let kind = kinds[rng.usize(..kinds.len())];
    let mut message = Message::new(kind, if rng.bool() { Codec::Bincode } else { Codec::Json });
    message.name = Some(&*names[rng.usize(..names.len())]);
    message.version = rng.u32(..) >> rng.u32(..32);
    message.topic = (kind == Kind::Publish).then(|| &*names[0]);
    message.target = rng.bool().then(|| ActorId::from_u64(rng.u64(..) >> rng.u32(..64)));
    message.key_hash = rng.bool().then(|| rng.u64(..));
    message.correlation = Some(rng.u64(..) >> rng.u32(..64));
    message.remaining_ms = rng.bool().then(|| rng.u64(..) >> rng.u32(..64));
    message.moved = rng.bool().then(|| Moved { attempt: rng.u32(..), origin: id(rng) });
    message.reply_to = Some(Incarnation::from_u128(rng.u128(..)));
    message.trace = rng.bool().then(|| Trace {
        trace_id: rng.u128(..),
        span_id: rng.u64(..),
        flags: rng.u8(..),
    });
    let waiting = |rng: &mut fastrand::Rng| Waiting {
        incarnation: Incarnation::from_u128(rng.u128(..)),
        actor: ActorId::from_u64(rng.u64(..) >> rng.u32(..64)),
    };
    message.chain = (0..rng.usize(..4)).map(|_| waiting(rng)).collect();
    message
}

fn letter(rng: &mut fastrand::Rng) -> Letter {
    Letter {
        reason: "ä reason ".repeat(rng.usize(..200)),
        attempts: rng.u32(..),
        origin: id(rng),
        index: rng.u32(..),
        first_ms: rng.u64(..),
        last_ms: rng.u64(..),
        unreadable: false,
        inbox: rng.bool().then(|| Incarnation::from_u128(rng.u128(..))),
    }
}

/// A good frame, or a letter, or what waits in the delay set.
fn good(rng: &mut fastrand::Rng) -> Bytes {
    let names: Vec<String> = (0..3).map(|n| format!("Name{n}.{}", rng.u8(..))).collect();
    let mut builder = FrameBuilder::new();
    for _ in 0..rng.usize(1..12) {
        let (message, body) = (message(rng, &names), bytes(rng, 60));
        let write = |into: &mut Vec<u8>| {
            into.extend_from_slice(&body);
            Ok(())
        };
        builder.push(&message, write).expect("good names");
    }
    let frame =
        builder.seal(Incarnation::from_u128(rng.u128(..)), rng.u32(..), rng.u64(1..1 << 53));
    let parsed = Frame::parse(frame.clone()).expect("a good frame");
    let index = rng.u32(..parsed.count());
    match rng.u8(..6) {
        0 => letter_of_message(&parsed, index, &letter(rng)).expect("it is there"),
        1 => letter_of_entry(&frame, &Letter { unreadable: true, ..letter(rng) }),
        2 => {
            let moved = Moved { attempt: rng.u32(..), origin: id(rng) };
            moved_message(&parsed, index, moved).expect("it is there")
        }
        3 => renumber(&frame, rng.u32(..), rng.u64(1..1 << 53)),
        _ => frame,
    }
}

/// Where a frame keeps its lengths and counts: the header's, and the lengths of the messages.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let mut places = vec![1, 2, 3, 28, 36, 40];
    let word = |at: usize| {
        let word = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?) as usize)
    };
    let (mut at, end) = (44, word(40).unwrap_or(0));
    while at + 4 <= end && places.len() < 64 {
        places.push(at);
        at += 4 + word(at).unwrap_or(end);
    }
    // Names begin there with their count.
    places.push(end);
    places
}

fn change(rng: &mut fastrand::Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.usize(..bytes.len());
    let edges = [0, 1, 0x7f, 0x80, 0xff];
    match rng.u8(..9) {
        0 => bytes[at] = rng.u8(..),
        1 => bytes[at] ^= 1 << rng.u8(..8),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, edges[rng.usize(..edges.len())]),
        4 => drop(bytes.remove(at)),
        5 => {
            // A length or count, a little or entirely otherwise.
            let places = lengths(bytes);
            let at = places[rng.usize(..places.len())];
            if let Some(byte) = bytes.get_mut(at) {
                *byte = match rng.u8(..3) {
                    0 => byte.wrapping_add(1),
                    1 => byte.wrapping_sub(1),
                    _ => edges[rng.usize(..edges.len())],
                };
            }
        }
        6 => {
            // A number of all the bytes that one may have.
            let end = (at + rng.usize(1..11)).min(bytes.len());
            bytes[at..end].fill(0xff);
        }
        7 => {
            let piece = bytes[at..(at + rng.usize(..40)).min(bytes.len())].to_vec();
            let to = rng.usize(..=bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => {
            let from = rng.usize(..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// Reads a frame as readers do. True when it is one.
fn read(bytes: &Bytes) -> bool {
    let Ok(frame) = Frame::parse(bytes.clone()) else { return false };
    // Backwards: each by itself.
    for index in (0..frame.count()).rev() {
        let (message, body) = frame.message(index).expect("it was checked");
        assert_eq!(frame.kind(index), Some(message.kind));
        assert!(body.len() <= bytes.len());
        if let Some(name) = message.name {
            assert_eq!(frame.shared(name).as_deref(), Some(name));
        }
        let origin = EntryId { ms: 1, seq: 2 };
        let moved =
            moved_message(&frame, index, Moved { attempt: 2, origin }).expect("it is there");
        if moved.len() <= FRAME_BYTES_MAX {
            let again = Frame::parse(moved).expect("what we wrote");
            assert_eq!(again.message(0).map(|(_, body)| body), Some(body));
        }
    }
    assert!(frame.message(frame.count()).is_none());
    true
}

#[test]
fn frames_of_any_bytes_are_read_or_refused_within_their_size() {
    let (seed, volume) = (tier::seed(), volume());
    on_a_small_stack(move || {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut total, mut good_ones, mut bad_ones, mut most) = (0, 0_u64, 0_u64, 0_u64);
        while total < volume {
            let other = good(&mut rng);
            let mut bytes =
                if rng.u8(..20) == 0 { bytes(&mut rng, 400) } else { good(&mut rng).to_vec() };
            (0..rng.usize(..4)).for_each(|_| change(&mut rng, &mut bytes, &other));
            if rng.u8(..8) > 0 {
                sum(&mut bytes);
            }
            total += bytes.len();
            let bytes = Bytes::from(bytes);
            let mut parsed = None;
            let taken = measure(|| parsed = Some(Frame::parse(bytes.clone()))).bytes_max;
            drop(parsed);
            let allowed = 64 * bytes.len() as u64 + 8192;
            assert!(taken <= allowed, "{taken} bytes for {}: {bytes:?}", bytes.len());
            most = most.max(taken);
            let count = if read(&bytes) { &mut good_ones } else { &mut bad_ones };
            *count += 1;
        }
        assert!(good_ones > 100 && bad_ones > 100, "{good_ones} good, {bad_ones} bad");
        tier::record_figure(
            "Frames of any bytes",
            &format!(
                "{total} bytes of changed frames and noise (seed {seed}): {good_ones} read, {bad_ones} \
                 refused, no panic; at most {most} bytes of memory for one."
            ),
        );
    });
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Number(i64),
    Text(String),
    Pair(Box<Tree>, Box<Tree>),
    Many(Vec<Tree>),
    Named { left: Option<Box<Tree>>, map: BTreeMap<String, Tree> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(Option<Box<Wrapped>>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    tree: Tree,
    wrapped: Wrapped,
    units: Vec<()>,
    nothing: HashMap<(), ()>,
    bytes: Vec<Vec<u8>>,
    numbers: (u8, u16, u32, u64, u128, i128, f32, f64, char, bool),
    texts: HashMap<String, Option<String>>,
    fixed: [Option<u16>; 4],
}

fn tree(rng: &mut fastrand::Rng, depth: u32) -> Tree {
    let most = if depth == 0 { 3 } else { 6 };
    let next = depth.saturating_sub(1);
    match rng.u8(..most) {
        0 => Tree::Leaf,
        1 => Tree::Number(rng.i64(..)),
        2 => Tree::Text("ö".repeat(rng.usize(..9))),
        3 => Tree::Pair(Box::new(tree(rng, next)), Box::new(tree(rng, next))),
        4 => Tree::Many((0..rng.usize(..4)).map(|_| tree(rng, next)).collect()),
        _ => Tree::Named {
            left: rng.bool().then(|| Box::new(tree(rng, next))),
            map: (0..rng.usize(..3)).map(|n| (n.to_string(), tree(rng, next))).collect(),
        },
    }
}

fn everything(rng: &mut fastrand::Rng) -> Everything {
    Everything {
        tree: tree(rng, 4),
        wrapped: (0..rng.usize(..20))
            .fold(Wrapped(None), |in_it, _| Wrapped(Some(Box::new(in_it)))),
        units: vec![(); rng.usize(..9)],
        nothing: (0..rng.usize(..2)).map(|_| ((), ())).collect(),
        bytes: (0..rng.usize(..4)).map(|_| bytes(rng, 20)).collect(),
        numbers: (1, 2, 3, rng.u64(..), rng.u128(..), -5, 0.5, -0.25, 'ü', rng.bool()),
        texts: (0..rng.usize(..4)).map(|n| (n.to_string(), rng.bool().then(String::new))).collect(),
        fixed: [None, Some(1), Some(2), None],
    }
}

fn decode_as_all(codec: Codec, bytes: &[u8]) -> bool {
    let is_one = decode::<Everything>(codec, bytes).is_ok();
    drop(decode::<Tree>(codec, bytes));
    drop(decode::<Wrapped>(codec, bytes));
    drop(decode::<Vec<()>>(codec, bytes));
    drop(decode::<Vec<Vec<Vec<Tree>>>>(codec, bytes));
    drop(decode::<HashMap<u8, Vec<u64>>>(codec, bytes));
    is_one
}

#[test]
fn bodies_of_any_bytes_are_decoded_or_refused_within_their_size() {
    let (seed, volume) = (tier::seed(), volume());
    on_a_small_stack(move || {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut total, mut good_ones, mut bad_ones, mut most) = (0, 0_u64, 0_u64, 0_u64);
        while total < volume {
            let codec = if rng.bool() { Codec::Bincode } else { Codec::Json };
            let (mut body, mut other) = (Vec::new(), Vec::new());
            // A map with units as its keys has no form in JSON.
            let mut value = everything(&mut rng);
            if codec == Codec::Json {
                value.nothing.clear();
            }
            encode(codec, &value, &mut body).expect("it has a form");
            encode(codec, &tree(&mut rng, 3), &mut other).expect("it has a form");
            match rng.u8(..100) {
                0..10 => body = bytes(&mut rng, 400),
                10 => body = vec![rng.u8(..4); rng.usize(..100_000)],
                _ => (0..rng.usize(..3)).for_each(|_| change(&mut rng, &mut body, &other)),
            }
            total += body.len();
            let mut is_one = false;
            let taken = measure(|| is_one = decode_as_all(codec, &body)).bytes_max;
            let allowed = 256 * body.len() as u64 + (16 << 20);
            assert!(taken <= allowed, "{taken} bytes for {} of {codec:?}", body.len());
            most = most.max(taken);
            *(if is_one { &mut good_ones } else { &mut bad_ones }) += 1;
        }
        assert!(good_ones > 100 && bad_ones > 100, "{good_ones} good, {bad_ones} bad");
        tier::record_figure(
            "Bodies of any bytes",
            &format!(
                "{total} bytes of changed bodies and noise, each decoded as six types (seed {seed}): \
                 {good_ones} good, {bad_ones} refused, no panic; at most {most} bytes of memory for one."
            ),
        );
    });
}

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(name = "grow")]
struct Grow(Tree);

#[derive(Actor)]
struct Gardener;

#[handlers]
impl Gardener {
    #[handle]
    fn grow(&mut self, Grow(_): Grow) {}
}

/// A frame of tells that may be good: to the gardener, or to nobody.
fn tells(rng: &mut fastrand::Rng) -> Bytes {
    let mut builder = FrameBuilder::new();
    for _ in 0..rng.usize(1..6) {
        let codec = if rng.bool() { Codec::Bincode } else { Codec::Json };
        let tell = Message::new(Kind::Tell, codec).named("grow", 1);
        let mut body = Vec::new();
        encode(codec, &Grow(tree(rng, 3)), &mut body).expect("it has a form");
        if rng.bool() {
            change(rng, &mut body, b"");
        }
        let write = |into: &mut Vec<u8>| {
            into.extend_from_slice(&body);
            Ok(())
        };
        builder.push(&tell, write).expect("good names");
    }
    builder.seal(Incarnation::from_u128(9), 1, 1)
}

#[callboard::test]
async fn whatever_is_put_into_a_stream_is_handled_or_buried_and_counted() -> callboard::Result<()> {
    let mut rng = fastrand::Rng::with_seed(tier::seed());
    let store = Embedded::new();
    let system = System::builder().embedded(&store).current_thread().start().await?;
    system.serve("garden", || Gardener).await?;
    let stream = keys::service(system.cluster(), &Name::new("garden")?, 0);
    let log = store.log();
    let rounds = if tier::trials() >= 100 { 20_000 } else { 400 };
    for round in 1..=rounds {
        let mut frame = if rng.bool() { tells(&mut rng) } else { good(&mut rng) }.to_vec();
        if rng.u8(..3) == 0 {
            change(&mut rng, &mut frame, b"");
            sum(&mut frame);
        }
        let frame = Bytes::from(if frame.is_empty() { vec![0] } else { frame });
        let count = Frame::parse(frame.clone()).map_or(1, |frame| frame.count());
        let request = AppendRequest {
            stream: stream.clone(),
            producer: Incarnation::from_u128(7),
            lane: round,
            first: 1,
            count,
            frame,
            must_exist: false,
            backlog_max: None,
            dedup: Vec::new(),
        };
        log.append(request).await.expect("there is room");
    }
    let accounting = async || {
        let info = log.info(&stream).await.expect("it runs").expect("it is there");
        assert!(info.accounting.adds_up(), "{:?}", info.accounting);
        info.accounting
    };
    for _ in 0..10_000 {
        let now = accounting().await;
        if now.held == 0 && now.delayed == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let end = accounting().await;
    assert_eq!((end.held, end.delayed), (0, 0), "{end:?}");
    assert!(end.handled > 100 && end.dead > 100, "{end:?}");
    let service = system.service::<Gardener>("garden");
    service.tell(Grow(Tree::Leaf)).await.expect("it lives");
    service.ask(Grow(Tree::Leaf)).await?;
    system.shutdown().await
}
