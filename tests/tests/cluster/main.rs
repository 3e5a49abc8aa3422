//! Systems in several processes over a real etcd and a real Redis, which the tests start themselves.

mod by_hand;
mod calls;
mod campaign;
mod deaths;
mod fencing;
mod garbage;
mod idle;
mod kill;
mod leaving;
mod load;
mod long_outages;
mod outages;
mod shown;
mod support;
mod users;
