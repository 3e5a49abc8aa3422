//! What can be refused before a stream is looked at.

use bytes::Bytes;

use crate::log::{
    AppendRequest, FRAME_BYTES_MAX, LogError, Mark, Owner, Place, ReplayRequest, StreamKind,
    StreamName,
};

pub(super) fn append(request: &AppendRequest) -> Result<(), LogError> {
    frame(&request.frame)?;
    count(request.count)?;
    if request.first == 0 || request.first.checked_add(u64::from(request.count)).is_none() {
        return Err(LogError::Refused("sequences start at 1 and must not wrap".to_owned()));
    }
    Ok(())
}

pub(super) fn replay(request: &ReplayRequest) -> Result<(), LogError> {
    if request.from == Place::Live {
        return Err(LogError::Refused("live entries can't be replayed".to_owned()));
    }
    request.frames.iter().try_for_each(|(_, messages, bytes)| {
        frame(bytes)?;
        count(*messages)
    })
}

pub(super) fn frame(frame: &Bytes) -> Result<(), LogError> {
    match frame.len() {
        0 => Err(LogError::Refused("the frame is empty".to_owned())),
        bytes if bytes > FRAME_BYTES_MAX => Err(LogError::Refused(format!(
            "the frame has {bytes} bytes, more than {FRAME_BYTES_MAX}"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn count(messages: u32) -> Result<(), LogError> {
    let refused = || LogError::Refused("a frame holds at least one message".to_owned());
    if messages == 0 { Err(refused()) } else { Ok(()) }
}

pub(super) fn mark(mark: &Mark) -> Result<(), LogError> {
    if mark.index < mark.count {
        return Ok(());
    }
    Err(LogError::Refused(format!("message {} of an entry of {}", mark.index, mark.count)))
}

pub(super) fn limit(limit: usize) -> Result<(), LogError> {
    let refused = || LogError::Refused("a read takes at least one entry".to_owned());
    if limit == 0 { Err(refused()) } else { Ok(()) }
}

pub(super) fn grouped(stream: &StreamName) -> Result<(), LogError> {
    if stream.kind() != StreamKind::Replies {
        return Ok(());
    }
    Err(LogError::Refused(format!("{stream} holds replies and has no groups")))
}

pub(super) fn owner(stream: &StreamName, owner: &Owner) -> Result<(), LogError> {
    if matches!(owner, Owner::Fence { .. }) && stream.kind() == StreamKind::Topic {
        return Err(LogError::Refused(format!("{stream} is a topic and has no fence")));
    }
    Ok(())
}
