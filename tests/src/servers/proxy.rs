use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// How long a delay is at most.
const DELAY_MAX: Duration = Duration::from_millis(400);

/// A bad network before a server: each connection carries a random number of bytes in each direction,
/// then it is cut amid a write, goes silent without being closed, or is held up for a while.
#[derive(Debug)]
pub struct BadNetwork {
    address: SocketAddr,
    faults: Arc<Faults>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Faults {
    rng: Mutex<fastrand::Rng>,
    /// Bytes between two faults, on average.
    every_bytes: u64,
    healed: AtomicBool,
    cuts: AtomicU64,
    stalls: AtomicU64,
    delays: AtomicU64,
}

/// What befell the connections so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Befallen {
    /// Closed amid a write.
    pub cuts: u64,
    /// One direction silent for ever, and not closed.
    pub stalls: u64,
    /// Held up for a while.
    pub delays: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Cut,
    Stall,
    Delay(Duration),
}

impl BadNetwork {
    /// One before this port of 127.0.0.1.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn before(port: u16, seed: u64, every_bytes: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let faults = Arc::new(Faults {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            every_bytes,
            healed: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            stalls: AtomicU64::new(0),
            delays: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, port, faults.clone()));
        Self { address, faults, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing happens any more to connections that are there and work, or are made.
    pub fn heal(&self) {
        self.faults.healed.store(true, SeqCst);
    }

    /// What happened so far.
    pub fn befallen(&self) -> Befallen {
        let Faults { cuts, stalls, delays, .. } = &*self.faults;
        let [cuts, stalls, delays] = [cuts, stalls, delays].map(|count| count.load(SeqCst));
        Befallen { cuts, stalls, delays }
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, faults: Arc<Faults>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let faults = faults.clone();
        connections.spawn(async move {
            // A server that is away refuses: so does this.
            let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            // The first end ends both.
            tokio::select! {
                () = carry(near_in, far_out, &faults) => {}
                () = carry(far_in, near_out, &faults) => {}
            }
        });
    }
}

/// Carries bytes until the connection ends.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, faults: &Faults) {
    let mut buffer = vec![0; 16 * 1024];
    let (mut left, mut fault) = faults.next();
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let mut rest = &buffer[..read];
        while rest.len() as u64 > left && !faults.healed.load(SeqCst) {
            let (now, later) = rest.split_at(usize::try_from(left).expect("less than was read"));
            if to.write_all(now).await.is_err() {
                return;
            }
            rest = later;
            match fault {
                Fault::Cut => {
                    faults.cuts.fetch_add(1, SeqCst);
                    return;
                }
                Fault::Stall => {
                    faults.stalls.fetch_add(1, SeqCst);
                    return std::future::pending().await;
                }
                Fault::Delay(span) => {
                    faults.delays.fetch_add(1, SeqCst);
                    tokio::time::sleep(span).await;
                }
            }
            (left, fault) = faults.next();
        }
        left = left.saturating_sub(rest.len() as u64);
        if to.write_all(rest).await.is_err() {
            return;
        }
    }
}

impl Faults {
    /// What comes next, and after how many bytes.
    fn next(&self) -> (u64, Fault) {
        let mut rng = self.rng.lock();
        let bytes = rng.u64(1..self.every_bytes * 2);
        let fault = match rng.u32(..10) {
            0..=5 => Fault::Cut,
            6 => Fault::Stall,
            _ => Fault::Delay(DELAY_MAX.mul_f64(rng.f64())),
        };
        (bytes, fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_cuts_after_some_bytes_and_lets_all_through_when_it_is_healed() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        let network = BadNetwork::before(port, 7, 1000).await;
        let send = async |bytes: usize| {
            let mut stream = TcpStream::connect(network.address()).await.unwrap();
            let (mut from, mut to) = stream.split();
            let data = vec![1; bytes];
            let mut back = vec![0; bytes];
            let echoed =
                async { tokio::try_join!(to.write_all(&data), from.read_exact(&mut back)).is_ok() };
            tokio::time::timeout(Duration::from_secs(2), echoed).await.unwrap_or(false)
        };
        for _ in 0..20 {
            send(20_000).await;
        }
        let Befallen { cuts, stalls, delays } = network.befallen();
        assert!(cuts > 0 && delays > 0, "{cuts} cuts, {stalls} stalls, {delays} delays");
        network.heal();
        assert!(send(1_000_000).await);
    }
}
