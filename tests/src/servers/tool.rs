//! The servers' own command-line clients.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::process::Trouble;

/// How long a client may take: it hangs when its server is stopped.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(2);

/// Runs a client to its end and gives what it wrote to its standard output, without the last line
/// break.
///
/// # Errors
/// When it is missing, fails, or does not end in time; with what it wrote.
pub(super) async fn run(
    program: &'static str,
    args: Vec<String>,
    environment: &'static [(&'static str, &'static str)],
) -> Result<String, Trouble> {
    tokio::task::spawn_blocking(move || run_blocking(program, &args, environment))
        .await
        .map_err(|error| Trouble(format!("{program}: {error}")))?
}

fn run_blocking(
    program: &str,
    args: &[String],
    environment: &[(&str, &str)],
) -> Result<String, Trouble> {
    let trouble = |error: std::io::Error| Trouble(format!("{program} {args:?}: {error}"));
    // Into files: a full pipe would hold up a client that nobody reads.
    let folder = tempfile::tempdir().map_err(trouble)?;
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut child = Command::new(program)
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).map_err(trouble)?)
        .stderr(fs::File::create(&err).map_err(trouble)?)
        .spawn()
        .map_err(trouble)?;
    let deadline = Instant::now() + ANSWER_MAX;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(trouble)? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().and_then(|()| child.wait()).map_err(trouble)?;
            return Err(Trouble(format!("{program} {args:?}: no end within {ANSWER_MAX:?}")));
        }
        std::thread::sleep(POLL);
    };
    let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let said = text(out).map_err(trouble)?;
    if !status.success() {
        let error = text(err).map_err(trouble)?;
        return Err(Trouble(format!("{program} {args:?}: {status}: {said}{error}")));
    }
    Ok(said.trim_end_matches('\n').to_owned())
}
