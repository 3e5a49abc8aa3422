//! Servers that the tests start for themselves: each on free ports, with a folder of its own, and
//! gone when it is dropped.

mod etcd;
mod process;
mod proxy;
mod redis;
mod tool;

pub use etcd::{EtcdServer, EtcdSetup};
pub use process::{Launch, ServerProcess, Trouble, free_port, wait_until};
pub use proxy::{BadNetwork, Befallen};
pub use redis::{Persistence, RedisServer, RedisSetup};
