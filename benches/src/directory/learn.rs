//! What it takes a node to learn a cluster when it joins: a process of its own, so that its memory is.

use std::{
    env, fs,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use callboard::kv::RangeRequest;

use super::{
    Result,
    node::{Line, Node, Place},
    shape::{Shape, name},
    sheet::Sheet,
};
use crate::remote::shared::usage::used_here;

/// The argument that makes the program one that joins.
pub const ROLE: &str = "--as-learner";

/// The columns of the sheet.
pub const COLUMNS: &[&str] =
    &["seconds", "seconds of CPU", "MB before", "MB after", "MB at most", "bytes per instance"];

/// What is learnt.
pub const SHAPES: [Shape; 2] = [Shape::new(10_000, 10), Shape::new(1, 100_000)];
/// Keys of a page, as callboard's lists have them.
const PAGE_KEYS: usize = 5_000;

/// Runs all rows once.
///
/// # Errors
/// When a process or etcd fails.
pub async fn round(sheet: &mut Sheet, url: &str) -> Result<()> {
    for shape in SHAPES {
        for how in ["a node joins", "limit: pages, not decoded"] {
            let arguments =
                [ROLE, how, url, shape.cluster().as_str(), &shape.instances().to_string()]
                    .map(str::to_owned);
            // Blocks a thread for it, as the process does not answer before it ends.
            let program = env::current_exe()?;
            let run =
                move || Command::new(program).args(arguments).stderr(Stdio::inherit()).output();
            let output = tokio::task::spawn_blocking(run).await??;
            if !output.status.success() {
                return Err(format!("{how}: {}", output.status).into());
            }
            let line = format!("{how}, {}", shape.title());
            for (column, figure) in String::from_utf8(output.stdout)?.split_whitespace().enumerate()
            {
                sheet.push(&line, column, figure.parse()?);
            }
        }
    }
    Ok(())
}

/// Joins, says what it took, and ends.
///
/// # Errors
/// When etcd fails, or what is learnt is not all.
pub async fn run(how: &str, url: &str, cluster: &str, instances: usize) -> Result<()> {
    let place = Place::Etcd(url.to_owned());
    let (before, used) = (Memory::now()?, used_here());
    let began = Instant::now();
    let (found, elapsed, after) = if how.starts_with("limit") {
        let line = Line::open(&place).await?;
        let found = read(&line, &format!("/callboard/{cluster}/svc/")).await?;
        (found, began.elapsed(), Memory::now()?)
    } else {
        let node = Node::join(&place, &name(cluster), "learner").await?;
        let (elapsed, after) = (began.elapsed(), Memory::now()?);
        let services = node.directory.services();
        let found = services.iter().map(|name| node.directory.resolve(name).instances.len()).sum();
        node.directory.abort();
        (found, elapsed, after)
    };
    if found != instances {
        return Err(format!("{found} instances, not {instances}").into());
    }
    let figures = [
        elapsed.as_secs_f64(),
        used_here().saturating_sub(used).as_secs_f64(),
        before.resident / 1e6,
        after.resident / 1e6,
        after.peak / 1e6,
        (after.resident - before.resident) / instances as f64,
    ];
    println!("{}", figures.map(|figure| figure.to_string()).join(" "));
    Ok(())
}

/// Reads all pages at one revision and keeps none.
async fn read(line: &Line, prefix: &str) -> Result<usize> {
    let kv = Arc::clone(&line.kv);
    let mut request = RangeRequest::prefix(prefix).limit(PAGE_KEYS);
    line.run(async move {
        let mut found = 0;
        loop {
            let page = kv.range(request.clone()).await?;
            found += page.kvs.len();
            match page.kvs.last() {
                Some(last) if page.more => {
                    let at = request.revision.unwrap_or(page.revision);
                    request = request.after(&last.key).at(at);
                }
                _ => return Ok(found),
            }
        }
    })
    .await?
}

/// Memory of this process, in bytes, as the kernel counts pages.
struct Memory {
    resident: f64,
    peak: f64,
}

impl Memory {
    fn now() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.split_whitespace().next());
            Ok(kilobytes
                .ok_or_else(|| format!("no {name} in /proc/self/status"))?
                .parse::<f64>()?
                * 1024.0)
        };
        Ok(Self { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }
}
