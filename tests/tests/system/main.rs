//! Systems as a whole, through the public interface.

mod bad_input;
mod behaviour;
mod blocking;
mod capacity;
mod carried;
mod contract;
mod crowding;
mod cycles;
mod fairness;
mod flavours;
mod inspecting;
mod kit;
mod known;
mod leaving;
mod load;
mod local_topics;
mod outage;
mod panics;
mod pools;
mod recovery;
mod slow_handlers;
mod support;
mod tasks;
mod threads;
mod watching;
mod weak;
