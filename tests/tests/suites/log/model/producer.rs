use callboard::{
    Incarnation,
    log::{Append, AppendRequest, LogError},
};

use super::world::{Checked, Fate, World, same, sealed, told};

/// A sender with what it does not know to be stored.
pub(super) struct Producer {
    incarnation: Incarnation,
    lane: u32,
    next: u64,
    /// The first frame of all, for a producer that wakes up after it was forgotten.
    first: Option<Frame>,
    unacknowledged: Vec<Frame>,
}

#[derive(Clone)]
struct Frame {
    first: u64,
    messages: Vec<u64>,
}

impl World {
    pub(super) fn producer(&mut self) -> Producer {
        let incarnation = Incarnation::from_u128(self.rng.u128(..));
        let lane = self.rng.u32(1..4);
        Producer { incarnation, lane, next: 1, first: None, unacknowledged: Vec::new() }
    }

    /// Sends a new frame behind those whose outcome is unknown, or these again, in order.
    pub(super) async fn produce(&mut self) -> Checked {
        let at = self.rng.usize(..self.producers.len());
        let unknown = self.producers[at].unacknowledged.len();
        if unknown == 0 && self.meddler.is_some() && self.rng.u32(..12) == 0 {
            return self.first_of_two_without_memory(at).await;
        }
        if unknown == 0 || unknown < 2 && self.rng.bool() {
            let frame = self.frame(at);
            return self.send(at, frame).await;
        }
        for frame in self.producers[at].unacknowledged.clone() {
            self.send(at, frame).await?;
        }
        Ok(())
    }

    /// The next frame of a producer.
    fn frame(&mut self, at: usize) -> Frame {
        let count = self.rng.u64(1..=5);
        let messages = (self.messages..self.messages + count).collect();
        self.messages += count;
        let producer = &mut self.producers[at];
        let frame = Frame { first: producer.next, messages };
        producer.next += count;
        producer.first.get_or_insert_with(|| frame.clone());
        producer.unacknowledged.push(frame.clone());
        frame
    }

    /// Two on their way, of which the first finds no memory and the second does.
    async fn first_of_two_without_memory(&mut self, at: usize) -> Checked {
        let (first, second) = (self.frame(at), self.frame(at));
        self.fill(true).await;
        self.send(at, first).await?;
        self.fill(false).await;
        self.met("the first of two without memory");
        self.send(at, second).await
    }

    async fn send(&mut self, at: usize, frame: Frame) -> Checked {
        let fate = self.fate();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let Producer { incarnation, lane, .. } = self.producers[at];
        let request = AppendRequest {
            stream: self.stream.clone(),
            producer: incarnation,
            lane,
            first: frame.first,
            count: u32::try_from(frame.messages.len()).unwrap(),
            frame: sealed(&frame.messages),
            must_exist: false,
            backlog_max: None,
            dedup: Vec::new(),
        };
        let count = u64::from(request.count);
        let expected = self.reference.expect_append((incarnation, lane), frame.first, count);
        let answer = match self.log.append(request).await {
            Err(LogError::OutOfMemory) => {
                self.met("an append without memory");
                return Ok(());
            }
            answer => answer.map_err(told)?,
        };
        same("memory for an append", self.is_full, false)?;
        self.met(match answer {
            Append::Stored(_) => "an append",
            Append::Duplicate { .. } => "a duplicate",
            _ => "a gap",
        });
        match (answer, expected) {
            (Append::Stored(id), None) => {
                let lane = (incarnation, lane);
                self.reference.stored(id, lane, frame.first, &frame.messages);
            }
            (answer, expected) => same("an append", Some(answer), expected)?,
        }
        self.remember();
        let is_stored = matches!(answer, Append::Stored(_) | Append::Duplicate { .. });
        if fate == Fate::Arrives && is_stored {
            let unknown = &mut self.producers[at].unacknowledged;
            unknown.retain(|other| other.first != frame.first);
            self.acknowledged.extend(frame.messages);
        }
        Ok(())
    }

    /// Forgets a producer as gone, which then wakes up and sends its first frame again.
    pub(super) async fn forget(&mut self) -> Checked {
        let at = self.rng.usize(..self.producers.len());
        let incarnation = self.producers[at].incarnation;
        self.log.forget_producer(&self.stream, incarnation).await.map_err(told)?;
        self.reference.forget(incarnation);
        self.remember();
        if let Some(frame) = self.producers[at].first.clone() {
            self.send(at, frame).await?;
        }
        self.producers[at] = self.producer();
        Ok(())
    }
}
