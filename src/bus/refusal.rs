//! Why an ask has no outcome, as it travels: codes of its own, so that the errors of the API can
//! change without the wire.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::codec::{Codec, decode, encode};
use crate::error::{Delivery, Failure, FailureKind};

/// The codes. A number is never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
enum Code {
    MailboxFull = 1,
    CircuitOpen = 2,
    NoSuchService = 3,
    NotPermitted = 4,
    Stopped = 5,
    StartFailed = 6,
    Panicked = 7,
    Unanswered = 8,
    Cycle = 9,
    DeadlinePassed = 10,
    RateLimited = 11,
    Undecodable = 12,
    Unavailable = 13,
    TooLarge = 14,
    NotHandled = 15,
    Unsupported = 16,
    Moved = 17,
    NotReady = 18,
    VersionUnknown = 19,
}

const CODES: [Code; 19] = [
    Code::MailboxFull,
    Code::CircuitOpen,
    Code::NoSuchService,
    Code::NotPermitted,
    Code::Stopped,
    Code::StartFailed,
    Code::Panicked,
    Code::Unanswered,
    Code::Cycle,
    Code::DeadlinePassed,
    Code::RateLimited,
    Code::Undecodable,
    Code::Unavailable,
    Code::TooLarge,
    Code::NotHandled,
    Code::Unsupported,
    Code::Moved,
    Code::NotReady,
    Code::VersionUnknown,
];

/// The body of a refusal. One shape for all codes, so that a code that a reader does not know can
/// still be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wire {
    code: u16,
    /// 0 not delivered, 1 unknown, 2 handled.
    delivery: u8,
    texts: Vec<String>,
    numbers: Vec<u64>,
}

/// Encodes a failure, in bincode.
pub(crate) fn to_wire(failure: &Failure) -> Bytes {
    let (code, texts, numbers) = parts(failure.kind());
    let delivery = match failure.delivery() {
        Delivery::NotDelivered => 0,
        Delivery::Unknown => 1,
        Delivery::Handled => 2,
    };
    let wire = Wire { code: code as u16, delivery, texts, numbers };
    let mut bytes = Vec::new();
    if let Err(error) = encode(Codec::Bincode, &wire, &mut bytes) {
        // Texts and numbers always have a form; an empty body still reads as an unknown refusal.
        tracing::error!(%error, "a refusal could not be encoded");
    }
    Bytes::from(bytes)
}

/// Decodes a failure; what can't be read is a failure too.
pub(crate) fn from_wire(bytes: &[u8]) -> Failure {
    let wire: Wire = match decode(Codec::Bincode, bytes) {
        Ok(wire) => wire,
        Err(error) => {
            let what = "the reason of a refusal (it can't be decoded)".to_owned();
            return Failure::new(FailureKind::Unavailable { what }).caused_by(error);
        }
    };
    let delivery = match wire.delivery {
        0 => Delivery::NotDelivered,
        2 => Delivery::Handled,
        _ => Delivery::Unknown,
    };
    Failure::with_delivery(kind(wire), delivery)
}

fn parts(kind: &FailureKind) -> (Code, Vec<String>, Vec<u64>) {
    use FailureKind as K;
    let one = |text: &String| vec![text.clone()];
    match kind {
        K::MailboxFull { actor, retry_after } => {
            (Code::MailboxFull, one(actor), millis(*retry_after))
        }
        K::CircuitOpen { callee, until } => (Code::CircuitOpen, one(callee), millis(*until)),
        K::NoSuchService { service } => (Code::NoSuchService, one(service), vec![]),
        K::NotPermitted { reason } => (Code::NotPermitted, one(reason), vec![]),
        K::Stopped { actor } => (Code::Stopped, one(actor), vec![]),
        K::Moved { actor } => (Code::Moved, one(actor), vec![]),
        K::NotReady { service, states } => {
            (Code::NotReady, vec![service.clone(), states.clone()], vec![])
        }
        K::StartFailed { actor, reason } => {
            (Code::StartFailed, vec![actor.clone(), reason.clone()], vec![])
        }
        K::Panicked => (Code::Panicked, vec![], vec![]),
        K::Unanswered => (Code::Unanswered, vec![], vec![]),
        K::Cycle { path } => (Code::Cycle, path.clone(), vec![]),
        K::DeadlinePassed { after } => (Code::DeadlinePassed, vec![], millis(Some(*after))),
        K::RateLimited { retry_after } => (Code::RateLimited, vec![], millis(*retry_after)),
        K::Undecodable { message, version, reason } => {
            (Code::Undecodable, vec![message.clone(), reason.clone()], vec![u64::from(*version)])
        }
        K::VersionUnknown { target, message, version, known } => {
            let texts = vec![target.clone(), message.clone(), known.clone()];
            (Code::VersionUnknown, texts, vec![u64::from(*version)])
        }
        K::Unavailable { what } => (Code::Unavailable, one(what), vec![]),
        K::TooLarge { size, limit } => (Code::TooLarge, vec![], vec![*size as u64, *limit as u64]),
        K::NotHandled { target, message, how } => {
            (Code::NotHandled, vec![target.clone(), message.clone(), how.clone()], vec![])
        }
        K::Unsupported { option, target } => {
            (Code::Unsupported, vec![option.clone(), target.clone()], vec![])
        }
        // Of local pools alone: it has no code of its own.
        K::KeyMissing { target } => {
            let option = "a send without `.key(..)`".to_owned();
            (Code::Unsupported, vec![option, target.clone()], vec![])
        }
    }
}

fn kind(wire: Wire) -> FailureKind {
    use FailureKind as K;
    let Some(code) = CODES.into_iter().find(|code| *code as u16 == wire.code) else {
        let told = wire.texts.join(", ");
        return K::Unavailable { what: format!("the callee (refusal {}: {told})", wire.code) };
    };
    let path = wire.texts.clone();
    let mut texts = wire.texts.into_iter();
    let mut text = || texts.next().unwrap_or_default();
    let number = |at: usize| wire.numbers.get(at).copied();
    let version = || number(0).and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let span = number(0).map(Duration::from_millis);
    match code {
        Code::MailboxFull => K::MailboxFull { actor: text(), retry_after: span },
        Code::CircuitOpen => K::CircuitOpen { callee: text(), until: span },
        Code::NoSuchService => K::NoSuchService { service: text() },
        Code::NotPermitted => K::NotPermitted { reason: text() },
        Code::Stopped => K::Stopped { actor: text() },
        Code::Moved => K::Moved { actor: text() },
        Code::NotReady => K::NotReady { service: text(), states: text() },
        Code::StartFailed => K::StartFailed { actor: text(), reason: text() },
        Code::Panicked => K::Panicked,
        Code::Unanswered => K::Unanswered,
        Code::Cycle => K::Cycle { path },
        Code::DeadlinePassed => K::DeadlinePassed { after: span.unwrap_or_default() },
        Code::RateLimited => K::RateLimited { retry_after: span },
        Code::Undecodable => K::Undecodable { message: text(), version: version(), reason: text() },
        Code::VersionUnknown => {
            K::VersionUnknown { target: text(), message: text(), version: version(), known: text() }
        }
        Code::Unavailable => K::Unavailable { what: text() },
        Code::TooLarge => {
            let size = |at| number(at).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            K::TooLarge { size: size(0), limit: size(1) }
        }
        Code::NotHandled => K::NotHandled { target: text(), message: text(), how: text() },
        Code::Unsupported => K::Unsupported { option: text(), target: text() },
    }
}

fn millis(span: Option<Duration>) -> Vec<u64> {
    span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<FailureKind> {
        use FailureKind as K;
        let text = |t: &str| t.to_owned();
        let second = Duration::from_secs(1);
        vec![
            K::MailboxFull { actor: text("a"), retry_after: Some(second) },
            K::MailboxFull { actor: text("a"), retry_after: None },
            K::CircuitOpen { callee: text("a"), until: Some(second) },
            K::NoSuchService { service: text("a") },
            K::NotPermitted { reason: text("a") },
            K::Stopped { actor: text("a") },
            K::StartFailed { actor: text("a"), reason: text("b") },
            K::Panicked,
            K::Unanswered,
            K::Cycle { path: vec![text("a"), text("b"), text("a")] },
            K::DeadlinePassed { after: second },
            K::RateLimited { retry_after: None },
            K::Undecodable { message: text("a"), version: 3, reason: text("b") },
            K::Unavailable { what: text("a") },
            K::TooLarge { size: 9, limit: 8 },
            K::NotHandled { target: text("a"), message: text("b"), how: text("c") },
            K::Unsupported { option: text("a"), target: text("b") },
            K::Moved { actor: text("a") },
            K::NotReady { service: text("a"), states: text("b") },
            K::VersionUnknown {
                target: text("a"),
                message: text("b"),
                version: 2,
                known: text("1"),
            },
        ]
    }

    #[test]
    fn every_kind_survives_with_its_delivery() {
        for kind in all() {
            for delivery in [Delivery::NotDelivered, Delivery::Unknown, Delivery::Handled] {
                let failure = Failure::with_delivery(kind.clone(), delivery);
                let back = from_wire(&to_wire(&failure));
                assert_eq!((back.kind(), back.delivery()), (&kind, delivery));
            }
        }
    }

    #[test]
    fn the_codes_are_pinned() {
        let codes: Vec<u16> = all().iter().map(|kind| parts(kind).0 as u16).collect();
        assert_eq!(codes, [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
        let stopped = Failure::new(FailureKind::Stopped { actor: "ab".into() });
        assert_eq!(&to_wire(&stopped)[..], [5, 0, 1, 2, b'a', b'b', 0]);
    }

    #[test]
    fn whatever_bytes_come_are_a_failure() {
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let good: Vec<_> = all().into_iter().map(|kind| to_wire(&kind.into())).collect();
        for _ in 0..20_000 {
            let mut bytes = good[rng.usize(..good.len())].to_vec();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                match rng.u8(..3) {
                    0 => bytes[at] = rng.u8(..),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, [0, 0xfb, 0xfd, 0xff][rng.usize(..4)]),
                }
            }
            assert!(!from_wire(&bytes).to_string().is_empty());
        }
    }

    #[test]
    fn an_unknown_code_or_garbage_is_a_failure_all_the_same() {
        let wire = Wire { code: 999, delivery: 1, texts: vec!["x".into()], numbers: vec![] };
        let mut bytes = Vec::new();
        encode(Codec::Bincode, &wire, &mut bytes).unwrap();
        assert!(from_wire(&bytes).to_string().contains("999"));
        for garbage in [&b""[..], b"\xff\xff\xff", b"garbage garbage"] {
            assert!(matches!(from_wire(garbage).kind(), FailureKind::Unavailable { .. }));
        }
    }
}
