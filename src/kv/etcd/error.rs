use etcd_client::Error;
use tonic::Code;

use crate::kv::KvError;

/// What etcd says of a right that is missing, and older ones of a watch whose token is.
pub(super) const DENIED: &str = "permission denied";

/// What an error of the client means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// It was not carried out, and another endpoint may do it: no connection was made, or the member
    /// knows of no leader.
    NotDone,
    /// The revision was compacted away.
    Compacted,
    /// The revision is in the future.
    Future,
    /// The lease is not there.
    NoLease,
    /// It was not carried out: the token of the user has expired, is not known any more, or there
    /// is none.
    NoToken(String),
    /// It was not carried out: the user has no right to it.
    NoRights,
    /// The answer is larger than what is taken.
    TooLarge(String),
    /// It will never be taken like that.
    Refused(String),
    /// Nobody knows.
    Unknown,
}

pub(super) fn meaning(error: &Error) -> Meaning {
    let status = match error {
        Error::GRpcStatus(status) => status,
        Error::LeaseKeepAliveError(text) if text.contains("lease not found") => {
            return Meaning::NoLease;
        }
        Error::InvalidArgs(text) | Error::EndpointError(text) => {
            return Meaning::Refused(text.clone());
        }
        Error::InvalidUri(error) => return Meaning::Refused(error.to_string()),
        Error::InvalidMetadataValue(error) => return Meaning::Refused(error.to_string()),
        _ => return Meaning::Unknown,
    };
    let text = status.message();
    match status.code() {
        Code::OutOfRange if text.contains("compacted") => Meaning::Compacted,
        Code::OutOfRange if text.contains("future") => Meaning::Future,
        // The client's own word, too.
        Code::OutOfRange => Meaning::TooLarge(text.to_owned()),
        Code::NotFound if text.contains("lease") => Meaning::NoLease,
        Code::Unauthenticated => Meaning::NoToken(text.to_owned()),
        Code::InvalidArgument if is_about_the_token(text) => Meaning::NoToken(text.to_owned()),
        Code::PermissionDenied => Meaning::NoRights,
        Code::InvalidArgument | Code::FailedPrecondition => Meaning::Refused(text.to_owned()),
        Code::ResourceExhausted if text.contains("space") => Meaning::Refused(format!(
            "{text}; etcd takes no writes until it is compacted and defragmented and the alarm \
             is disarmed, see `etcdctl alarm list`"
        )),
        Code::ResourceExhausted => Meaning::Refused(text.to_owned()),
        // Said before anything is looked at, to whoever requires a leader.
        Code::Unavailable if text.contains("no leader") => Meaning::NotDone,
        Code::Unavailable | Code::Unknown if is_failed_connection(status) => Meaning::NotDone,
        _ => Meaning::Unknown,
    }
}

/// Whether etcd checks no users at all.
pub(super) fn has_no_users(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return false };
    status.code() == Code::FailedPrecondition && status.message().contains("not enabled")
}

/// No token was sent, or users were changed since it was given out.
fn is_about_the_token(text: &str) -> bool {
    ["user name is empty", "auth store is old"].iter().any(|word| text.contains(word))
}

/// Whether a watch was cancelled for who asks. Of a token that has expired 3.4.23 says so; older
/// releases say [`DENIED`] of that, too.
pub(super) fn is_denial(text: &str) -> bool {
    text.contains(DENIED) || text.contains("invalid auth token") || is_about_the_token(text)
}

/// A connection that was not made carried nothing.
fn is_failed_connection(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether nobody listens there, as opposed to somebody who can't serve just now.
pub(super) fn is_unconnected(error: &KvError) -> bool {
    let KvError::Unavailable { source: Some(source), .. } = error else { return false };
    match source.downcast_ref::<Error>() {
        Some(Error::GRpcStatus(status)) => is_failed_connection(status),
        _ => false,
    }
}

/// What is left when the cause is not one that the port names.
pub(super) fn unavailable(what: &str, error: Error) -> KvError {
    KvError::Unavailable { what: format!("etcd: {what}: {error}"), source: Some(error.into()) }
}

pub(super) fn no_answer(what: &str, within: std::time::Duration) -> KvError {
    KvError::Unavailable {
        what: format!("etcd: {what}: no answer within {within:?}"),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    fn of(code: Code, text: &str) -> Meaning {
        meaning(&Error::GRpcStatus(Status::new(code, text)))
    }

    /// The words are those of etcd 3.4.23.
    #[test]
    fn what_was_surely_not_done_is_told_from_what_nobody_knows() {
        assert!(matches!(of(Code::Unavailable, "etcdserver: no leader"), Meaning::NotDone));
        assert!(matches!(of(Code::Unavailable, "etcdserver: request timed out"), Meaning::Unknown));
        assert!(matches!(of(Code::Unavailable, "etcdserver: leader changed"), Meaning::Unknown));
        assert!(matches!(of(Code::Unknown, "transport error"), Meaning::Unknown));
        let bad = "etcdserver: invalid auth token";
        assert!(matches!(of(Code::Unauthenticated, bad), Meaning::NoToken(_)));
        let none = "etcdserver: user name is empty";
        assert!(matches!(of(Code::InvalidArgument, none), Meaning::NoToken(_)));
        let old = "etcdserver: revision of auth store is old";
        assert!(matches!(of(Code::InvalidArgument, old), Meaning::NoToken(_)));
        let wrong = "etcdserver: authentication failed, invalid user ID or password";
        assert!(matches!(of(Code::InvalidArgument, wrong), Meaning::Refused(_)));
        let denied = "etcdserver: permission denied";
        assert!(matches!(of(Code::PermissionDenied, denied), Meaning::NoRights));
    }

    #[test]
    fn a_full_store_says_what_to_do() {
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(full, Meaning::Refused(text) if text.contains("etcdctl alarm list")));
    }
}
