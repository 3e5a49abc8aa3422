//! The counts that the check compares with, in a file of the repository.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Failed, workload::Workload};

/// Recorded counts. The file is TOML, of which only `key = value` is read.
#[derive(Debug)]
pub(crate) struct Recorded(Vec<(String, String)>);

const MACHINE: &str = "machine";
const COMPILER: &str = "compiler";

impl Recorded {
    pub(crate) fn of(counts: &[(Workload, f64)]) -> Self {
        let text = |text: &str| format!("\"{text}\"");
        let mut lines = vec![
            (MACHINE.to_owned(), text(&machine())),
            (COMPILER.to_owned(), text(&rustc().unwrap_or_else(|| "unknown".to_owned()))),
        ];
        let line = |(workload, count): &(Workload, f64)| {
            (workload.name().to_owned(), format!("{count:.1}"))
        };
        lines.extend(counts.iter().map(line));
        Self(lines)
    }

    pub(crate) fn read() -> Result<Self, Failed> {
        let path = path();
        let written = fs::read_to_string(&path)
            .map_err(|error| Failed(format!("reading {}: {error}", path.display())))?;
        let mut lines = Vec::new();
        for line in written.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| Failed(format!("{}: not `key = value`: {line}", path.display())))?;
            lines.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(Self(lines))
    }

    pub(crate) fn write(&self) -> Result<(), Failed> {
        let path = path();
        fs::write(&path, self.to_string())
            .map_err(|error| Failed(format!("writing {}: {error}", path.display())))
    }

    /// The machine that they are recorded for when it is another than this one.
    pub(crate) fn other_machine(&self) -> Option<&str> {
        self.text(MACHINE).filter(|recorded| *recorded != machine())
    }

    pub(crate) fn compiler(&self) -> &str {
        self.text(COMPILER).unwrap_or("an unknown compiler")
    }

    pub(crate) fn of_workload(&self, workload: Workload) -> Result<f64, Failed> {
        let count = self.value(workload.name()).and_then(|value| value.parse().ok());
        let usable = count.filter(|count: &f64| count.is_finite() && *count > 0.0);
        usable.ok_or_else(|| {
            Failed(format!("{} has no count of {}", path().display(), workload.name()))
        })
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value(key).map(|value| value.trim_matches('"'))
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Instructions per message of the whole process, by callgrind; of the directory"
        )?;
        writeln!(f, "# per ten resolves. Written by")?;
        writeln!(f, "# `cargo run --profile instructions -p callboard-instructions -- record`.")?;
        self.0.iter().try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))
    }
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded.toml")
}

fn machine() -> String {
    format!("{}-{}", env::consts::ARCH, env::consts::OS)
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
