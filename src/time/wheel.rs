use std::task::Waker;

/// Levels of the wheel; each is eight times as coarse as the one before.
const LEVELS: usize = 6;
const SLOTS: u64 = 64;
const NONE: u32 = u32::MAX;

/// Names an entry of a wheel; after it was fired or removed it names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

/// Wakers in order of the time they are due, in ticks.
///
/// The further away, the coarser: an entry is fired at the start of its slot, so **too early** by up
/// to an eighth of the time it had to wait, never too late. Whoever is woken looks at the clock and
/// comes back for the rest. Insert and remove are constant in time.
///
/// Source: G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
#[derive(Debug)]
pub(super) struct Wheel {
    heads: [[u32; SLOTS as usize]; LEVELS],
    occupied: [u64; LEVELS],
    entries: Vec<Entry>,
    free: u32,
    /// Everything up to this tick was fired.
    fired: u64,
}

#[derive(Debug)]
struct Entry {
    /// Nothing in a free entry.
    waker: Option<Waker>,
    generation: u32,
    previous: u32,
    /// The next in the slot, or in the list of free entries.
    next: u32,
    level: u8,
    slot: u8,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self {
            heads: [[NONE; SLOTS as usize]; LEVELS],
            occupied: [0; LEVELS],
            entries: Vec::new(),
            free: NONE,
            fired: 0,
        }
    }

    /// Adds a waker that is due at `due`. Says at which tick it will be fired at the latest.
    pub(super) fn insert(&mut self, now: u64, due: u64, waker: Waker) -> (Key, u64) {
        let due = due.max(now + 1).max(self.fired + 1);
        let (level, at) = place(now.max(self.fired), due);
        let slot = (at % SLOTS) as usize;
        let next = self.heads[level][slot];
        let entry = Entry {
            waker: Some(waker),
            generation: 0,
            previous: NONE,
            next,
            level: level as u8,
            slot: slot as u8,
        };
        let key = self.put(entry);
        if next != NONE {
            self.entries[next as usize].previous = key.index;
        }
        self.heads[level][slot] = key.index;
        self.occupied[level] |= 1 << slot;
        (key, at << (3 * level))
    }

    fn put(&mut self, mut entry: Entry) -> Key {
        if self.free == NONE {
            let index = u32::try_from(self.entries.len()).expect("fewer than 2^32 timers");
            self.entries.push(entry);
            return Key { index, generation: 0 };
        }
        let index = self.free;
        let freed = &mut self.entries[index as usize];
        self.free = freed.next;
        entry.generation = freed.generation;
        let key = Key { index, generation: entry.generation };
        *freed = entry;
        key
    }

    /// Whether it was neither fired nor removed.
    pub(super) fn is_live(&self, key: Key) -> bool {
        self.entries.get(key.index as usize).is_some_and(|entry| entry.generation == key.generation)
    }

    /// Takes an entry out. The waker is to be dropped outside of any lock.
    pub(super) fn remove(&mut self, key: Key) -> Option<Waker> {
        if !self.is_live(key) {
            return None;
        }
        let Entry { previous, next, level, slot, .. } = self.entries[key.index as usize];
        if previous == NONE {
            self.heads[level as usize][slot as usize] = next;
            if next == NONE {
                self.occupied[level as usize] &= !(1 << slot);
            }
        } else {
            self.entries[previous as usize].next = next;
        }
        if next != NONE {
            self.entries[next as usize].previous = previous;
        }
        self.release(key.index)
    }

    fn release(&mut self, index: u32) -> Option<Waker> {
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = std::mem::replace(&mut self.free, index);
        entry.waker.take()
    }

    /// Takes out what is due at `now`.
    pub(super) fn fire(&mut self, now: u64, into: &mut Vec<Waker>) {
        for level in 0..LEVELS {
            let (from, to) = (self.fired >> (3 * level), now >> (3 * level));
            for at in from + 1..=to.min(from + SLOTS) {
                let slot = (at % SLOTS) as usize;
                let mut index = std::mem::replace(&mut self.heads[level][slot], NONE);
                self.occupied[level] &= !(1 << slot);
                while index != NONE {
                    let next = self.entries[index as usize].next;
                    into.extend(self.release(index));
                    index = next;
                }
            }
        }
        self.fired = self.fired.max(now);
    }

    /// The first tick at which something is due.
    pub(super) fn next(&self) -> Option<u64> {
        let first = |level: usize| {
            let from = (self.fired >> (3 * level)) + 1;
            let turned = self.occupied[level].rotate_right((from % SLOTS) as u32);
            (turned != 0).then(|| (from + u64::from(turned.trailing_zeros())) << (3 * level))
        };
        (0..LEVELS).filter_map(first).min()
    }

    /// Takes everything out.
    pub(super) fn clear(&mut self) -> Vec<Waker> {
        let wakers = self.entries.iter_mut().filter_map(|entry| {
            entry.generation = entry.generation.wrapping_add(1);
            entry.waker.take()
        });
        let wakers = wakers.collect();
        let fired = self.fired;
        *self = Self { fired, ..Self::new() };
        wakers
    }
}

/// The finest level that reaches as far as `due`, and the number of its slot. What is further away
/// than the wheel reaches is brought to its end.
fn place(now: u64, due: u64) -> (usize, u64) {
    for level in 0..LEVELS {
        let (from, at) = (now >> (3 * level), due >> (3 * level));
        if at - from < SLOTS {
            return (level, at);
        }
    }
    (LEVELS - 1, (now >> (3 * (LEVELS - 1))) + SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fire(wheel: &mut Wheel, now: u64) -> usize {
        let mut wakers = Vec::new();
        wheel.fire(now, &mut wakers);
        wakers.len()
    }

    #[test]
    fn nothing_is_fired_late_and_early_by_an_eighth_at_most() {
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..2000 {
            let mut wheel = Wheel::new();
            let start = random.u64(..1 << 40);
            fire(&mut wheel, start);
            let bits = random.u32(1..20);
            let wait = random.u64(1..1 << bits);
            let (key, fires) = wheel.insert(start, start + wait, Waker::noop().clone());
            assert!(fires <= start + wait, "late: {fires} of {}", start + wait);
            assert!(fires >= start + wait - wait / 7, "early: {fires} of {}", start + wait);
            assert_eq!(wheel.next(), Some(fires));
            assert_eq!(fire(&mut wheel, fires - 1), 0);
            assert!(wheel.is_live(key));
            assert_eq!(fire(&mut wheel, fires), 1);
            assert!(!wheel.is_live(key));
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn what_is_removed_is_not_fired_and_its_place_is_used_again() {
        let woken = Arc::new(Woken::default());
        let mut wheel = Wheel::new();
        let keys: Vec<_> =
            (0..100).map(|n| wheel.insert(0, 5 + n % 7, Waker::from(woken.clone())).0).collect();
        for key in keys.iter().step_by(2) {
            assert!(wheel.remove(*key).is_some());
            assert!(wheel.remove(*key).is_none());
        }
        for _ in 0..50 {
            wheel.insert(0, 300, Waker::noop().clone());
        }
        assert_eq!(wheel.entries.len(), 100);
        assert_eq!(fire(&mut wheel, 20), 50);
        let mut left = Vec::new();
        wheel.fire(400, &mut left);
        assert_eq!(left.len(), 50);
    }

    #[test]
    fn a_wheel_that_was_not_turned_for_long_fires_all() {
        let mut wheel = Wheel::new();
        for wait in [1, 60, 500, 4000, 32_000, 2_000_000] {
            wheel.insert(0, wait, Waker::noop().clone());
        }
        assert_eq!(fire(&mut wheel, 1 << 40), 6);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn what_is_further_away_than_the_wheel_reaches_comes_to_its_end() {
        let mut wheel = Wheel::new();
        let (_, fires) = wheel.insert(0, 1 << 50, Waker::noop().clone());
        assert!(fires < 1 << 50);
        assert_eq!(wheel.next(), Some(fires));
    }
}
