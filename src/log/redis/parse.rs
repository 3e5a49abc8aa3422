//! What Redis answers, as the port has it. No panic on what comes from outside.

use std::borrow::Cow;

use bytes::Bytes;
use redis::Value;

use super::error::strange;
use crate::log::{
    Accounting, Append, Attempt, Claim, ClaimedEntry, Done, Due, Entry, EntryId, Fence, GroupInfo,
    LogError, Ownership, ReadBatch, Recorded, ReplayStop, Replayed, StreamInfo, StreamName, Totals,
};

/// The text of an answer to `INFO`.
pub(super) fn info_text(answer: &Value) -> Option<Cow<'_, str>> {
    match answer {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes)),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.into()),
        _ => None,
    }
}

/// The version in an answer to `INFO`.
pub(super) fn version(info: &str) -> Option<&str> {
    info.lines().find_map(|line| line.strip_prefix("redis_version:")).map(str::trim)
}

/// What a read of these streams gave.
pub(super) fn batches(streams: &[&StreamName], answer: Value) -> Result<Vec<ReadBatch>, LogError> {
    if answer == Value::Nil {
        return Ok(Vec::new());
    }
    let mut batches = Vec::new();
    for item in array(answer, "a read")? {
        let [key, listed] = fixed(item, "a read")?;
        let key = text(key, "a read")?;
        let stream = streams.iter().find(|stream| stream.to_string() == key);
        let stream = StreamName::clone(stream.ok_or_else(|| strange("a read"))?);
        let entries = entries(listed)?;
        if !entries.is_empty() {
            batches.push(ReadBatch { stream, entries });
        }
    }
    Ok(batches)
}

/// Entries as `XRANGE` lists them.
pub(super) fn entries(answer: Value) -> Result<Vec<Entry>, LogError> {
    array(answer, "a list of entries")?.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Result<Entry, LogError> {
    let [id, fields] = fixed(value, "an entry")?;
    // An entry that was deleted while it was pending has no fields.
    let fields = if fields == Value::Nil { Vec::new() } else { array(fields, "an entry")? };
    Ok(of_fields(entry_id(id)?, fields))
}

fn of_fields(id: EntryId, fields: Vec<Value>) -> Entry {
    let count = value_of(&fields, b"n").and_then(|count| std::str::from_utf8(count).ok());
    let is_counted = count.is_some_and(|count| count.parse::<u32>().is_ok());
    let skip = Done(value_of(&fields, b"s").map(<[u8]>::to_vec).unwrap_or_default());
    Entry { id, frame: frame(fields), skip, is_counted }
}

fn value_of<'f>(fields: &'f [Value], name: &[u8]) -> Option<&'f [u8]> {
    let is_it = |field: &Value| matches!(field, Value::BulkString(field) if field == name);
    let at = fields.iter().step_by(2).position(is_it)?;
    match fields.get(at * 2 + 1)? {
        Value::BulkString(value) => Some(value),
        _ => None,
    }
}

/// The frame among the fields of an entry. What somebody else has put there has none: its fields, as
/// they are, will be found to be no frame and end as a dead letter that shows them.
fn frame(fields: Vec<Value>) -> Bytes {
    if let Some(frame) = value_of(&fields, b"b") {
        return Bytes::copy_from_slice(frame);
    }
    let mut shown = Vec::new();
    for field in fields {
        if let Value::BulkString(bytes) = field {
            shown.extend_from_slice(&bytes);
            shown.push(b' ');
        }
    }
    Bytes::from(shown)
}

/// The answer to an append: `None` when its id is taken.
/// The answer of a plain append to a stream that must exist.
pub(super) fn stored(answer: Value) -> Result<Append, LogError> {
    match answer {
        Value::Nil => Ok(Append::Gone),
        id => entry_id(id).map(Append::Stored),
    }
}

pub(super) fn append(answer: Value) -> Result<Option<Append>, LogError> {
    let mut parts = array(answer, "an append")?.into_iter();
    let mut part = || parts.next().ok_or_else(|| strange("an append"));
    Ok(Some(match number(part()?)? {
        1 => Append::Stored(entry_id(part()?)?),
        2 => Append::Duplicate { last: number(part()?)? },
        3 => Append::Gap { last: number(part()?)? },
        4 => Append::Gone,
        5 => Append::Full,
        6 => return Ok(None),
        7 => Append::Forgotten,
        _ => return Err(strange("an append")),
    }))
}

pub(super) fn ownerships(answer: Value) -> Result<Vec<Ownership>, LogError> {
    array(answer, "a list of outcomes")?.into_iter().map(ownership).collect()
}

pub(super) fn ownership(answer: Value) -> Result<Ownership, LogError> {
    match answer {
        Value::Int(1) => Ok(Ownership::Done),
        Value::Int(0) => Ok(Ownership::NotPending),
        Value::Int(-1) => Ok(Ownership::OwnedByOther),
        Value::Int(-2) => Ok(Ownership::Disagrees),
        _ => Err(strange("an outcome")),
    }
}

pub(super) fn claim(answer: Value) -> Result<Claim, LogError> {
    let mut parts = array(answer, "a claim")?.into_iter();
    let mut part = || parts.next().ok_or_else(|| strange("a claim"));
    if part()? == Value::Int(0) {
        return Ok(Claim::Grace);
    }
    let taken = array(part()?, "a claim")?.into_iter().map(claimed).collect::<Result<_, _>>()?;
    let gone = array(part()?, "a claim")?.into_iter().map(entry_id).collect::<Result<_, _>>()?;
    Ok(Claim::Taken { entries: taken, gone })
}

fn claimed(value: Value) -> Result<ClaimedEntry, LogError> {
    let [id, previous, deliveries, fields, record] = fixed(value, "a claimed entry")?;
    let entry = of_fields(entry_id(id)?, array(fields, "a claimed entry")?);
    let previous = text(previous, "a consumer")?;
    Ok(ClaimedEntry {
        entry,
        previous,
        recorded: recorded(record)?.unwrap_or_default(),
        deliveries: number(deliveries)?,
    })
}

pub(super) fn all_recorded(answer: Value) -> Result<Vec<Option<Recorded>>, LogError> {
    array(answer, "what is recorded")?.into_iter().map(recorded).collect()
}

fn recorded(value: Value) -> Result<Option<Recorded>, LogError> {
    let parts = array(value, "what is recorded")?;
    if parts.is_empty() {
        return Ok(None);
    }
    let [handled, expired, cancelled, dead, delayed, done, index, attempt] =
        <[Value; 8]>::try_from(parts).map_err(|_| strange("what is recorded"))?;
    let totals = Totals {
        handled: small(handled)?,
        expired: small(expired)?,
        cancelled: small(cancelled)?,
        dead: small(dead)?,
        delayed: small(delayed)?,
    };
    let done = match done {
        Value::BulkString(bytes) => Done(bytes),
        _ => return Err(strange("what is recorded")),
    };
    let attempt = match index {
        Value::Int(-1) => None,
        index => Some(Attempt { index: small(index)?, number: small(attempt)? }),
    };
    Ok(Some(Recorded { totals, done, attempt }))
}

pub(super) fn due(answer: Value) -> Result<Due, LogError> {
    let mut parts = array(answer, "a release")?.into_iter();
    let released = number(parts.next().unwrap_or_default())?;
    let next_ms = match parts.next() {
        None | Some(Value::Nil) => None,
        Some(next) => Some(number(next)?),
    };
    Ok(Due { released: usize::try_from(released).unwrap_or(usize::MAX), next_ms })
}

pub(super) fn fence(answer: Value) -> Result<Fence, LogError> {
    let mut parts = array(answer, "a fence")?.into_iter();
    if parts.next() == Some(Value::Int(1)) {
        return Ok(Fence::Raised);
    }
    let mut part = || parts.next().ok_or_else(|| strange("a fence"));
    Ok(Fence::Refused { epoch: number(part()?)?, owner: text(part()?, "a fence")? })
}

pub(super) fn replayed(answer: Value) -> Result<Replayed, LogError> {
    let mut parts = array(answer, "a replay")?.into_iter();
    let messages = number(parts.next().unwrap_or_default())?;
    let last = match parts.next() {
        None | Some(Value::Nil) => None,
        Some(last) => Some(entry_id(last)?),
    };
    Ok(Replayed { messages, last, stop: replay_stop(parts.next().unwrap_or_default())? })
}

fn replay_stop(value: Value) -> Result<Option<ReplayStop>, LogError> {
    match value {
        Value::Int(0) => Ok(None),
        Value::Int(1) => Ok(Some(ReplayStop::Full)),
        Value::Int(2) => Ok(Some(ReplayStop::Gone)),
        _ => Err(strange("a replay")),
    }
}

/// How many letters are in another stream now, and why it took no more.
pub(super) fn replayed_into(answer: Value) -> Result<(usize, Option<ReplayStop>), LogError> {
    let [through, stop] = fixed(answer, "a replay")?;
    let through = usize::try_from(number(through)?).map_err(|_| strange("a replay"))?;
    Ok((through, replay_stop(stop)?))
}

/// Which of the entries asked for are there.
pub(super) fn there(answer: Value) -> Result<Vec<bool>, LogError> {
    let answers = array(answer, "what is there")?;
    Ok(answers.into_iter().map(|answer| answer == Value::Int(1)).collect())
}

pub(super) fn info(answer: Value, is_counted: bool) -> Result<Option<StreamInfo>, LogError> {
    if answer == Value::Nil {
        return Ok(None);
    }
    let [length, first, last, groups, dead, retained, kept, fence, counters, delayed, done] =
        fixed(answer, "a description")?;
    let [epoch, owner] = fixed(fence, "a fence")?;
    let fence = match epoch {
        Value::Nil => None,
        epoch => Some((number(epoch)?, text(owner, "a fence")?)),
    };
    let accounting =
        if is_counted { accounting(counters, delayed, done)? } else { Accounting::default() };
    Ok(Some(StreamInfo {
        length: number(length)?,
        first: if first == Value::Nil { None } else { Some(entry_id(first)?) },
        last: entry_id(last)?,
        groups: array(groups, "groups")?.into_iter().map(group).collect::<Result<_, _>>()?,
        dead_letters: number(dead)?,
        retained: number(retained)?,
        retained_bytes: number(kept)?,
        fence,
        accounting,
    }))
}

fn accounting(counters: Value, delayed: Value, done: Value) -> Result<Accounting, LogError> {
    let counters: [Value; 8] = fixed(counters, "counters")?;
    let [appended, handled, expired, cancelled, dead, frames_in, frames_out, live] =
        counters.map(|counter| if counter == Value::Nil { Ok(0) } else { number(counter) });
    Ok(Accounting {
        appended: appended?,
        handled: handled?,
        expired: expired?,
        cancelled: cancelled?,
        dead: dead?,
        delayed: number(delayed)?,
        held: live?.saturating_sub(number(done)?),
        frames_in: frames_in?,
        frames_out: frames_out?,
    })
}

fn group(value: Value) -> Result<GroupInfo, LogError> {
    let [name, last_delivered, pending, oldest, consumers] = fixed(value, "a group")?;
    let consumer = |value| {
        let [name, pending] = fixed(value, "a consumer")?;
        Ok((text(name, "a consumer")?, number(pending)?))
    };
    let consumers: Result<Vec<_>, LogError> =
        array(consumers, "consumers")?.into_iter().map(consumer).collect();
    let mut consumers = consumers?;
    consumers.sort();
    Ok(GroupInfo {
        name: text(name, "a group")?,
        last_delivered: entry_id(last_delivered)?,
        pending: number(pending)?,
        oldest_pending: if oldest == Value::Nil { None } else { Some(entry_id(oldest)?) },
        consumers,
    })
}

/// The milliseconds of an answer to `TIME`.
pub(super) fn time_ms(answer: Value) -> Result<u64, LogError> {
    let [seconds, micros] = fixed(answer, "the time")?;
    Ok(number(seconds)?.saturating_mul(1000).saturating_add(number(micros)? / 1000))
}

pub(super) fn number(value: Value) -> Result<u64, LogError> {
    let parsed = match value {
        Value::Int(number) => u64::try_from(number).ok(),
        Value::BulkString(bytes) => {
            std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok())
        }
        Value::Nil => Some(0),
        _ => None,
    };
    parsed.ok_or_else(|| strange("a number"))
}

fn small(value: Value) -> Result<u32, LogError> {
    u32::try_from(number(value)?).map_err(|_| strange("a number"))
}

pub(super) fn text(value: Value, what: &str) -> Result<String, LogError> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).map_err(|_| strange(what)),
        Value::SimpleString(text) => Ok(text),
        _ => Err(strange(what)),
    }
}

fn entry_id(value: Value) -> Result<EntryId, LogError> {
    text(value, "an entry id")?.parse()
}

pub(super) fn array(value: Value, what: &str) -> Result<Vec<Value>, LogError> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(strange(what)),
    }
}

pub(super) fn fixed<const N: usize>(value: Value, what: &str) -> Result<[Value; N], LogError> {
    <[Value; N]>::try_from(array(value, what)?).map_err(|_| strange(what))
}
