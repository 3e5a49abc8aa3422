use std::{
    collections::HashSet,
    ffi::OsString,
    fmt,
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(30);
/// How long a signal may take until it shows.
const SIGNAL_MAX: Duration = Duration::from_secs(10);
/// How often the state of a process is looked at.
const POLL: Duration = Duration::from_millis(5);
/// Below the ports that Linux gives to outgoing connections, so that a server that is started again
/// finds its port free.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Why a server does not do what a test asks of it, with the last lines that it wrote.
#[derive(Debug)]
pub struct Trouble(pub String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// How a server is started, each time anew.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, found on `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where it runs and where its output is kept, as `output.log`.
    pub folder: PathBuf,
    /// The ports of 127.0.0.1 on which it must listen before it counts as started.
    pub ports: Vec<u16>,
}

/// A server process that belongs to a test. It is killed when this is dropped, and when the test
/// process dies without dropping anything.
#[derive(Debug)]
pub struct ServerProcess {
    launch: Launch,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Waits for the end of its standard input, which is the end of the test process.
    guard: Child,
}

impl ServerProcess {
    /// Starts it and waits until it listens on all its ports: it, and no other process.
    ///
    /// # Errors
    /// When the program is missing, ends, or does not listen in time.
    pub async fn start(launch: Launch) -> Result<Self, Trouble> {
        let mut server = Self { launch, running: None };
        server.restart().await?;
        Ok(server)
    }

    /// Starts it again with the same arguments, ports and folder; kills it before if it runs.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn restart(&mut self) -> Result<(), Trouble> {
        self.kill();
        let running = Running::spawn(&self.launch)
            .map_err(|error| Trouble(format!("{:?}: {error}", self.launch.program)))?;
        let pid = running.child.id();
        self.running = Some(running);
        let deadline = Instant::now() + START_MAX;
        while !self.launch.ports.iter().all(|port| listens(pid, *port)) {
            if self.has_ended() {
                self.kill();
                return Err(self.trouble("ended instead of listening"));
            }
            if Instant::now() > deadline {
                return Err(self.trouble("does not listen in time"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server runs").child.id()
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.running.is_some() && !self.has_ended()
    }

    /// Ends it as a power cut would, with SIGKILL, and waits for its end. Nothing if it has ended.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Asks it to end, with SIGTERM, and waits for that; kills it when it takes too long.
    pub fn terminate(&mut self) {
        if self.is_running() {
            self.signal(Signal::TERM);
            let deadline = Instant::now() + SIGNAL_MAX;
            while !self.has_ended() && Instant::now() < deadline {
                std::thread::sleep(POLL);
            }
        }
        self.kill();
    }

    /// Stops it with SIGSTOP: it keeps its connections and answers nothing.
    ///
    /// # Panics
    /// When it does not run or does not stop.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        self.wait_for_state(|state| state == 'T');
    }

    /// Lets it go on after [`stop`](Self::stop).
    ///
    /// # Panics
    /// When it does not run or does not go on.
    pub fn cont(&self) {
        self.signal(Signal::CONT);
        self.wait_for_state(|state| state != 'T');
    }

    /// The last lines that it wrote, over all its starts.
    pub fn output(&self) -> String {
        let text = fs::read(log_of(&self.launch.folder)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let sent = kill_process(pid.expect("a process id"), signal);
        sent.unwrap_or_else(|error| panic!("{signal:?} to the server: {error}"));
    }

    fn wait_for_state(&self, wanted: impl Fn(char) -> bool) {
        let deadline = Instant::now() + SIGNAL_MAX;
        while !state_of(self.pid()).is_some_and(&wanted) {
            assert!(Instant::now() < deadline, "the server does not heed a signal");
            std::thread::sleep(POLL);
        }
    }

    fn has_ended(&mut self) -> bool {
        let Some(running) = &mut self.running else { return true };
        !matches!(running.child.try_wait(), Ok(None))
    }

    fn trouble(&self, what: &str) -> Trouble {
        Trouble(format!("{:?} {what}; it wrote:\n{}", self.launch.program, self.output()))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    fn spawn(launch: &Launch) -> io::Result<Self> {
        fs::create_dir_all(&launch.folder)?;
        let log = File::options().append(true).create(true).open(log_of(&launch.folder))?;
        let mut child = Command::new(&launch.program)
            .args(&launch.args)
            .current_dir(&launch.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let guard = Command::new("sh")
            .args(["-c", "read -r _; kill -9 \"$1\"", "guard"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { child, guard }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The guard goes first: it must not kill whoever has the process id later.
    fn kill(mut self) {
        for child in [&mut self.guard, &mut self.child] {
            if let Err(error) = child.kill().and_then(|()| child.wait().map(drop)) {
                eprintln!("process {} could not be ended: {error}", child.id());
            }
        }
    }
}

/// A port of 127.0.0.1 on which nobody listens now, and that this process has not been given before.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    static GIVEN: parking_lot::Mutex<Option<HashSet<u16>>> = parking_lot::Mutex::new(None);
    let mut given = GIVEN.lock();
    let given = given.get_or_insert_default();
    for _ in 0..1000 {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return port;
        }
    }
    panic!("no free port in {PORTS:?}");
}

/// Waits until the condition holds, looking every few milliseconds.
///
/// # Errors
/// When it does not hold in time; says what was waited for.
pub async fn wait_until(
    what: &str,
    limit: Duration,
    mut condition: impl AsyncFnMut() -> bool,
) -> Result<(), Trouble> {
    let deadline = Instant::now() + limit;
    while !condition().await {
        if Instant::now() > deadline {
            return Err(Trouble(format!("waited {limit:?} in vain for {what}")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("output.log")
}

/// The letter of the process's state, as in `ps`.
fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether this very process listens on the port: the socket that the kernel lists for the port is
/// one that the process has open.
fn listens(pid: u32, port: u16) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let sockets: HashSet<String> = descriptors
        .filter_map(|entry| {
            fs::read_link(entry.ok()?.path()).ok()?.into_os_string().into_string().ok()
        })
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = fs::read_to_string(table).unwrap_or_default();
        table.lines().skip(1).any(|line| {
            listener(line).is_some_and(|(at, inode)| at == port && sockets.contains(inode))
        })
    })
}

/// Port and inode of a line of `/proc/net/tcp` if it is a listening socket.
fn listener(line: &str) -> Option<(u16, &str)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, port) = fields.get(1)?.rsplit_once(':')?;
    let listening = *fields.get(3)? == "0A";
    let port = u16::from_str_radix(port, 16).ok()?;
    listening.then_some((port, *fields.get(9)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_known_from_others() {
        let line = "   0: 0100007F:4E20 00000000:0000 0A 00000000:00000000 00:00000000 00000000     \
                    0        0 4711 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listener(line), Some((20_000, "4711")));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(listener("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn only_the_process_that_listens_counts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(std::process::id(), port));
        assert!(!listens(1, port));
        drop(listener);
        assert!(!listens(std::process::id(), port));
    }

    #[tokio::test]
    async fn a_program_that_ends_at_once_is_an_error_that_shows_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            program: "sh".into(),
            args: ["-c", "echo no such luck; exit 3"].map(Into::into).into(),
            folder: folder.path().to_owned(),
            ports: vec![free_port()],
        };
        let trouble = ServerProcess::start(launch).await.unwrap_err();
        assert!(trouble.0.contains("no such luck"), "{trouble}");
    }

    #[tokio::test]
    async fn a_dropped_server_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let launch = Launch {
            program: "sleep".into(),
            args: vec!["1000".into()],
            folder: folder.path().to_owned(),
            ports: vec![],
        };
        let mut server = ServerProcess::start(launch).await.unwrap();
        let pid = server.pid();
        server.stop();
        assert_eq!(state_of(pid), Some('T'));
        server.cont();
        server.restart().await.unwrap();
        assert_eq!(state_of(pid), None);
        let pid = server.pid();
        drop(server);
        assert_eq!(state_of(pid), None);
    }
}
