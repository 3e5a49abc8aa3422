use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use redis::Value;
use tokio::time::Instant;

use super::{
    RedisLog,
    blocked::{Read, Trouble},
    call::Call,
    error::{no_answer, strange},
    keys, parse,
    readers::{Seat, Seated},
    script::Name,
};
use crate::{
    Incarnation,
    log::{
        Append, AppendRequest, BuryEntryRequest, BuryRequest, Claim, ClaimRequest, Consumer,
        DedupId, Due, Entry, EntryId, Fence, LogError, MessageLog, Owner, Ownership, Place,
        PostponeRequest, Progress, ReadBatch, ReadGroupRequest, Recorded, ReplayRequest, Replayed,
        Settle, Start, StreamInfo, StreamName, check,
    },
};

/// Lua's numbers are exact up to here.
const SEQUENCE_MAX: u64 = 1 << 53;
/// For how long the lanes of a forgotten producer refuse its late frames, in seconds.
const TOMBSTONE_S: u64 = 24 * 60 * 60;
/// How often a read that is about to block is looked at again.
const UNBLOCK_EVERY: Duration = Duration::from_millis(2);
/// How many keys one step of a scan looks at.
const SCAN: usize = 1000;

#[async_trait]
impl MessageLog for RedisLog {
    async fn append(&self, request: AppendRequest) -> Result<Append, LogError> {
        check_append(&request)?;
        if request.is_without_lane() {
            // A third of the script's time, and replies are half of an ask's.
            let call = Call::new("append to", "XADD").on(&request.stream);
            let call = call.arg(keys::live(&request.stream)).arg("NOMKSTREAM").arg("*");
            let call = call.arg("n").arg(request.count).arg("b").arg(&request.frame[..]);
            return parse::stored(self.write(call).await?);
        }
        let call = match request.dedup.is_empty() {
            true => of_lane("append to", Name::Append, &request, []),
            false => {
                let stream = &request.stream;
                let more = [keys::once(stream), keys::prog_of_all(stream)];
                let mut call = of_lane("append to", Name::Append, &request, more);
                push_dedup(&mut call, &request);
                call
            }
        };
        parse::append(self.write(call).await?)?.ok_or_else(|| strange("an append"))
    }

    async fn open(&self, stream: &StreamName, keep: Option<Duration>) -> Result<(), LogError> {
        let keep_ms = keep.map(|keep| i64::try_from(keep.as_millis()).unwrap_or(i64::MAX).max(1));
        let call =
            Call::script("open", Name::Open, &[keys::live(stream), keys::hw(stream)]).on(stream);
        self.ask(call.arg(keys::kind(stream)).arg(keep_ms.unwrap_or(-1))).await.map(drop)
    }

    async fn ensure_group(
        &self,
        stream: &StreamName,
        group: &str,
        start: Start,
    ) -> Result<(), LogError> {
        check::grouped(stream)?;
        let call =
            Call::script("make a group of", Name::Group, &[keys::live(stream), keys::hw(stream)]);
        let start = match start {
            Start::Beginning => "0".to_owned(),
            Start::New => "$".to_owned(),
            Start::After(id) => id.to_string(),
        };
        self.ask(call.on(stream).arg(keys::kind(stream)).arg(group).arg(start)).await.map(drop)
    }

    async fn remove_group(&self, stream: &StreamName, group: &str) -> Result<(), LogError> {
        // What a counted stream's groups have done is recorded with the entries.
        let consumer = Consumer { group: group.to_owned(), name: String::new() };
        let recorded = if stream.is_counted() {
            format!("{}:none", stream.unit())
        } else {
            keys::prog_of_group(stream, &consumer)
        };
        let call =
            Call::script("remove a group of", Name::RemoveGroup, &[keys::live(stream), recorded]);
        self.ask(call.on(stream).arg(group)).await.map(drop)
    }

    async fn read_group(&self, request: ReadGroupRequest) -> Result<Vec<ReadBatch>, LogError> {
        check::limit(request.count)?;
        request.streams.iter().try_for_each(check::grouped)?;
        let Consumer { group, name } = &request.consumer;
        let head =
            bytes_of(["XREADGROUP", "GROUP", group, name, "COUNT"], &[request.count.to_string()]);
        let mut tail = vec![b"STREAMS".to_vec()];
        tail.extend(request.streams.iter().map(|stream| keys::live(stream).into_bytes()));
        tail.extend(request.streams.iter().map(|_| b">".to_vec()));
        let read = Read { streams: request.streams.iter().collect(), head, tail };
        let (seated, deadline) = self.enter(name, request.block);
        match self.shared.blocked.read(&seated.seat, &read, deadline).await {
            Ok(batches) => return Ok(batches),
            Err(Trouble::Log(error)) => return Err(error),
            Err(Trouble::NoGroup) => {}
        }
        for stream in &request.streams {
            self.ensure_group(stream, group, Start::Beginning).await?;
        }
        match self.shared.blocked.read(&seated.seat, &read, deadline).await {
            Ok(batches) => Ok(batches),
            Err(Trouble::Log(error)) => Err(error),
            // It was removed while this waited: there is nothing.
            Err(Trouble::NoGroup) => Ok(Vec::new()),
        }
    }

    async fn pending_of(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let call = Call::script("list what is pending of", Name::PendingOf, &[keys::live(stream)]);
        let call = call.on(stream).arg(&consumer.group).arg(&consumer.name).arg(limit);
        parse::entries(self.ask(call).await?)
    }

    async fn read_from(
        &self,
        streams: &[(StreamName, EntryId)],
        reader: &str,
        limit: usize,
        block: Duration,
    ) -> Result<Vec<ReadBatch>, LogError> {
        check::limit(limit)?;
        let head = bytes_of(["XREAD", "COUNT"], &[limit.to_string()]);
        let mut tail = vec![b"STREAMS".to_vec()];
        tail.extend(streams.iter().map(|(stream, _)| keys::live(stream).into_bytes()));
        tail.extend(streams.iter().map(|(_, after)| after.to_string().into_bytes()));
        let streams = streams.iter().map(|(stream, _)| stream).collect();
        let read = Read { streams, head, tail };
        let (seated, deadline) = self.enter(reader, block);
        match self.shared.blocked.read(&seated.seat, &read, deadline).await {
            Ok(batches) => Ok(batches),
            Err(Trouble::Log(error)) => Err(error),
            Err(Trouble::NoGroup) => Ok(Vec::new()),
        }
    }

    async fn unblock(&self, reader: &str) -> Result<(), LogError> {
        for seat in self.shared.readers.unblock(reader) {
            self.unblock_seat(&seat).await?;
        }
        Ok(())
    }

    async fn progress(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Progress],
    ) -> Result<Vec<Ownership>, LogError> {
        check::owner(stream, owner)?;
        self.progress_all(stream, owner, entries).await
    }

    async fn recorded(
        &self,
        stream: &StreamName,
        owner: &Owner,
        ids: &[EntryId],
    ) -> Result<Vec<Option<Recorded>>, LogError> {
        let keys = [keys::live(stream), keys::prog(stream, owner)];
        let mut call = Call::script("ask what is recorded of", Name::Recorded, &keys).on(stream);
        ids.iter().for_each(|id| call.push(id.to_string()));
        parse::all_recorded(self.ask(call).await?)
    }

    async fn touch(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
        ids: &[EntryId],
    ) -> Result<Vec<Ownership>, LogError> {
        self.touch_all(stream, &Owner::Consumer(consumer.clone()), ids).await
    }

    async fn settle(
        &self,
        stream: &StreamName,
        owner: &Owner,
        entries: &[Settle],
    ) -> Result<Vec<Ownership>, LogError> {
        check::owner(stream, owner)?;
        check::retain(entries)?;
        self.settle_all(stream, owner, entries).await
    }

    async fn bury(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryRequest,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::mark(&request.mark)?;
        check::frame(&request.letter)?;
        self.bury_one(stream, owner, request).await
    }

    async fn bury_entry(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: BuryEntryRequest,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::frame(&request.letter)?;
        self.bury_whole(stream, owner, request).await
    }

    async fn adopt(
        &self,
        stream: &StreamName,
        owner: &Owner,
        id: EntryId,
        count: u32,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::count(count)?;
        self.adopt_one(stream, owner, id, count).await
    }

    async fn postpone(
        &self,
        stream: &StreamName,
        owner: &Owner,
        request: PostponeRequest,
    ) -> Result<Ownership, LogError> {
        check::owner(stream, owner)?;
        check::mark(&request.mark)?;
        check::frame(&request.frame)?;
        check::postponable(stream)?;
        self.postpone_one(stream, owner, request).await
    }

    async fn append_delayed(
        &self,
        request: AppendRequest,
        id: &str,
        due_ms: u64,
    ) -> Result<Append, LogError> {
        check_append(&request)?;
        check::delayed(&request)?;
        let [times, frames, ids] = keys::delay(&request.stream);
        let more = [times, frames, ids, keys::once(&request.stream)];
        let call = of_lane("append a delayed message to", Name::AppendDelayed, &request, more);
        let mut call = call.arg(id).arg(due_ms);
        push_dedup(&mut call, &request);
        let answer = self.write(call).await?;
        parse::append(answer)?.ok_or_else(|| check::taken(id))
    }

    async fn cancel_delayed(&self, stream: &StreamName, id: &str) -> Result<bool, LogError> {
        let [times, frames, ids] = keys::delay(stream);
        let keys = [keys::hw(stream), times, frames, ids];
        let call =
            Call::script("cancel a delayed message of", Name::CancelDelayed, &keys).on(stream);
        let answer = self.write(call.arg(u8::from(stream.is_counted())).arg(id)).await?;
        Ok(answer == Value::Int(1))
    }

    async fn due(&self, stream: &StreamName, limit: usize) -> Result<Due, LogError> {
        let [times, frames, ids] = keys::delay(stream);
        let keys = [keys::live(stream), keys::hw(stream), times, frames, ids];
        let call = Call::script("release what is due of", Name::Due, &keys).on(stream);
        let call = call.arg(u8::from(stream.is_counted())).arg(limit);
        parse::due(self.write(call).await?)
    }

    async fn claim(&self, stream: &StreamName, request: ClaimRequest) -> Result<Claim, LogError> {
        let ClaimRequest { consumer, from, idle, limit } = request;
        let keys = [keys::live(stream), keys::prog_of_group(stream, &consumer)];
        let grace_ms = millis(self.shared.options.claim_grace);
        let mut call = Call::script("claim entries of", Name::Claim, &keys)
            .on(stream)
            .arg(&consumer.group)
            .arg(&consumer.name)
            .arg(millis(idle))
            .arg(limit)
            .arg(grace_ms);
        match from {
            // To the script, no names are all names.
            Some(names) if names.is_empty() => call.push(&consumer.name),
            Some(names) => call.push(names),
            None => {}
        }
        parse::claim(self.ask(call).await?)
    }

    async fn remove_consumer(
        &self,
        stream: &StreamName,
        consumer: &Consumer,
    ) -> Result<bool, LogError> {
        let keys = [keys::live(stream)];
        let call = Call::script("remove a consumer of", Name::RemoveConsumer, &keys).on(stream);
        let answer = self.ask(call.arg(&consumer.group).arg(&consumer.name)).await?;
        Ok(answer == Value::Int(1))
    }

    async fn forget_producer(
        &self,
        stream: &StreamName,
        producer: Incarnation,
    ) -> Result<(), LogError> {
        let keys = [keys::hw(stream), keys::gone(stream)];
        let call = Call::script("forget a producer of", Name::ForgetProducer, &keys).on(stream);
        self.ask(call.arg(format!("{producer}/")).arg(TOMBSTONE_S)).await.map(drop)
    }

    async fn fence(&self, stream: &StreamName, epoch: u64, owner: &str) -> Result<Fence, LogError> {
        let keys = [keys::hw(stream), keys::fence(stream)];
        let call = Call::script("raise the fence of", Name::Fence, &keys).on(stream);
        parse::fence(self.write(call.arg(keys::kind(stream)).arg(epoch).arg(owner)).await?)
    }

    async fn range(
        &self,
        stream: &StreamName,
        place: Place,
        from: EntryId,
        to: EntryId,
        limit: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let call = Call::new("list", "XRANGE").on(stream).arg(keys::place(stream, place));
        let call = call.arg(from.to_string()).arg(to.to_string()).arg("COUNT").arg(limit);
        match self.ask(call).await? {
            Value::Nil => Ok(Vec::new()),
            answer => parse::entries(answer),
        }
    }

    async fn trim(
        &self,
        stream: &StreamName,
        place: Place,
        before: EntryId,
    ) -> Result<u64, LogError> {
        check::trimmable(stream, place)?;
        let call = Call::new("trim", "XTRIM").on(stream).arg(keys::place(stream, place));
        parse::number(self.ask(call.arg("MINID").arg("=").arg(before.to_string())).await?)
    }

    async fn replay(
        &self,
        stream: &StreamName,
        request: ReplayRequest,
    ) -> Result<Replayed, LogError> {
        check::replay(&request)?;
        match request.into.clone().filter(|into| into != stream) {
            None => self.replay_here(stream, request).await,
            Some(into) => self.replay_into(stream, &into, request).await,
        }
    }

    async fn drop_dead(&self, stream: &StreamName, ids: &[EntryId]) -> Result<u64, LogError> {
        let mut dropped = 0;
        for batch in ids.chunks(SCAN) {
            let mut call = Call::new("drop dead letters of", "XDEL").on(stream);
            call.push(keys::place(stream, Place::Dead));
            batch.iter().for_each(|id| call.push(id.to_string()));
            dropped += parse::number(self.ask(call).await?)?;
        }
        Ok(dropped)
    }

    async fn info(&self, stream: &StreamName) -> Result<Option<StreamInfo>, LogError> {
        let keys = [
            keys::live(stream),
            keys::hw(stream),
            keys::prog_of_all(stream),
            keys::place(stream, Place::Dead),
            keys::place(stream, Place::Retained),
            keys::fence(stream),
            keys::delay(stream)[0].clone(),
        ];
        let call = Call::script("describe", Name::Info, &keys).on(stream);
        let is_counted = stream.is_counted();
        parse::info(self.ask(call.arg(u8::from(is_counted))).await?, is_counted)
    }

    async fn streams(&self, prefix: &str) -> Result<Vec<StreamName>, LogError> {
        let mut streams = BTreeMap::new();
        let pattern = format!("{}*{}", escaped(prefix), keys::HW);
        let mut cursor = "0".to_owned();
        loop {
            let call = Call::new("list streams", "SCAN").arg(&cursor);
            let call =
                call.arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN).arg("TYPE").arg("hash");
            let [next, found] = parse::fixed(self.ask(call).await?, "a scan")?;
            for key in parse::array(found, "a scan")? {
                let key = parse::text(key, "a key")?;
                let kind = Call::new("ask for a kind", "HGET").arg(&key).arg("kind");
                // A key that went away since, or that is no stream's, has none.
                let Value::BulkString(kind) = self.ask(kind).await? else { continue };
                let kind = std::str::from_utf8(&kind).ok().and_then(keys::kind_of);
                if let (Some(kind), Some(unit)) = (kind, key.strip_suffix(keys::HW)) {
                    streams.insert((unit.to_owned(), kind), StreamName::new(kind, unit));
                }
            }
            cursor = parse::text(next, "a scan")?;
            if cursor == "0" {
                return Ok(streams.into_values().collect());
            }
        }
    }

    async fn delete(&self, stream: &StreamName) -> Result<bool, LogError> {
        let mut keys = vec![keys::live(stream), keys::hw(stream), keys::prog_of_all(stream)];
        keys.extend([Place::Dead, Place::Retained].map(|place| keys::place(stream, place)));
        keys.extend(keys::delay(stream));
        keys.extend([keys::fence(stream), keys::gone(stream), keys::once(stream)]);
        let answer = self.ask(Call::script("delete", Name::Delete, &keys).on(stream)).await?;
        Ok(answer == Value::Int(1))
    }

    async fn now_ms(&self) -> Result<u64, LogError> {
        parse::time_ms(self.ask(Call::new("ask for the time", "TIME")).await?)
    }
}

impl RedisLog {
    /// A reader's place, and when its read ends.
    fn enter<'a>(&'a self, reader: &'a str, block: Duration) -> (Seated<'a>, Option<Instant>) {
        (self.shared.readers.enter(reader), Instant::now().checked_add(block))
    }

    /// Ends one blocked read. It may not have reached the server yet: then there is nothing to unblock,
    /// so it is asked until the read has ended.
    async fn unblock_seat(&self, seat: &Seat) -> Result<(), LogError> {
        let limit = self.shared.options.call_timeout;
        let deadline = Instant::now() + limit;
        while !seat.has_left() {
            let call = Call::new("unblock a read", "CLIENT").arg("UNBLOCK").arg(seat.client());
            if seat.client() != 0 && self.ask(call).await? == Value::Int(1) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(no_answer("unblock a read", limit));
            }
            tokio::time::sleep(UNBLOCK_EVERY).await;
        }
        Ok(())
    }
}

fn check_append(request: &AppendRequest) -> Result<(), LogError> {
    check::append(request)?;
    if request.first.saturating_add(u64::from(request.count)) > SEQUENCE_MAX {
        return Err(LogError::Refused(format!("a sequence is above {SEQUENCE_MAX}")));
    }
    Ok(())
}

fn of_lane<const N: usize>(
    verb: &'static str,
    script: Name,
    request: &AppendRequest,
    more: [String; N],
) -> Call {
    let AppendRequest { stream, producer, lane, first, count, frame, must_exist, .. } = request;
    let mut all = vec![keys::live(stream), keys::hw(stream), keys::gone(stream)];
    all.extend(more);
    let bound = request.backlog_max.map_or(-1, |bound| i64::try_from(bound).unwrap_or(i64::MAX));
    Call::script(verb, script, &all)
        .on(stream)
        .arg(keys::kind(stream))
        .arg(u8::from(stream.is_counted()))
        .arg(format!("{producer}/{lane}"))
        .arg(*first)
        .arg(*count)
        .arg(u8::from(*must_exist))
        .arg(bound)
        .arg(&frame[..])
}

fn push_dedup(call: &mut Call, request: &AppendRequest) {
    for DedupId { index, id, window } in &request.dedup {
        call.push(*index);
        call.push(id);
        call.push(millis(*window));
    }
}

fn bytes_of<const N: usize>(head: [&str; N], more: &[String]) -> Vec<Vec<u8>> {
    let head = head.into_iter().map(|part| part.as_bytes().to_vec());
    head.chain(more.iter().map(|part| part.as_bytes().to_vec())).collect()
}

/// A prefix as a pattern of its own letters.
fn escaped(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len());
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
