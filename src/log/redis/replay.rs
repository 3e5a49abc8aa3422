//! Putting dead letters and retained entries into a stream again.

use std::collections::BTreeMap;

use super::{RedisLog, call::Call, keys, parse, script::Name};
use crate::log::{
    EntryId, LogError, MessageLog, Place, ReplayFrame, ReplayRequest, Replayed, StreamKind,
    StreamName,
};

/// For how long it is known how far a run came, and that a letter was put into another stream, in
/// seconds.
const KNOWN_S: u64 = 24 * 60 * 60;

impl RedisLog {
    /// Within one stream, which is one slot: one step.
    pub(super) async fn replay_here(
        &self,
        stream: &StreamName,
        request: ReplayRequest,
    ) -> Result<Replayed, LogError> {
        let run = request.run.as_deref();
        let keys = [
            keys::live(stream),
            keys::hw(stream),
            keys::place(stream, request.from),
            keys::run(stream, run.unwrap_or_default()),
        ];
        let mut call = Call::script("replay to", Name::Replay, &keys)
            .on(stream)
            .arg(u8::from(stream.is_counted()))
            .arg(u8::from(request.from == Place::Dead))
            .arg(request.limit)
            .arg(bound(&request))
            .arg(if run.is_some() { KNOWN_S } else { 0 });
        for ReplayFrame { id, part, count, frame } in in_order(&request) {
            call = call.arg(id.to_string()).arg(*part).arg(*count).arg(&frame[..]);
        }
        parse::replayed(self.ask(call).await?)
    }

    /// Into a stream that may sit in another slot: the letters are put there first, known by where
    /// they lay, and then leave their place. A call that had no answer is made again.
    pub(super) async fn replay_into(
        &self,
        stream: &StreamName,
        into: &StreamName,
        request: ReplayRequest,
    ) -> Result<Replayed, LogError> {
        let named = in_order(&request);
        let place = keys::place(stream, request.from);
        let mut call = Call::script("look for letters of", Name::There, &[place]).on(stream);
        named.iter().for_each(|frame| call.push(frame.id.to_string()));
        let there = parse::there(self.ask(call).await?)?;
        let letters: Vec<_> = named
            .into_iter()
            .zip(there)
            .filter_map(|(frame, is_there)| is_there.then_some(frame))
            .take(request.limit)
            .collect();
        if letters.is_empty() {
            return Ok(Replayed::default());
        }
        let mut all = vec![keys::live(into), keys::hw(into)];
        let seen = |frame: &&ReplayFrame| keys::seen(into, stream, &format!("dlq:{}", frame.id));
        all.extend(letters.iter().map(seen));
        let mut call = Call::script("replay letters to", Name::ReplayInto, &all)
            .on(into)
            .arg(keys::kind(into))
            .arg(u8::from(into.is_counted()))
            .arg(u8::from(into.kind() == StreamKind::Inbox))
            .arg(bound(&request))
            .arg(KNOWN_S);
        for letter in &letters {
            call = call.arg(letter.count).arg(&letter.frame[..]);
        }
        let (through, stop) = parse::replayed_into(self.ask(call).await?)?;
        let moved = &letters[..through.min(letters.len())];
        let ids: Vec<EntryId> = moved.iter().map(|frame| frame.id).collect();
        if !ids.is_empty() {
            self.drop_dead(stream, &ids).await?;
        }
        let messages = moved.iter().map(|frame| u64::from(frame.count)).sum();
        Ok(Replayed { messages, last: ids.last().copied(), stop })
    }
}

fn bound(request: &ReplayRequest) -> i64 {
    request.backlog_max.map_or(-1, |max| i64::try_from(max).unwrap_or(i64::MAX))
}

/// What is named within the range, oldest first; of two for one part the first counts.
fn in_order(request: &ReplayRequest) -> Vec<&ReplayFrame> {
    let range = request.first..=request.last;
    let named = request.frames.iter().rev().filter(|frame| range.contains(&frame.id));
    let by_place: BTreeMap<_, _> = named.map(|frame| ((frame.id, frame.part), frame)).collect();
    by_place.into_values().collect()
}
