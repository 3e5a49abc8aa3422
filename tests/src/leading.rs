//! A leader that writes as fast as it can and never looks back, as one that was paused would.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use callboard::{
    directory::{DirectoryError, FencingToken, Leadership, Role},
    kv::{EtcdKv, KeyValueStore, Op, Txn},
};

/// How many tasks write late, and how long after their check.
const LATE: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// Between two writes.
const BREATH: Duration = Duration::from_millis(1);

/// Where the leaders of a role write their tokens.
pub fn guarded_key(role: &str) -> String {
    format!("/app/{role}/total")
}

/// A token as text that sorts as tokens do.
pub fn sortable(token: FencingToken) -> String {
    format!("{:020}.{:020}", token.generation(), token.revision())
}

/// Leads whenever it can, until the directory is shut down. Each write whose answer came is a line of
/// the file: `accepted` or `fenced` by the store, the token, the store's revision.
///
/// The writes are made in tasks that go on after the leadership, for nobody may rely on being
/// stopped in time.
pub async fn lead_for_ever(role: Role, kv: EtcdKv, file: File) {
    let (kv, file) = (Arc::new(kv), Arc::new(file));
    loop {
        let work = async |leadership: Leadership| {
            tokio::spawn(write_eagerly(leadership.clone(), Arc::clone(&file)));
            for _ in 0..LATE {
                tokio::spawn(write_late(leadership.clone(), Arc::clone(&kv), Arc::clone(&file)));
            }
            std::future::pending::<()>().await;
        };
        match role.lead(work).await {
            Err(DirectoryError::LeadershipLost { .. }) => {}
            _ => return,
        }
    }
}

fn put(leadership: &Leadership) -> Txn {
    let key = guarded_key(leadership.role().as_str());
    Txn::new([Op::put(key, sortable(leadership.token()), None)])
}

/// By [`Leadership::write`].
async fn write_eagerly(leadership: Leadership, file: Arc<File>) {
    loop {
        match leadership.write(put(&leadership)).await {
            Ok(response) => note(&file, "accepted", &leadership, response.revision.0),
            // It may have happened: the key's history has it then.
            Err(DirectoryError::Store(_)) => {}
            Err(_) => return,
        }
        tokio::time::sleep(BREATH).await;
    }
}

/// By a transaction of its own, long after the check.
async fn write_late(leadership: Leadership, kv: Arc<EtcdKv>, file: Arc<File>) {
    while leadership.check().is_ok() {
        tokio::time::sleep(PAUSE).await;
        let guarded = put(&leadership).when(leadership.guard());
        match kv.txn(guarded).await {
            Ok(response) if response.succeeded => {
                note(&file, "accepted", &leadership, response.revision.0);
            }
            Ok(response) => note(&file, "fenced", &leadership, response.revision.0),
            Err(_) => {}
        }
        tokio::time::sleep(BREATH).await;
    }
}

fn note(mut file: &File, what: &str, leadership: &Leadership, revision: i64) {
    let line = format!("{what} {} {revision}\n", sortable(leadership.token()));
    file.write_all(line.as_bytes()).expect("the file can be written");
}

/// What a leader noted: whether it was accepted, the token, the revision.
///
/// # Errors
/// When the file can't be read.
///
/// # Panics
/// When it holds something else.
pub fn noted(path: &Path) -> io::Result<Vec<(bool, String, i64)>> {
    let text = fs::read_to_string(path)?;
    let line = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let [what, token, revision] = words[..] else { panic!("{line:?}") };
        (what == "accepted", token.to_owned(), revision.parse().expect("a revision"))
    };
    Ok(text.lines().map(line).collect())
}
