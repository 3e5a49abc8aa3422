//! The bus over the embedded log, on the paused clock.

mod faulty;
mod support;

mod asking;
mod faults;
mod inbox;
mod outages;
mod receiving;
mod recovery;
mod sending;
mod stopping;
mod sweeping;
mod threads;
mod topics;
