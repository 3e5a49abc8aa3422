//! Systems in several processes over a real etcd and a real Redis, which the tests start themselves.

mod by_hand;
mod calls;
mod garbage;
mod kill;
mod outages;
mod shown;
mod support;
mod users;
