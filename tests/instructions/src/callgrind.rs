//! Counts by running this program under callgrind.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use crate::{Failed, workload::Workload};

/// Messages of the two runs: enough to make one slower start of a thread invisible.
const FEW: u64 = 10_000;
const MANY: u64 = 110_000;

/// Instructions of the whole process per message, without what is done once.
pub(crate) fn per_message(workload: Workload) -> Result<f64, Failed> {
    let (few, many) = (count(workload, FEW)?, count(workload, MANY)?);
    if many <= few {
        return Err(Failed(format!("{MANY} messages took {many} instructions, {FEW} took {few}")));
    }
    Ok((many - few) as f64 / (MANY - FEW) as f64)
}

fn count(workload: Workload, messages: u64) -> Result<u64, Failed> {
    let written = Written::new(workload, messages);
    let program = env::current_exe().map_err(|error| Failed(format!("own path: {error}")))?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", written.0.display()))
        .arg(program)
        .args(["run", workload.name(), &messages.to_string()])
        .output()
        .map_err(|error| Failed(format!("valgrind is needed (tests/run installs it): {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failed(format!(
            "{} under valgrind: {}\n{said}",
            workload.name(),
            output.status
        )));
    }
    total(&written.0)
}

fn total(path: &Path) -> Result<u64, Failed> {
    let written = fs::read_to_string(path)
        .map_err(|error| Failed(format!("reading {}: {error}", path.display())))?;
    let totals = written.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    let total: Option<u64> = totals.and_then(|totals| totals.trim().parse().ok());
    let total = total
        .ok_or_else(|| Failed(format!("callgrind wrote no `totals:` to {}", path.display())))?;
    Ok(total - calibration(&written))
}

/// What the clock's calibration took: it goes on until the clock is steady, which takes some
/// millions of instructions more or less each time. Runs once, and calls nothing but the clock.
fn calibration(written: &str) -> u64 {
    let (mut names, mut cost) = (HashMap::new(), 0);
    let (mut is_calibration, mut is_call) = (false, false);
    for line in written.lines() {
        if let Some(name) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            let known = names.entry(number).or_insert(false);
            if !name.is_empty() {
                *known = name.contains("call_once_force") || name.starts_with("clock_gettime");
            }
            if line.starts_with("fn=") {
                is_calibration = *known;
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            // The line after a call has the cost of what was called, which is counted there.
            let own = !std::mem::take(&mut is_call) && is_calibration;
            let spent = line.split_once(' ').and_then(|(_, cost)| cost.trim().parse::<u64>().ok());
            cost += spent.filter(|_| own).unwrap_or(0);
        }
    }
    cost
}

/// What callgrind writes, removed when it has been read.
struct Written(PathBuf);

impl Written {
    fn new(workload: Workload, messages: u64) -> Self {
        let name = format!("callgrind-{}-{}-{messages}", process::id(), workload.name());
        Self(env::temp_dir().join(name))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("{} is left over: {error}", self.0.display());
        }
    }
}
