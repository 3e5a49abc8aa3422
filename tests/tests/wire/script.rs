//! A producer in another language, written from the chapter on the wire format alone.

use std::{path::PathBuf, process::Command, sync::Arc};

use callboard::{
    Name,
    bus::keys,
    kv::EmbeddedKv,
    log::{MessageLog, RedisLog, RedisOptions, StreamInfo},
    prelude::*,
};
use callboard_tests::servers::{RedisServer, wait_until};
use parking_lot::Mutex;

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(name = "order.put")]
struct Put {
    n: u64,
}

#[derive(Actor)]
struct Orders(Arc<Mutex<Vec<u64>>>);

#[handlers]
impl Orders {
    #[handle]
    fn put(&mut self, Put { n }: Put) {
        self.0.lock().push(n);
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the script and gives the lines that it wrote.
fn produce(redis: &RedisServer) -> Vec<String> {
    let output = Command::new("python3")
        .arg(folder().join("tests/wire/producer.py"))
        .arg(redis.port().to_string())
        .arg(folder().join("../book/src/reference/append.lua"))
        .args(["shop", "orders", "order.put"])
        .output()
        .expect("python3 is installed; `tests/run` does it");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

async fn info(log: &RedisLog) -> StreamInfo {
    let (cluster, service) = (Name::new("shop").unwrap(), Name::new("orders").unwrap());
    let stream = keys::service(&cluster, &service, 0);
    log.info(&stream).await.expect("it runs").expect("it is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_in_another_language_tells_messages_that_are_handled_and_counted() {
    let redis = RedisServer::start().await;
    let log = RedisLog::connect(RedisOptions::new(redis.url())).await.expect("it runs");
    let (kv, handled) = (Arc::new(EmbeddedKv::new()), Arc::new(Mutex::new(Vec::new())));
    let builder = System::builder().cluster("shop").node("one").backends(kv, Arc::new(log.clone()));
    let system = builder.start().await.expect("it runs");
    let of = handled.clone();
    system.serve("orders", move || Orders(of.clone())).await.expect("it runs");
    let answers = produce(&redis);
    assert_eq!(answers, ["1", "1", "[2, '3']", "[3, '3']", "1", "1", "[2, '3']"]);
    wait_until("all are handled", Duration::from_secs(30), async || {
        handled.lock().len() >= 7 && info(&log).await.length == 0
    })
    .await
    .unwrap_or_else(|trouble| panic!("{trouble}: {:?}", handled.lock()));
    handled.lock().sort_unstable();
    assert_eq!(*handled.lock(), [1, 2, 3, 4, 5, 6, 7]);
    let info = info(&log).await;
    let accounting = info.accounting;
    assert!(accounting.adds_up(), "{accounting:?}");
    let counted = (accounting.appended, accounting.handled, accounting.cancelled, accounting.dead);
    assert_eq!(counted, (8, 7, 1, 0), "{accounting:?}");
    assert_eq!(accounting.frames_in, accounting.frames_out);
    system.shutdown().await.expect("it runs");
}
