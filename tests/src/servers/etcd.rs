use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::{
    process::{Launch, ServerProcess, Trouble, free_port},
    tool::run,
};

/// How often another pair of ports is tried when somebody was faster.
const ATTEMPTS: u32 = 5;

/// Private etcd members with one cluster token; one of them unless asked for more.
#[derive(Debug)]
pub struct EtcdServer {
    members: Vec<Member>,
    _folder: TempDir,
}

#[derive(Debug)]
struct Member {
    process: ServerProcess,
    data: PathBuf,
    url: String,
}

/// What is not the same for every test.
#[derive(Debug, Clone, Default)]
pub struct EtcdSetup {
    /// How many members; 0 and 1 are one.
    pub members: usize,
    /// More arguments for each member.
    pub args: Vec<String>,
}

impl EtcdServer {
    /// One member with an empty data folder, ready to serve.
    ///
    /// # Panics
    /// When it can't be started; says why.
    pub async fn start() -> Self {
        Self::with(EtcdSetup::default()).await
    }

    /// A cluster of so many members.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn cluster(members: usize) -> Self {
        Self::with(EtcdSetup { members, ..EtcdSetup::default() }).await
    }

    /// As the setup says.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn with(setup: EtcdSetup) -> Self {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match Self::attempt(&setup).await {
                Ok(server) => return server,
                Err(trouble) => last = Some(trouble),
            }
        }
        panic!("etcd does not start: {}", last.expect("at least one attempt"));
    }

    /// So many members with users, as the book sets them up: `root`, `callboard` with the rights to its
    /// keys, and whatever these commands add. All have this password, and their tokens this lifetime.
    ///
    /// # Panics
    /// As [`start`](Self::start), or when a command fails.
    pub async fn with_users(
        members: usize,
        token_ttl: Duration,
        password: &str,
        more: &[&[&str]],
    ) -> Self {
        let ttl = format!("--auth-token-ttl={}", token_ttl.as_secs());
        let args = vec!["--auth-token=simple".to_owned(), ttl];
        let server = Self::with(EtcdSetup { members, args }).await;
        let (root, user) = (format!("root:{password}"), format!("callboard:{password}"));
        let book: [&[&str]; 6] = [
            &["user", "add", &root],
            &["user", "grant-role", "root", "root"],
            &["role", "add", "callboard"],
            &["role", "grant-permission", "callboard", "--prefix=true", "readwrite", "/callboard/"],
            &["user", "add", &user],
            &["user", "grant-role", "callboard", "callboard"],
        ];
        let last: &[&str] = &["auth", "enable"];
        for command in book.into_iter().chain(more.iter().copied()).chain([last]) {
            let done = server.ctl(command).await;
            done.unwrap_or_else(|trouble| panic!("etcdctl {command:?}: {trouble}"));
        }
        server
    }

    async fn attempt(setup: &EtcdSetup) -> Result<Self, Trouble> {
        let folder = tempfile::Builder::new()
            .prefix("callboard-etcd-")
            .tempdir()
            .map_err(|error| Trouble(format!("a folder for etcd: {error}")))?;
        let ports: Vec<_> = (0..setup.members.max(1)).map(|_| (free_port(), free_port())).collect();
        let token = format!("callboard-{:016x}", fastrand::u64(..));
        let peers: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(n, (_, peer))| format!("m{n}=http://127.0.0.1:{peer}"))
            .collect();
        let peers = peers.join(",");
        let starts = ports.iter().enumerate().map(|(n, (client, peer))| {
            let data = folder.path().join(format!("m{n}"));
            let url = format!("http://127.0.0.1:{client}");
            let peer_url = format!("http://127.0.0.1:{peer}");
            let mut args = vec![
                format!("--name=m{n}"),
                format!("--data-dir={}", data.display()),
                format!("--listen-client-urls={url}"),
                format!("--advertise-client-urls={url}"),
                format!("--listen-peer-urls={peer_url}"),
                format!("--initial-advertise-peer-urls={peer_url}"),
                format!("--initial-cluster={peers}"),
                format!("--initial-cluster-token={token}"),
                "--initial-cluster-state=new".to_owned(),
                "--logger=zap".to_owned(),
                "--log-level=warn".to_owned(),
            ];
            args.extend(setup.args.iter().cloned());
            let launch = Launch {
                program: "etcd".into(),
                args: args.into_iter().map(Into::into).collect(),
                folder: folder.path().join(format!("run{n}")),
                ports: vec![*client, *peer],
            };
            async move {
                let process = ServerProcess::start(launch).await?;
                Ok(Member { process, data, url })
            }
        });
        // Together: a member of several listens to clients when it has found the others.
        let members = futures_util::future::try_join_all(starts).await?;
        Ok(Self { members, _folder: folder })
    }

    /// The addresses of all members, for clients.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.url.clone()).collect()
    }

    /// The address of the first member.
    pub fn url(&self) -> String {
        self.members[0].url.clone()
    }

    /// What `etcdctl` says to a command to all members, without the last line break.
    ///
    /// # Errors
    /// When it can't be run, fails, or takes longer than 10 s.
    pub async fn ctl<S: AsRef<str>>(&self, command: &[S]) -> Result<String, Trouble> {
        let mut args = vec![format!("--endpoints={}", self.endpoints().join(","))];
        args.extend(command.iter().map(|word| word.as_ref().to_owned()));
        // Version 2 is what older ones speak unless told otherwise.
        run("etcdctl", args, &[("ETCDCTL_API", "3")]).await
    }

    /// A member's process; the first is 0.
    pub fn member(&mut self, member: usize) -> &mut ServerProcess {
        &mut self.members[member].process
    }

    /// Kills all members, as a power cut would.
    pub fn kill(&mut self) {
        self.members.iter_mut().for_each(|member| member.process.kill());
    }

    /// Stops all members with SIGSTOP.
    pub fn stop(&self) {
        self.members.iter().for_each(|member| member.process.stop());
    }

    /// Lets all members go on.
    pub fn cont(&self) {
        self.members.iter().for_each(|member| member.process.cont());
    }

    /// Starts all members again with their data; kills them before.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn restart(&mut self) {
        self.kill();
        let starts = self.members.iter_mut().map(|member| member.process.restart());
        let started = futures_util::future::try_join_all(starts).await;
        started.unwrap_or_else(|trouble| panic!("etcd does not start again: {trouble}"));
    }

    /// Kills all members, removes what they have stored, and starts them again.
    ///
    /// # Panics
    /// When they do not start.
    pub async fn wipe(&mut self) {
        self.kill();
        for member in &self.members {
            std::fs::remove_dir_all(&member.data)
                .unwrap_or_else(|error| panic!("{}: {error}", member.data.display()));
        }
        self.restart().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn etcdctl_reads_what_it_wrote() {
        let etcd = EtcdServer::start().await;
        assert_eq!(etcd.ctl(&["put", "k", "v"]).await.unwrap(), "OK");
        assert_eq!(etcd.ctl(&["get", "--prefix", "k"]).await.unwrap(), "k\nv");
        let trouble = etcd.ctl(&["no-such-command"]).await.unwrap_err();
        assert!(trouble.0.contains("no-such-command"), "{trouble}");
    }
}
