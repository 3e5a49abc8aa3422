//! A service whose handlers take their time, and callers that never stop calling it.

use std::{cell::Cell, rc::Rc};

use callboard::{Name, prelude::*};
use tokio::{task::JoinHandle, time::sleep};

use crate::support::{Sum, until};

/// Takes its time.
#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
pub struct Work(pub u64);

#[derive(Message, Serialize, Deserialize, Debug)]
pub struct Plus(pub u64);

#[derive(Actor)]
#[actor(mailbox(capacity = 64))]
pub struct Worker {
    sum: Sum,
}

#[handlers]
impl Worker {
    #[handle]
    async fn work(&mut self, Work(n): Work) -> u64 {
        sleep(Duration::from_millis(40)).await;
        n
    }

    #[handle]
    async fn plus(&mut self, Plus(n): Plus) {
        sleep(Duration::from_millis(2)).await;
        self.sum.add(n);
    }
}

pub fn workers(sum: &Sum) -> impl Fn() -> Worker + Clone + Send + Sync + 'static {
    let sum = sum.clone();
    move || Worker { sum: sum.clone() }
}

/// Callers that ask one question after the other until they are told to end.
pub struct Load {
    ends: Rc<Cell<bool>>,
    callers: Vec<JoinHandle<u64>>,
}

impl Load {
    pub fn of(service: &ServiceRef<Worker>, callers: u64) -> Self {
        let ends = Rc::new(Cell::new(false));
        let callers = (0..callers).map(|caller| {
            let (service, ends) = (service.clone(), ends.clone());
            tokio::task::spawn_local(async move {
                let mut answered = 0;
                while !ends.get() {
                    let asked = service.ask(Work(caller)).timeout(Duration::from_secs(10)).await;
                    assert_eq!(asked.expect("no call fails"), caller);
                    answered += 1;
                    sleep(Duration::from_millis(caller % 7)).await;
                }
                answered
            })
        });
        Self { callers: callers.collect(), ends }
    }

    pub async fn end(self) -> u64 {
        self.ends.set(true);
        let mut answered = 0;
        for caller in self.callers {
            answered += caller.await.expect("every call was answered");
        }
        answered
    }
}

pub async fn visible(service: &ServiceRef<Worker>, instances: usize, system: &System) {
    let name = Name::new(service.name()).expect("a name");
    until("all are visible", async || {
        system.directory().resolve(&name).instances.len() == instances
    })
    .await;
}
