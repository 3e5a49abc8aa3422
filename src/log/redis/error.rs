use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::log::LogError;

/// What Redis's error means to the port.
pub(super) fn meaning(what: &str, error: RedisError) -> LogError {
    let refused = |why: &str| LogError::Refused(format!("Redis refuses to {what}: {why}: {error}"));
    match error.code() {
        Some("OOM") => LogError::OutOfMemory,
        Some("WRONGTYPE") => LogError::Foreign {
            place: what.to_owned(),
            reason:
                "a key of the stream holds another type of value; see it with `redis-cli TYPE` and \
                     remove or rename it"
                    .to_owned(),
        },
        Some("NOAUTH" | "WRONGPASS") => refused("it asks for another user or password"),
        Some("NOPERM") => refused("this user lacks a permission"),
        Some("ERR") if is_foreign(&error) => LogError::Foreign {
            place: what.to_owned(),
            reason: format!("a key of the stream holds what callboard did not write: {error}"),
        },
        _ if error.kind() == ErrorKind::AuthenticationFailed => {
            refused("it asks for another user or password")
        }
        _ if is_read_only(&error) => LogError::Unavailable {
            what: format!(
                "Redis: {what}: it is a read-only replica now; everything waits until it is the \
                 master again, or its address leads to the new one"
            ),
            source: Some(error.into()),
        },
        _ => LogError::Unavailable {
            what: format!("Redis: {what}: {error}"),
            source: Some(error.into()),
        },
    }
}

/// What a script or a command says when it meets a value that it can't have written.
fn is_foreign(error: &RedisError) -> bool {
    let text = error.to_string();
    ["not an integer", "not a valid float", "attempt to", "Bad data format", "cmsgpack"]
        .iter()
        .any(|part| text.contains(part))
}

/// Whether the server has forgotten its scripts (and so did nothing).
pub(super) fn has_no_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether the connection is of no use any more. One to a server that is only a replica now is of
/// none either: the address may lead to another by now.
pub(super) fn is_broken(error: &RedisError) -> bool {
    is_read_only(error)
        || error.is_unrecoverable_error()
        || error.is_io_error()
        || error.is_connection_dropped()
}

/// Whether the server takes no writes because it follows another. To a script it says so in words.
fn is_read_only(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.detail().is_some_and(|detail| detail.contains("readonly replica"))
}

pub(super) fn no_answer(what: &str, within: Duration) -> LogError {
    LogError::Unavailable {
        what: format!("Redis: {what}: no answer within {within:?}"),
        source: None,
    }
}

/// An answer that has not the form that the command's has.
pub(super) fn strange(what: &str) -> LogError {
    LogError::Foreign {
        place: what.to_owned(),
        reason: "Redis answered in another form than expected".to_owned(),
    }
}
