//! Models of the letters of a host: no wake-up is lost, nothing that was posted stays unread.
//!
//! For how to start them see the models of the mailbox.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use loom::thread;

use super::letters::{Letters, TakesSlips};
use crate::sync::{Bell, check, with_mutant};

impl TakesSlips for Vec<u32> {
    fn take_slip(&mut self, slip: u32) {
        self.push(slip);
    }
}

struct Host {
    letters: Letters<Vec<u32>>,
    bell: Arc<Bell>,
}

/// Reads letters as a host does, until there were so many.
fn read(host: &Host, expected: usize) -> Vec<u32> {
    host.letters.set_task(&Waker::from(host.bell.clone()));
    let mut all = Vec::new();
    while all.len() < expected {
        host.letters.unpark();
        if host.letters.has_mail() {
            let slip = host.letters.fetch(|list| all.append(list));
            all.extend(slip);
        } else if host.letters.park() {
            host.bell.0.wait();
        }
    }
    all
}

fn posts_from_two_threads() {
    check(|| {
        let host =
            Arc::new(Host { letters: Letters::new(Vec::new()), bell: Arc::new(Bell::default()) });
        let posts = |from: u32, count: u32| {
            let host = host.clone();
            thread::spawn(move || {
                for n in 0..count {
                    assert!(host.letters.post(|list| {
                        list.push(from + n);
                        true
                    }));
                }
            })
        };
        let threads = [posts(10, 2), posts(20, 1)];
        let mut all = read(&host, 3);
        assert!(all.iter().position(|n| *n == 10) < all.iter().position(|n| *n == 11));
        all.sort_unstable();
        assert_eq!(all, [10, 11, 20]);
        threads.into_iter().for_each(|thread| thread.join().expect("it ends"));
    });
}

fn slips_beside_mail() {
    check(|| {
        let host =
            Arc::new(Host { letters: Letters::new(Vec::new()), bell: Arc::new(Bell::default()) });
        let slips = {
            let host = host.clone();
            thread::spawn(move || {
                host.letters.slip(1);
                host.letters.slip(2);
            })
        };
        let mail = {
            let host = host.clone();
            thread::spawn(move || {
                host.letters.post(|list| {
                    list.push(3);
                    true
                })
            })
        };
        let mut all = read(&host, 3);
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3]);
        slips.join().expect("it ends");
        assert!(mail.join().expect("it ends"));
    });
}

fn what_is_refused_wakes_nobody() {
    check(|| {
        let host =
            Arc::new(Host { letters: Letters::new(Vec::new()), bell: Arc::new(Bell::default()) });
        let woken = Arc::new(AtomicUsize::new(0));
        let poster = {
            let (host, woken) = (host.clone(), woken.clone());
            thread::spawn(move || {
                assert!(!host.letters.post(|_| false));
                woken.store(1, Ordering::Relaxed);
                assert!(host.letters.post(|list| {
                    list.push(1);
                    true
                }));
            })
        };
        assert_eq!(read(&host, 1), [1]);
        assert_eq!(woken.load(Ordering::Relaxed), 1);
        poster.join().expect("it ends");
    });
}

#[test]
fn loom_nothing_that_was_posted_stays_unread() {
    posts_from_two_threads();
}

#[test]
fn loom_no_slip_is_lost_beside_mail() {
    slips_beside_mail();
}

#[test]
fn loom_a_post_that_changes_nothing_is_no_mail() {
    what_is_refused_wakes_nobody();
}

#[test]
fn loom_faults_in_the_letters_are_found() {
    let faults: [(&str, fn()); 4] = [
        ("host: who brings mail does not wake", posts_from_two_threads),
        ("host: parked without a look", posts_from_two_threads),
        ("host: the list is emptied before the mail is taken back", posts_from_two_threads),
        ("host: mail covers a slip", slips_beside_mail),
    ];
    for (mutant, model) in faults {
        assert!(with_mutant(mutant, model).is_some(), "nobody noticed: {mutant}");
    }
}
