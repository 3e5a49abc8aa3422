use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use actix_rt::{Arbiter, ArbiterHandle};
use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::oneshot, task::coop::unconstrained};

use crate::{
    host::{HostOptions, HostShared, HostTask},
    time::{Clock, Timer},
};

/// The threads of a system: arbiters that host actors, and one thread for timers and I/O.
pub(crate) struct Runtime {
    hosts: Vec<Arc<HostShared>>,
    /// The arbiters of the hosts, in the same order; none when everything runs on one thread.
    arbiters: Vec<ArbiterHandle>,
    io: Handle,
    next_host: AtomicUsize,
    threads: Mutex<Option<Threads>>,
}

/// Dropping a sender ends its thread.
struct Threads {
    stop: Vec<oneshot::Sender<()>>,
    ended: Vec<oneshot::Receiver<()>>,
}

impl Runtime {
    /// Starts threads of its own: `arbiters` for actors and one for timers and I/O.
    ///
    /// They belong to no runtime of the caller's, so that a system works the same under any, and
    /// outlives the caller's until it is shut down.
    ///
    /// With `spin`, a thread for actors looks for mail for a moment before it sleeps.
    pub(crate) fn start(arbiters: usize, spin: bool) -> io::Result<Self> {
        let mut threads = Threads { stop: Vec::new(), ended: Vec::new() };
        let io = threads.start_io()?;
        let timer = Timer::new(io.clone(), Clock::new());
        let hosts: Vec<_> = (0..arbiters)
            .map(|index| HostShared::new(timer.clone(), HostOptions { index, spin }))
            .collect();
        // The thread for timers ends after the actors that use them.
        let stop_io = threads.stop.pop();
        let arbiters = threads.start_arbiters(hosts.clone(), stop_io)?;
        Ok(Self {
            hosts,
            arbiters,
            io,
            next_host: AtomicUsize::new(0),
            threads: Mutex::new(Some(threads)),
        })
    }

    /// Runs everything on the current thread: one host beside the caller's own tasks. For tests
    /// whose paused clock must see all that waits.
    ///
    /// # Panics
    /// Panics outside a `LocalSet` of a current-thread runtime.
    #[cfg_attr(not(feature = "testing"), allow(dead_code))]
    pub(crate) fn on_current_thread() -> Self {
        let io = Handle::current();
        let timer = Timer::new(io.clone(), Clock::of_tokio());
        let host = HostShared::new(timer, HostOptions { index: 0, spin: false });
        tokio::task::spawn_local(unconstrained(HostTask::new(host.clone())));
        Self {
            hosts: vec![host],
            arbiters: Vec::new(),
            io,
            next_host: AtomicUsize::new(0),
            threads: Mutex::new(None),
        }
    }

    pub(crate) fn hosts(&self) -> &[Arc<HostShared>] {
        &self.hosts
    }

    /// The runtime for timers and I/O.
    pub(crate) fn io(&self) -> &Handle {
        &self.io
    }

    /// The host that the next actor goes to, in turn.
    pub(crate) fn next_host(&self) -> &Arc<HostShared> {
        let at = self.next_host.fetch_add(1, Ordering::Relaxed) % self.hosts.len();
        &self.hosts[at]
    }

    /// An arbiter for ordinary actix actors; none when everything runs on one thread.
    pub(crate) fn arbiter(&self) -> Option<&ArbiterHandle> {
        let at = self.next_host.load(Ordering::Relaxed) % self.hosts.len();
        self.arbiters.get(at)
    }

    /// Tells hosts and threads to end.
    pub(crate) fn begin_stop(&self) -> Ending {
        for host in &self.hosts {
            host.close();
        }
        let threads = self.threads.lock().take();
        // Dropping the senders is the signal.
        Ending(threads.map(|threads| threads.ended).unwrap_or_default())
    }
}

/// Threads that were told to end.
#[must_use = "the threads may run for a while"]
pub(crate) struct Ending(Vec<oneshot::Receiver<()>>);

impl Ending {
    /// Waits until all have ended.
    pub(crate) async fn ended(self) {
        for thread in self.0 {
            // An error means that the thread has ended without a word, which is an end too.
            drop(thread.await);
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for host in &self.hosts {
            host.close();
        }
    }
}

impl Threads {
    fn handles(&mut self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        self.stop.push(stop);
        self.ended.push(ended);
        (stopped, ending)
    }

    fn start_io(&mut self) -> io::Result<Handle> {
        let (stopped, ending) = self.handles();
        let (ready, started) = mpsc::channel();
        thread::Builder::new().name("callboard-io".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => {
                    report(&ready, Ok(runtime.handle().clone()));
                    drop(runtime.block_on(stopped));
                    drop(runtime);
                }
                Err(error) => report(&ready, Err(error)),
            }
            drop(ending);
        })?;
        started.recv().unwrap_or_else(|_| Err(ended_early()))
    }

    /// `then` is dropped when all have ended.
    fn start_arbiters(
        &mut self,
        hosts: Vec<Arc<HostShared>>,
        then: Option<oneshot::Sender<()>>,
    ) -> io::Result<Vec<ArbiterHandle>> {
        let (stopped, ending) = self.handles();
        let (ready, started) = mpsc::channel();
        thread::Builder::new().name("callboard-system".to_owned()).spawn(move || {
            // An actix system of our own: an arbiter belongs to one, and the caller may have none,
            // or one that ends before our actors have drained.
            actix_rt::System::new().block_on(async move {
                let arbiters: io::Result<Vec<Arbiter>> =
                    hosts.into_iter().map(start_arbiter).collect();
                match arbiters {
                    Ok(arbiters) => {
                        report(&ready, Ok(arbiters.iter().map(Arbiter::handle).collect()));
                        drop(stopped.await);
                        end_arbiters(arbiters);
                    }
                    Err(error) => report(&ready, Err(error)),
                }
            });
            drop(then);
            drop(ending);
        })?;
        started.recv().unwrap_or_else(|_| Err(ended_early()))
    }
}

fn start_arbiter(host: Arc<HostShared>) -> io::Result<Arbiter> {
    let arbiter = Arbiter::try_new()?;
    arbiter.spawn_fn(move || {
        // Without tokio's budget: the host bounds its own turns, and a budget shared by all its
        // actors would make one actor's reads stall another's.
        drop(actix_rt::spawn(unconstrained(HostTask::new(host))));
    });
    Ok(arbiter)
}

fn end_arbiters(arbiters: Vec<Arbiter>) {
    for arbiter in &arbiters {
        arbiter.stop();
    }
    for arbiter in arbiters {
        if arbiter.join().is_err() {
            tracing::error!("an arbiter's thread panicked");
        }
    }
}

/// Reports to the thread that waits in `recv`; it cannot have gone.
fn report<T>(ready: &mpsc::Sender<T>, outcome: T) {
    ready.send(outcome).ok();
}

fn ended_early() -> io::Error {
    io::Error::other("a thread of the system ended before it had started")
}
