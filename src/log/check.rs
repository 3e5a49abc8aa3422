//! What can be refused before a stream is looked at.

use std::time::Duration;

use bytes::Bytes;

use crate::log::{
    AppendRequest, DEDUP_ID_BYTES_MAX, DEDUP_WINDOW_MAX, DedupId, FRAME_BYTES_MAX, LogError, Mark,
    Owner, Place, ReplayFrame, ReplayRequest, Settle, StreamKind, StreamName,
};

pub(in crate::log) fn append(request: &AppendRequest) -> Result<(), LogError> {
    frame(&request.frame)?;
    count(request.count)?;
    if request.first == 0 || request.first.checked_add(u64::from(request.count)).is_none() {
        return Err(LogError::Refused("sequences start at 1 and must not wrap".to_owned()));
    }
    request.dedup.iter().try_for_each(|dedup| self::dedup(request, dedup))
}

fn dedup(request: &AppendRequest, dedup: &DedupId) -> Result<(), LogError> {
    let flaw = if request.stream.kind() != StreamKind::Service {
        "dedup ids are for the streams of services"
    } else if dedup.index >= request.count {
        "a dedup id is of a message that the frame does not hold"
    } else if !(1..=DEDUP_ID_BYTES_MAX).contains(&dedup.id.len()) {
        "a dedup id has 1 to 128 bytes"
    } else if dedup.window < Duration::from_millis(1) || dedup.window > DEDUP_WINDOW_MAX {
        "a dedup id is remembered for 1 ms to a day"
    } else {
        return Ok(());
    };
    Err(LogError::Refused(flaw.to_owned()))
}

pub(in crate::log) fn replay(request: &ReplayRequest) -> Result<(), LogError> {
    if request.from == Place::Live {
        return Err(LogError::Refused("live entries can't be replayed".to_owned()));
    }
    let fits = match request.from {
        Place::Dead => request.run.is_none() && request.frames.iter().all(|frame| frame.part == 0),
        _ => request.into.is_none(),
    };
    if !fits {
        let what = "dead letters have neither run nor parts, retained entries stay in their stream";
        return Err(LogError::Refused(what.to_owned()));
    }
    request.frames.iter().try_for_each(|ReplayFrame { count: messages, frame: bytes, .. }| {
        frame(bytes)?;
        count(*messages)
    })
}

pub(in crate::log) fn retain(entries: &[Settle]) -> Result<(), LogError> {
    let keeps_none = |end: &Settle| end.retain.is_some_and(|retain| retain.entries_max == 0);
    if entries.iter().any(keeps_none) {
        return Err(LogError::Refused("at least one retained entry is kept".to_owned()));
    }
    Ok(())
}

pub(in crate::log) fn frame(frame: &Bytes) -> Result<(), LogError> {
    match frame.len() {
        0 => Err(LogError::Refused("the frame is empty".to_owned())),
        bytes if bytes > FRAME_BYTES_MAX => Err(LogError::Refused(format!(
            "the frame has {bytes} bytes, more than {FRAME_BYTES_MAX}"
        ))),
        _ => Ok(()),
    }
}

pub(in crate::log) fn count(messages: u32) -> Result<(), LogError> {
    let refused = || LogError::Refused("a frame holds at least one message".to_owned());
    if messages == 0 { Err(refused()) } else { Ok(()) }
}

pub(in crate::log) fn mark(mark: &Mark) -> Result<(), LogError> {
    if mark.index < mark.count {
        return Ok(());
    }
    Err(LogError::Refused(format!("message {} of an entry of {}", mark.index, mark.count)))
}

pub(in crate::log) fn limit(limit: usize) -> Result<(), LogError> {
    let refused = || LogError::Refused("a read takes at least one entry".to_owned());
    if limit == 0 { Err(refused()) } else { Ok(()) }
}

pub(in crate::log) fn grouped(stream: &StreamName) -> Result<(), LogError> {
    if stream.kind() != StreamKind::Replies {
        return Ok(());
    }
    Err(LogError::Refused(format!("{stream} holds replies and has no groups")))
}

pub(in crate::log) fn owner(stream: &StreamName, owner: &Owner) -> Result<(), LogError> {
    if matches!(owner, Owner::Fence { .. }) && stream.kind() == StreamKind::Topic {
        return Err(LogError::Refused(format!("{stream} is a topic and has no fence")));
    }
    Ok(())
}

pub(in crate::log) fn delayed(request: &AppendRequest) -> Result<(), LogError> {
    let refused = || LogError::Refused("a delayed frame holds one message".to_owned());
    if request.count == 1 { Ok(()) } else { Err(refused()) }
}

/// The delay set holds this id.
pub(in crate::log) fn taken(id: &str) -> LogError {
    LogError::Refused(format!("the delay set holds {id:?} already"))
}

pub(in crate::log) fn postponable(stream: &StreamName) -> Result<(), LogError> {
    if stream.is_counted() {
        return Ok(());
    }
    let what = "a message of a topic can't be postponed: every group would get it again";
    Err(LogError::Refused(what.to_owned()))
}

pub(in crate::log) fn trimmable(stream: &StreamName, place: Place) -> Result<(), LogError> {
    if stream.is_counted() && place == Place::Live {
        let what = "live entries of a counted stream leave by being settled";
        return Err(LogError::Refused(what.to_owned()));
    }
    Ok(())
}
