use std::{
    cell::Cell,
    future::pending,
    rc::Rc,
    task::{Context, Waker},
};

use super::*;

fn poll(tasks: &Tasks) -> bool {
    tasks.poll(&mut Context::from_waker(Waker::noop())).is_ok()
}

#[test]
fn a_task_spawned_by_a_task_runs_in_the_same_poll() {
    let (tasks, has_run) = (Rc::new(Tasks::default()), Rc::new(Cell::new(false)));
    let (inner, flag) = (tasks.clone(), has_run.clone());
    tasks.spawn(async move {
        inner.spawn(async move { flag.set(true) });
    });
    assert!(poll(&tasks));
    assert!(has_run.get());
}

#[test]
fn a_task_spawned_by_a_drop_is_dropped_too() {
    struct Respawns(Rc<Tasks>, Rc<Cell<u8>>);
    impl Drop for Respawns {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            if self.1.get() < 3 {
                let next = Respawns(self.0.clone(), self.1.clone());
                self.0.spawn(async move {
                    let _next = next;
                    pending().await
                });
            }
        }
    }
    let (tasks, drops) = (Rc::new(Tasks::default()), Rc::new(Cell::new(0)));
    let first = Respawns(tasks.clone(), drops.clone());
    tasks.spawn(async move {
        let _first = first;
        pending().await
    });
    assert!(poll(&tasks));
    tasks.clear();
    assert_eq!(drops.get(), 3);
}

#[test]
fn a_panic_is_told_and_the_others_stay_until_they_are_cleared() {
    let tasks = Tasks::default();
    let others = [tasks.spawn(pending()), tasks.spawn(pending())];
    let failed = tasks.spawn(async { panic!("as told") });
    assert!(!poll(&tasks));
    assert!(failed.is_finished());
    assert!(!others.iter().any(TaskHandle::is_finished));
    tasks.clear();
    assert!(others.iter().all(TaskHandle::is_finished));
}

#[test]
fn an_aborted_task_is_not_polled_again() {
    let tasks = Tasks::default();
    let aborted = tasks.spawn(async { panic!("it was polled") });
    aborted.abort();
    assert!(poll(&tasks));
    assert!(aborted.is_finished());
}
