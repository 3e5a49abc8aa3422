//! The vectors that the chapter on the wire format shows are written and read by the code.
//!
//! After a change that is meant, run the tests once with `CALLBOARD_PIN=1`.

use std::{fmt::Write as _, fs, path::PathBuf};

use bytes::Bytes;
use callboard::{
    ActorId, Codec, Incarnation,
    bus::frame::{
        Frame, FrameBuilder, Kind, Letter, Message, Moved, Pushed, Trace, Waiting, letter_of_entry,
        letter_of_message, moved_message,
    },
    log::EntryId,
};
use serde_json::{Value, json};

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../book/src/reference/wire-vectors.json")
}

const PRODUCER: Incarnation = Incarnation::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
const ASKER: Incarnation = Incarnation::from_u128(0x1112_1314_1516_1718_191a_1b1c_1d1e_1f20);
const ORIGIN: EntryId = EntryId { ms: 1_700_000_000_000, seq: 5 };

/// A frame of these messages.
fn frame(lane: u32, first: u64, messages: &[(Message<'_>, &[u8])]) -> Bytes {
    let mut builder = FrameBuilder::new();
    for (message, body) in messages {
        let write = |into: &mut Vec<u8>| {
            into.extend_from_slice(body);
            Ok(())
        };
        let pushed = builder.push(message, write).expect("good names");
        assert!(matches!(pushed, Pushed::In { .. }));
    }
    builder.seal(PRODUCER, lane, first)
}

fn tell() -> Message<'static> {
    Message::new(Kind::Tell, Codec::Json).named("order", 1)
}

/// Everything that a message may have.
fn ask() -> Message<'static> {
    let mut ask = Message::new(Kind::Ask, Codec::Json).named("counter.get", 2);
    ask.target = Some(ActorId::from_u64(300));
    ask.key_hash = Some(0xdead_beef);
    ask.correlation = Some(77);
    ask.remaining_ms = Some(30_000);
    ask.moved = Some(Moved { attempt: 3, origin: ORIGIN });
    ask.reply_to = Some(ASKER);
    ask.trace = Some(Trace { trace_id: 1, span_id: 2, flags: 1 });
    ask.chain = vec![
        Waiting { incarnation: PRODUCER, actor: ActorId::from_u64(9) },
        Waiting { incarnation: ASKER, actor: ActorId::from_u64(128) },
    ];
    ask
}

fn letter() -> Letter {
    Letter {
        reason: "its handler failed, attempt 5 of 5".to_owned(),
        attempts: 5,
        origin: ORIGIN,
        index: 1,
        first_ms: ORIGIN.ms,
        last_ms: ORIGIN.ms + 60_000,
        unreadable: false,
        inbox: None,
    }
}

/// One tell with one optional field, by its name.
fn with(field: &str) -> Message<'static> {
    let (mut tell, all) = (tell(), ask());
    match field {
        "target" => tell.target = all.target,
        "key_hash" => tell.key_hash = all.key_hash,
        "correlation" => tell.correlation = all.correlation,
        "remaining_ms" => tell.remaining_ms = all.remaining_ms,
        "moved" => tell.moved = all.moved,
        "reply_to" => tell.reply_to = all.reply_to,
        "trace" => tell.trace = all.trace,
        _ => tell.chain = all.chain,
    }
    tell
}

/// What is written, with what it shows.
fn good() -> Vec<(String, Bytes)> {
    let reply = |kind| {
        let mut reply = Message::new(kind, Codec::Json);
        reply.correlation = Some(77);
        reply
    };
    let mut publish = Message::new(Kind::Publish, Codec::Json).named("placed", 1);
    publish.topic = Some("orders.placed");
    let mut cancel = Message::new(Kind::Cancel, Codec::Bincode);
    cancel.correlation = Some(77);
    let order: &[u8] = br#"{"item":"pear","count":2}"#;
    let two = frame(7, 41, &[(tell(), order), (tell().named("order", 2), order)]);
    let of_two = Frame::parse(two.clone()).expect("it was just written");
    let moved = moved_message(&of_two, 1, Moved { attempt: 2, origin: ORIGIN });
    let unreadable = Letter { unreadable: true, index: 0, attempts: 0, ..letter() };
    let mut vectors = vec![
        ("a tell in JSON".to_owned(), frame(1, 1, &[(tell(), order)])),
        ("two tells, of versions 1 and 2".to_owned(), two),
        ("a tell in bincode".to_owned(), {
            frame(1, 2, &[(Message::new(Kind::Tell, Codec::Bincode).named("Add", 1), &[2])])
        }),
        ("an ask with every optional field".to_owned(), frame(3, 9, &[(ask(), b"{}")])),
        ("a cancel".to_owned(), frame(3, 10, &[(cancel, b"")])),
        ("an event of a topic".to_owned(), frame(4, 1, &[(publish, b"7")])),
        ("a reply".to_owned(), frame(5, 1, &[(reply(Kind::Reply), b"42")])),
        ("a refusal, stopped".to_owned(), {
            let body: &[u8] = &[5, 0, 1, 2, b'a', b'b', 0];
            let mut refusal = reply(Kind::Refusal);
            refusal.codec = Codec::Bincode;
            frame(5, 2, &[(refusal, body)])
        }),
        ("the second of the two, moved to the delay set".to_owned(), moved.expect("it is there")),
        ("the dead letter of the second of the two".to_owned(), {
            letter_of_message(&of_two, 1, &letter()).expect("it is there")
        }),
        ("the same of an inbox".to_owned(), {
            let of_inbox = Letter { inbox: Some(ASKER), ..letter() };
            letter_of_message(&of_two, 1, &of_inbox).expect("it is there")
        }),
        ("the dead letter of an entry that is no frame".to_owned(), {
            letter_of_entry(b"no frame", &unreadable)
        }),
    ];
    let fields = [
        "target",
        "key_hash",
        "correlation",
        "remaining_ms",
        "moved",
        "reply_to",
        "trace",
        "chain",
    ];
    for field in fields {
        vectors.push((format!("a tell with {field} alone"), frame(1, 1, &[(with(field), b"1")])));
    }
    vectors
}

/// A good frame with a change, and the checksum set right where it is not the point.
fn bad() -> Vec<(String, Bytes)> {
    let good = frame(1, 1, &[(tell(), b"1")]).to_vec();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        sum(&mut bytes);
        Bytes::from(bytes)
    };
    let mut flipped = good.clone();
    flipped[50] ^= 1;
    let named = [
        ("another format", changed(&|b| b[0] = 2)),
        ("an unknown flag", changed(&|b| b[1] = 4)),
        ("sealed with key 7", changed(&|b| b[2] = 7)),
        ("a reserved byte that is not 0", changed(&|b| b[3] = 1)),
        ("a flipped bit", Bytes::from(flipped)),
        ("a sequence of 0", changed(&|b| b[28..36].fill(0))),
        ("a count of 2 with one message", changed(&|b| b[36] = 2)),
        ("names that begin outside", changed(&|b| b[40..44].fill(0xff))),
        ("a message that is longer than the frame", changed(&|b| b[44] = 0xff)),
        ("an unknown kind", changed(&|b| b[48] = 0x27)),
        ("an unknown codec", changed(&|b| b[48] = 0x31)),
        ("a name that is not in the table", changed(&|b| b[50] = 2)),
        ("a number that is longer than needed", {
            // The version, 1, in two bytes.
            changed(&|b| {
                b.splice(51..52, [0x81, 0x00]);
                b[44] += 1;
                b[40] += 1;
            })
        }),
        ("a byte after the names", changed(&|b| b.push(0))),
        ("cut off", Bytes::copy_from_slice(&good[..40])),
    ];
    named.map(|(what, bytes)| (what.to_owned(), bytes)).into()
}

/// CRC-32 (IEEE), bit by bit: another one than the library's.
fn crc(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xedb8_8320 }
        })
    })
}

pub(crate) fn sum(bytes: &mut [u8]) {
    if bytes.len() >= 8 {
        let sum =
            crc(bytes.iter().enumerate().filter(|(at, _)| !(4..8).contains(at)).map(|b| *b.1));
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes it");
        hex
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn entry(id: EntryId) -> Value {
    json!([id.ms, id.seq])
}

/// What a reader makes of a message.
fn described(message: &Message<'_>, body: &[u8]) -> Value {
    let mut fields = serde_json::Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    put("kind", Some(json!(message.kind as u8)));
    put("codec", Some(json!(message.codec.to_byte())));
    put("name", message.name.map(Value::from));
    put("version", Some(json!(message.version)));
    put("topic", message.topic.map(Value::from));
    put("target", message.target.map(|target| json!(target.to_u64())));
    put("key_hash", message.key_hash.map(Value::from));
    put("correlation", message.correlation.map(Value::from));
    put("remaining_ms", message.remaining_ms.map(Value::from));
    put("moved", message.moved.map(|moved| json!([moved.attempt, entry(moved.origin)])));
    put("reply_to", message.reply_to.map(|asker| json!(asker.to_string())));
    put(
        "trace",
        message.trace.map(|trace| {
            json!([
                format!("{:032x}", trace.trace_id),
                format!("{:016x}", trace.span_id),
                trace.flags
            ])
        }),
    );
    let chain: Vec<_> = message
        .chain
        .iter()
        .map(|waiting| json!([waiting.incarnation.to_string(), waiting.actor.to_u64()]))
        .collect();
    put("chain", (!chain.is_empty()).then(|| json!(chain)));
    let text = std::str::from_utf8(body).ok().filter(|_| message.codec == Codec::Json);
    put("body", Some(text.map_or_else(|| json!({ "hex": hex(body) }), |text| json!(text))));
    Value::Object(fields)
}

/// What a reader makes of a frame.
fn read(bytes: Bytes) -> Value {
    let frame = match Frame::parse(bytes) {
        Ok(frame) => frame,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let messages: Vec<_> = (0..frame.count())
        .map(|index| {
            let (message, body) = frame.message(index).expect("it was parsed");
            described(&message, &body)
        })
        .collect();
    let mut read = json!({
        "producer": frame.producer().to_string(),
        "lane": frame.lane(),
        "first": frame.first(),
        "messages": messages,
    });
    if let Some(letter) = frame.letter() {
        let Letter { reason, attempts, origin, index, first_ms, last_ms, unreadable, inbox } =
            letter;
        read["letter"] = json!({
            "reason": reason, "attempts": attempts, "origin": entry(*origin), "index": index,
            "first_ms": first_ms, "last_ms": last_ms, "unreadable": unreadable,
            "inbox": inbox.map(|inbox| inbox.to_string()),
        });
    }
    read
}

#[test]
fn the_vectors_of_the_book_are_what_is_written_and_read() {
    let all = good().into_iter().chain(bad());
    let vectors: Vec<_> = all
        .map(|(what, bytes)| json!({ "what": what, "hex": hex(&bytes), "read": read(bytes) }))
        .collect();
    let mut made = serde_json::to_string_pretty(&vectors).expect("JSON");
    made.push('\n');
    if std::env::var_os("CALLBOARD_PIN").is_some() {
        fs::write(path(), &made).expect("the book can be written");
    }
    let shown = fs::read_to_string(path()).expect("the book is there");
    assert!(shown == made, "{} must be\n{made}", path().display());
}

#[test]
fn good_vectors_are_good_and_bad_ones_are_refused_each_for_its_own_reason() {
    let text = fs::read_to_string(path()).expect("the book is there");
    let vectors: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let (mut good, mut reasons) = (0, std::collections::BTreeSet::new());
    for vector in &vectors {
        let bytes = Bytes::from(unhex(vector["hex"].as_str().expect("text")));
        assert_eq!(read(bytes), vector["read"], "{}", vector["what"]);
        match vector["read"]["error"].as_str() {
            None => good += 1,
            Some(reason) => drop(reasons.insert(reason.to_owned())),
        }
    }
    assert_eq!((good, vectors.len()), (20, 35));
    // Some share one: lengths and numbers out of bounds.
    assert!(reasons.len() >= 10, "{reasons:?}");
    assert!(reasons.contains("it is sealed with key 7, which is not known here"), "{reasons:?}");
}

#[test]
fn the_checksum_is_that_of_the_chapter() {
    let frame = frame(1, 1, &[(tell(), b"1")]);
    let mut again = frame.to_vec();
    again[4..8].fill(0);
    sum(&mut again);
    assert_eq!(frame, again);
    // The check value of the catalogue of CRCs.
    assert_eq!(crc(b"123456789".iter().copied()), 0xcbf4_3926);
}
