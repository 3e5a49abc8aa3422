//! Calls of an owner: what ends entries, or moves messages out of them.

use bytes::Bytes;
use redis::Value;

use super::{RedisLog, call::Call, keys, parse, script::Name};
use crate::log::{
    BuryEntryRequest, BuryRequest, EntryId, LogError, Mark, Owner, Ownership, Place,
    PostponeRequest, Progress, Settle, StreamKind, StreamName, Totals,
};

/// How many entries one script looks at: it holds up everybody else.
const BATCH: usize = 500;
/// For how long a letter in another stream is known to lie there, in seconds: longer than its mover
/// would try to mark its message.
const SEEN_S: u64 = 24 * 60 * 60;

impl RedisLog {
    pub(super) async fn progress_all(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Progress],
    ) -> Result<Vec<Ownership>, LogError> {
        let mut answers = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH) {
            let ids = batch.iter().map(|entry| entry.id);
            let mut call =
                of_owner("record progress of", Name::Progress, stream, owner, ids, vec![]);
            for entry in batch {
                call.push(entry.id.to_string());
                call.push(entry.count);
                push_totals(&mut call, &entry.totals);
                call.push(&entry.done.0[..]);
                match entry.attempt {
                    Some(attempt) => call.push(&[attempt.index, attempt.number]),
                    None => call.push(&[-1, 0]),
                }
            }
            answers.extend(parse::ownerships(self.write(call).await?)?);
        }
        Ok(answers)
    }

    pub(super) async fn touch_all(
        &self,
        stream: &StreamName,
        owner: &Owner,
        ids: &[EntryId],
    ) -> Result<Vec<Ownership>, LogError> {
        let mut answers = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let known = batch.iter().copied();
            let mut call = of_owner("touch", Name::Touch, stream, owner, known, vec![]);
            batch.iter().for_each(|id| call.push(id.to_string()));
            answers.extend(parse::ownerships(self.write(call).await?)?);
        }
        Ok(answers)
    }

    pub(super) async fn settle_all(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Settle],
    ) -> Result<Vec<Ownership>, LogError> {
        let mut answers = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH) {
            let ids = batch.iter().map(|entry| entry.id);
            let more = vec![keys::place(stream, Place::Retained)];
            let mut call = of_owner("settle", Name::Settle, stream, owner, ids, more);
            for entry in batch {
                call.push(entry.id.to_string());
                call.push(entry.count);
                push_totals(&mut call, &entry.totals);
                let (age_ms, entries_max) = entry.retain.map_or((-1, 0), |retain| {
                    let age_ms = i64::try_from(retain.age.as_millis()).unwrap_or(i64::MAX);
                    (age_ms, retain.entries_max)
                });
                call.push(age_ms);
                call.push(entries_max);
            }
            answers.extend(parse::ownerships(self.write(call).await?)?);
        }
        Ok(answers)
    }

    pub(super) async fn bury_one(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryRequest,
    ) -> Result<Ownership, LogError> {
        let BuryRequest { mark, letter, into } = request;
        let run = async |mode: &str, letter: &[u8]| {
            let more = vec![keys::place(stream, Place::Dead)];
            let mut call =
                of_owner("bury a message of", Name::Bury, stream, owner, [mark.id], more);
            push_mark(&mut call, &mark);
            self.write(call.arg(mode).arg(letter)).await
        };
        let Some(into) = into.filter(|into| into != stream) else {
            return parse::ownership(run("here", &letter).await?);
        };
        match run("probe", &[]).await? {
            Value::Int(2) => {}
            answer => return parse::ownership(answer),
        }
        let what = format!("{}:{}", mark.id, mark.index);
        self.write_letter(&into, stream, &what, letter).await?;
        parse::ownership(run("mark", &[]).await?)
    }

    pub(super) async fn bury_whole(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryEntryRequest,
    ) -> Result<Ownership, LogError> {
        let BuryEntryRequest { id, letter, into } = request;
        let run = async |mode: &str, letter: &[u8]| {
            let more = vec![keys::place(stream, Place::Dead)];
            let call = of_owner("bury an entry of", Name::BuryEntry, stream, owner, [id], more);
            self.write(call.arg(id.to_string()).arg(mode).arg(letter)).await
        };
        let Some(into) = into.filter(|into| into != stream) else {
            return parse::ownership(run("here", &letter).await?);
        };
        match run("probe", &[]).await? {
            Value::Int(2) => {}
            answer => return parse::ownership(answer),
        }
        self.write_letter(&into, stream, &id.to_string(), letter).await?;
        parse::ownership(run("mark", &[]).await?)
    }

    pub(super) async fn adopt_one(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Result<Ownership, LogError> {
        let call = of_owner("adopt an entry of", Name::Adopt, stream, owner, [id], vec![]);
        parse::ownership(self.write(call.arg(id.to_string()).arg(count)).await?)
    }

    pub(super) async fn postpone_one(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: PostponeRequest,
    ) -> Result<Ownership, LogError> {
        let PostponeRequest { mark, frame, due_ms } = request;
        let [times, frames, _] = keys::delay(stream);
        let more = vec![times, frames];
        let mut call =
            of_owner("postpone a message of", Name::Postpone, stream, owner, [mark.id], more);
        push_mark(&mut call, &mark);
        parse::ownership(self.write(call.arg(&frame[..]).arg(due_ms)).await?)
    }

    /// Where the other stream may sit in another slot: its letter first, known by where it came from.
    async fn write_letter(
        &self,
        into: &StreamName,
        from: &StreamName,
        what: &str,
        letter: Bytes,
    ) -> Result<(), LogError> {
        let keys = [keys::hw(into), keys::place(into, Place::Dead), keys::seen(into, from, what)];
        let call = Call::script("write a dead letter to", Name::Letter, &keys).on(into);
        self.write(call.arg(keys::kind(into)).arg(&letter[..]).arg(SEEN_S)).await?;
        Ok(())
    }
}

/// A script of an owner with what such scripts begin with.
fn of_owner(
    verb: &'static str,
    script: Name,
    stream: &StreamName,
    owner: &Owner,
    ids: impl IntoIterator<Item = EntryId> + Clone,
    more: Vec<String>,
) -> Call {
    let mut all =
        vec![keys::live(stream), keys::hw(stream), keys::prog(stream, owner), keys::fence(stream)];
    all.extend(more);
    let call = Call::script(verb, script, &all).on(stream);
    let call = match owner {
        Owner::Consumer(consumer) => call.arg("c").arg(&consumer.group).arg(&consumer.name),
        Owner::Fence { epoch, owner } => call.arg("f").arg(*epoch).arg(owner),
    };
    let lowest = ids.clone().into_iter().min().unwrap_or_default();
    let highest = ids.into_iter().max().unwrap_or_default();
    call.arg(lowest.to_string())
        .arg(highest.to_string())
        .arg(u8::from(stream.kind() == StreamKind::Topic))
        .arg(u8::from(stream.is_counted()))
}

fn push_totals(call: &mut Call, totals: &Totals) {
    let Totals { handled, expired, cancelled, dead, delayed } = *totals;
    call.push(&[handled, expired, cancelled, dead, delayed]);
}

fn push_mark(call: &mut Call, mark: &Mark) {
    call.push(mark.id.to_string());
    call.push(&[mark.index, mark.count]);
}
