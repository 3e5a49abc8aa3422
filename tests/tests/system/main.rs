//! Systems as a whole, through the public interface.

mod bad_input;
mod behaviour;
mod capacity;
mod carried;
mod contract;
mod flavours;
mod kit;
mod leaving;
mod load;
mod outage;
mod recovery;
mod support;
