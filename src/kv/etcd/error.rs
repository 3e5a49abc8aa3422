use etcd_client::Error;
use tonic::Code;

use crate::kv::KvError;

/// What an error of the client means.
#[derive(Debug)]
pub(super) enum Meaning {
    /// It was never sent: the connection was refused.
    NotSent,
    /// The revision was compacted away.
    Compacted,
    /// The revision is in the future.
    Future,
    /// The lease is not there.
    NoLease,
    /// The token of the user has expired or is not known (any more).
    NoToken,
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
        _ => return Meaning::Unknown,
    };
    let text = status.message();
    match status.code() {
        Code::OutOfRange if text.contains("compacted") => Meaning::Compacted,
        Code::OutOfRange if text.contains("future") => Meaning::Future,
        Code::NotFound if text.contains("lease") => Meaning::NoLease,
        Code::Unauthenticated => Meaning::NoToken,
        Code::InvalidArgument | Code::PermissionDenied | Code::FailedPrecondition => {
            Meaning::Refused(text.to_owned())
        }
        Code::ResourceExhausted => Meaning::Refused(text.to_owned()),
        Code::Unavailable | Code::Unknown if is_refused_connection(status) => Meaning::NotSent,
        _ => Meaning::Unknown,
    }
}

/// A connection that was not made carried nothing.
fn is_refused_connection(status: &tonic::Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let refused = error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        if refused {
            return true;
        }
        source = error.source();
    }
    false
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
