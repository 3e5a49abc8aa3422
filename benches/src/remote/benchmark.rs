//! A limit of tells by Redis's own tool: `XADD` of single messages, pipelined.

use std::{process::Command, time::Duration};

use super::{
    Result,
    resp::delete,
    sample::Timed,
    shared::{OUTSTANDING, text},
};

const STREAM: &str = "benchmark:xadd";
/// Connections; together they have as many commands under way as there are tells outstanding.
const CONNECTIONS: usize = 4;

/// Appends so many entries of one message each.
///
/// # Errors
/// When the tool is missing, fails, or says something else than figures.
pub async fn xadd(port: u16, messages: u64) -> Result<Timed> {
    delete(port, &[STREAM.as_bytes()])?;
    let (port, count) = (port.to_string(), messages.to_string());
    let (connections, depth) = (CONNECTIONS.to_string(), (OUTSTANDING / CONNECTIONS).to_string());
    let mut tool = Command::new("redis-benchmark");
    tool.args(["-p", &port, "-n", &count, "-c", &connections, "-P", &depth, "--csv"]);
    // As callboard's streams are emptied by settling, this one is by its length.
    tool.args(["XADD", STREAM, "MAXLEN", "~", "10000", "*", "b", &format!("{}x", text())]);
    let output = tokio::task::spawn_blocking(move || tool.output()).await??;
    delete(port.parse()?, &[STREAM.as_bytes()])?;
    let said = String::from_utf8(output.stdout)?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("redis-benchmark: {}: {said}{errors}", output.status).into());
    }
    let elapsed = Duration::from_secs_f64(messages as f64 / rate(&said)?);
    Ok(Timed::whole(elapsed))
}

/// The rate in what the tool says: lines of quoted cells, the name first, the rate second.
fn rate(said: &str) -> Result<f64> {
    let line = said.lines().find(|line| line.starts_with("\"XADD"));
    let line = line.ok_or_else(|| format!("no line of XADD: {said:?}"))?;
    // The name is the whole command, so cells are taken apart at their quotes.
    let cell = line.split("\",\"").nth(1).ok_or_else(|| format!("one cell: {line:?}"))?;
    let rate: f64 = cell.trim_end_matches('"').parse()?;
    if rate > 0.0 { Ok(rate) } else { Err(format!("no rate: {line:?}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_second_cell() {
        let said = "\"test\",\"rps\",\"avg_latency_ms\"\n\"XADD a MAXLEN ~ 1 * b x,y\",\"1234.50\",\"0.1\"\n";
        assert!((rate(said).unwrap() - 1234.5).abs() < 1e-9);
        assert!(rate("\"test\",\"rps\"\n").is_err());
        assert!(rate("\"XADD\",\"0.00\"\n").is_err());
    }
}
