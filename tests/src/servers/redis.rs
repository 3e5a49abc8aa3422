use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::{
    process::{Launch, ServerProcess, Trouble, free_port, wait_until},
    tool::run,
};

/// How often another port is tried when somebody was faster.
const ATTEMPTS: u32 = 5;
/// How long loading the stored data may take.
const LOADED_MAX: Duration = Duration::from_secs(30);

/// A private redis-server.
#[derive(Debug)]
pub struct RedisServer {
    process: ServerProcess,
    port: u16,
    password: Option<String>,
    data: PathBuf,
    _folder: TempDir,
}

/// What is not the same for every test.
#[derive(Debug, Clone, Default)]
pub struct RedisSetup {
    /// What a kill leaves.
    pub persistence: Persistence,
    /// Where appends begin to be refused; nothing is evicted.
    pub memory_bytes_max: Option<u64>,
    /// What clients must give.
    pub password: Option<String>,
    /// More arguments.
    pub args: Vec<String>,
}

/// What a kill leaves of the data. No server writes snapshots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing.
    #[default]
    None,
    /// What was written (`appendfsync everysec`).
    EverySecond,
    /// What was acknowledged (`appendfsync always`).
    Always,
}

impl RedisServer {
    /// One that keeps nothing over a restart, ready to serve.
    ///
    /// # Panics
    /// When it can't be started; says why.
    pub async fn start() -> Self {
        Self::with(RedisSetup::default()).await
    }

    /// As the setup says.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn with(setup: RedisSetup) -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::attempt(&setup).await {
                Ok(server) => return server,
                Err(trouble) => last = Some(trouble),
            }
        }
        panic!("redis-server does not start: {}", last.expect("at least one attempt"));
    }

    async fn attempt(setup: &RedisSetup) -> Result<Self, Trouble> {
        let folder = tempfile::Builder::new()
            .prefix("callboard-redis-")
            .tempdir()
            .map_err(|error| Trouble(format!("a folder for Redis: {error}")))?;
        let data = folder.path().join("data");
        fs::create_dir(&data).map_err(|error| Trouble(format!("{}: {error}", data.display())))?;
        let port = free_port();
        let launch = Launch {
            program: "redis-server".into(),
            args: arguments(setup, port, &data).into_iter().map(Into::into).collect(),
            folder: folder.path().join("run"),
            ports: vec![port],
        };
        let process = ServerProcess::start(launch).await?;
        let password = setup.password.clone();
        let server = Self { process, port, password, data, _folder: folder };
        server.loaded().await?;
        Ok(server)
    }

    /// The address for clients, with the password if there is one.
    pub fn url(&self) -> String {
        let password = self.password.as_ref().map(|p| format!(":{p}@")).unwrap_or_default();
        format!("redis://{password}127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn process(&mut self) -> &mut ServerProcess {
        &mut self.process
    }

    /// What `redis-cli` says to a command, without the last line break. An error reply is part of
    /// what it says.
    ///
    /// # Errors
    /// When it can't be run, or takes longer than 10 s, as with a stopped server.
    pub async fn cli<S: AsRef<str>>(&self, command: &[S]) -> Result<String, Trouble> {
        let mut args = vec!["-p".to_owned(), self.port.to_string()];
        if let Some(password) = &self.password {
            args.extend(["--no-auth-warning".to_owned(), "-a".to_owned(), password.clone()]);
        }
        args.extend(command.iter().map(|word| word.as_ref().to_owned()));
        run("redis-cli", args, &[]).await
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Stops it with SIGSTOP.
    pub fn stop(&self) {
        self.process.stop();
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.process.cont();
    }

    /// Starts it again with what it has stored; kills it before.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        let started = self.process.restart().await;
        let started = match started {
            Ok(()) => self.loaded().await,
            Err(trouble) => Err(trouble),
        };
        started.unwrap_or_else(|trouble| panic!("redis-server does not start again: {trouble}"));
    }

    /// Kills it, takes away so many bytes at the end of its append-only file, as a power cut may, and
    /// starts it again.
    ///
    /// # Panics
    /// When it keeps no such file, or does not start.
    pub async fn restart_without_end(&mut self, bytes: u64) {
        self.kill();
        let folder = self.data.join("appendonlydir");
        let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let newest = files
            .filter_map(|file| Some(file.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with(".incr.aof"))
            .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).ok())
            .expect("a file that is appended to");
        let file = fs::File::options().write(true).open(newest).expect("it can be written");
        let length = file.metadata().expect("it is there").len();
        file.set_len(length.saturating_sub(bytes)).expect("it can be cut");
        self.restart().await;
    }

    /// Lets it write its append-only file anew, and waits for that.
    ///
    /// # Panics
    /// When it does not.
    pub async fn rewrite_file(&self) {
        let field = async |name: &str| {
            let info = self.cli(&["INFO", "persistence"]).await.unwrap_or_default();
            let line = info.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            line.unwrap_or_default().trim().to_owned()
        };
        let begun = self.cli(&["BGREWRITEAOF"]).await.unwrap_or_else(|trouble| panic!("{trouble}"));
        assert!(begun.contains("started") || begun.contains("scheduled"), "{begun}");
        wait_until("the file is written anew", LOADED_MAX, async || {
            field("aof_rewrite_in_progress:").await == "0"
                && field("aof_rewrite_scheduled:").await == "0"
        })
        .await
        .unwrap_or_else(|trouble| panic!("{trouble}"));
        assert_eq!(field("aof_last_bgrewrite_status:").await, "ok");
    }

    /// Kills it, removes what it has stored, and starts it again.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn wipe(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.data)
            .and_then(|()| fs::create_dir(&self.data))
            .unwrap_or_else(|error| panic!("{}: {error}", self.data.display()));
        self.restart().await;
    }

    /// Redis listens before it has loaded its data, and refuses commands until then.
    async fn loaded(&self) -> Result<(), Trouble> {
        wait_until("PONG from redis-server", LOADED_MAX, async || {
            self.cli(&["PING"]).await.is_ok_and(|answer| answer == "PONG")
        })
        .await
    }
}

fn arguments(setup: &RedisSetup, port: u16, data: &std::path::Path) -> Vec<String> {
    let (appendonly, appendfsync) = match setup.persistence {
        Persistence::None => ("no", "no"),
        Persistence::EverySecond => ("yes", "everysec"),
        Persistence::Always => ("yes", "always"),
    };
    let mut args: Vec<String> = [
        ("--port", port.to_string().as_str()),
        ("--bind", "127.0.0.1"),
        ("--dir", &data.display().to_string()),
        ("--daemonize", "no"),
        ("--save", ""),
        ("--enable-debug-command", "yes"),
        ("--appendonly", appendonly),
        ("--appendfsync", appendfsync),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
    .collect();
    if let Some(bytes) = setup.memory_bytes_max {
        args.extend(["--maxmemory".to_owned(), bytes.to_string()]);
        args.extend(["--maxmemory-policy", "noeviction"].map(str::to_owned));
    }
    if let Some(password) = &setup.password {
        args.extend(["--requirepass".to_owned(), password.clone()]);
    }
    args.extend(setup.args.iter().cloned());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_a_kill_and_gone_after_a_wipe() {
        let setup = RedisSetup {
            persistence: Persistence::Always,
            password: Some("secret".into()),
            memory_bytes_max: Some(64 << 20),
            ..RedisSetup::default()
        };
        let mut redis = RedisServer::with(setup).await;
        assert!(redis.url().starts_with("redis://:secret@127.0.0.1:"), "{}", redis.url());
        assert_eq!(redis.cli(&["SET", "k", "v"]).await.unwrap(), "OK");
        redis.restart().await;
        assert_eq!(redis.cli(&["GET", "k"]).await.unwrap(), "v");
        redis.wipe().await;
        assert_eq!(redis.cli(&["GET", "k"]).await.unwrap(), "");
    }

    #[tokio::test]
    async fn the_password_is_asked_for() {
        let setup = RedisSetup { password: Some("secret".into()), ..RedisSetup::default() };
        let mut redis = RedisServer::with(setup).await;
        redis.password = None;
        let answer = redis.cli(&["GET", "k"]).await.unwrap();
        assert!(answer.contains("NOAUTH"), "{answer}");
    }
}
