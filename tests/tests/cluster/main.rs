//! Systems in several processes over a real etcd and a real Redis, which the tests start themselves.

mod backlog;
mod by_hand;
mod calls;
mod campaign;
mod cutting;
mod deaths;
mod fencing;
mod full;
mod garbage;
mod idle;
mod kill;
mod leaving;
mod load;
mod long_outages;
mod lost_data;
mod outages;
mod resume;
mod shown;
mod support;
mod users;
mod versions;
