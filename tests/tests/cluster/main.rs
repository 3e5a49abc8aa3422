//! Systems in several processes over a real etcd and a real Redis, which the tests start themselves.

mod calls;
mod kill;
mod outages;
mod support;
