use std::{
    future::Future,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// A thread with a current-thread runtime: how actors that are tokio tasks live on one thread.
#[derive(Debug)]
pub(super) struct RuntimeThread {
    pub(super) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RuntimeThread {
    pub(super) fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        // The sender only ever goes away.
        let thread = thread::spawn(move || drop(runtime.block_on(stopped)));
        Self { handle, stop: Some(stop), thread: Some(thread) }
    }

    /// Runs a future on the thread and waits for it.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let (done, outcome) = mpsc::channel();
        self.handle.spawn(async move { done.send(future.await).expect("the caller waits") });
        outcome.recv().expect("the task comes to its end")
    }
}

impl Drop for RuntimeThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        let thread = self.thread.take().expect("the thread is joined once");
        assert!(thread.join().is_ok(), "the runtime's thread panicked");
    }
}
