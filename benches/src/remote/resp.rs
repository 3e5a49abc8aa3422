//! A connection to Redis by hand: one blocking socket, nothing between.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use super::{Result, shared::usage::Usage};

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A number.
    Int(i64),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// Several.
    Array(Vec<Self>),
}

/// What Redis says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Redis {
    /// What it uses.
    pub usage: Usage,
    /// Connections that wait in a blocked read.
    pub waiting: u64,
}

/// A connection.
#[derive(Debug)]
pub struct Socket {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
}

impl Socket {
    /// Connects to a port of 127.0.0.1.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), out: Vec::new() })
    }

    /// Adds a command to what is sent next.
    pub fn command(&mut self, words: &[&[u8]]) -> &mut Self {
        self.out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
        self
    }

    /// Sends what was added, in one write.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn send(&mut self) -> Result<()> {
        self.stream.get_mut().write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Waits for the next answer.
    ///
    /// # Errors
    /// Those of the socket, an error that Redis answers, and what is no answer.
    pub fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Err("Redis has closed the connection".into());
        }
        let (mark, rest) = line.split_at(1);
        match mark {
            "+" => Ok(Value::Bytes(rest.as_bytes().to_vec())),
            "-" => Err(format!("Redis: {rest}").into()),
            ":" => Ok(Value::Int(rest.parse()?)),
            "$" | "*" if rest == "-1" => Ok(Value::Nil),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>()? + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(Value::Bytes(bytes))
            }
            "*" => (0..rest.parse::<usize>()?)
                .map(|_| self.answer())
                .collect::<Result<_>>()
                .map(Value::Array),
            _ => Err(format!("no answer of Redis: {line:?}").into()),
        }
    }

    /// What Redis uses.
    ///
    /// # Errors
    /// As [`Socket::answer`].
    pub fn redis(&mut self) -> Result<Redis> {
        let mut text = String::new();
        for section in ["cpu", "memory", "clients"] {
            self.command(&[b"INFO", section.as_bytes()]).send()?;
            let Value::Bytes(bytes) = self.answer()? else { return Err("INFO is no text".into()) };
            text.push_str(&String::from_utf8(bytes)?);
        }
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.ok_or_else(|| format!("INFO lacks {name}"))
        };
        let seconds = |name: &str| -> Result<f64> { Ok(field(name)?.parse()?) };
        let cpu = seconds("used_cpu_user")? + seconds("used_cpu_sys")?;
        let resident = field("used_memory_rss")?.parse()?;
        let usage = Usage { cpu: Duration::from_secs_f64(cpu), resident };
        Ok(Redis { usage, waiting: field("blocked_clients")?.parse()? })
    }

    /// Appends to one stream and waits for what comes to another after an entry, both in one write.
    fn exchange(
        &mut self,
        to: &[u8],
        body: &[u8],
        from: &[u8],
        after: &[u8],
    ) -> Result<(Vec<u8>, Vec<u8>)> {
        self.append(to, body).read(from, after).send()?;
        self.answer()?;
        first_entry(self.answer()?)
    }

    fn append(&mut self, to: &[u8], body: &[u8]) -> &mut Self {
        self.command(&[b"XADD", to, b"MAXLEN", b"~", b"1000", b"*", b"b", body])
    }

    fn read(&mut self, from: &[u8], after: &[u8]) -> &mut Self {
        self.command(&[b"XREAD", b"COUNT", b"1", b"BLOCK", b"10000", b"STREAMS", from, after])
    }
}

const REQUESTS: &[u8] = b"floor:req";
const REPLIES: &[u8] = b"floor:rep";

/// Asks so many times, one after the other; gives each latency.
///
/// # Errors
/// As [`Socket::answer`].
pub fn ask(port: u16, asks: u64) -> Result<Vec<Duration>> {
    let mut socket = Socket::connect(port)?;
    let mut last = b"0".to_vec();
    let body = [b'x'; 64];
    let mut latencies = Vec::with_capacity(usize::try_from(asks)?);
    for _ in 0..asks {
        let began = Instant::now();
        (last, _) = socket.exchange(REQUESTS, &body, REPLIES, &last)?;
        latencies.push(began.elapsed());
    }
    Ok(latencies)
}

/// Answers so many asks.
///
/// # Errors
/// As [`Socket::answer`].
pub fn reply(port: u16, asks: u64) -> Result<()> {
    let mut socket = Socket::connect(port)?;
    socket.read(REQUESTS, b"0").send()?;
    let (mut last, mut body) = first_entry(socket.answer()?)?;
    for _ in 1..asks {
        (last, body) = socket.exchange(REPLIES, &body, REQUESTS, &last)?;
    }
    socket.append(REPLIES, &body).send()?;
    socket.answer().map(drop)
}

/// Removes what an earlier run left.
///
/// # Errors
/// As [`Socket::answer`].
pub fn clear(port: u16) -> Result<()> {
    delete(port, &[REQUESTS, REPLIES])
}

/// Deletes keys.
///
/// # Errors
/// As [`Socket::answer`].
pub fn delete(port: u16, keys: &[&[u8]]) -> Result<()> {
    let mut socket = Socket::connect(port)?;
    socket.command(&[&[b"DEL" as &[u8]], keys].concat()).send()?;
    socket.answer().map(drop)
}

/// Id and value of the first field of the first entry that a read gave.
fn first_entry(read: Value) -> Result<(Vec<u8>, Vec<u8>)> {
    let nothing = || "a read ended with nothing";
    let entries = nth(nth(read, 0).ok_or_else(nothing)?, 1).ok_or_else(nothing)?;
    let Some(Value::Array(mut parts)) = nth(entries, 0) else { return Err(nothing().into()) };
    match (parts.pop().and_then(|fields| nth(fields, 1)), parts.pop()) {
        (Some(Value::Bytes(body)), Some(Value::Bytes(id))) => Ok((id, body)),
        _ => Err("an entry without id or field".into()),
    }
}

fn nth(value: Value, at: usize) -> Option<Value> {
    match value {
        Value::Array(parts) => parts.into_iter().nth(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn answers_are_read_as_they_come() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut socket = Socket::connect(listener.local_addr().unwrap().port()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let read = "*1\r\n*2\r\n$1\r\nq\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nb\r\n$2\r\nhi\r\n";
        server.write_all(format!(":7\r\n*-1\r\n{read}-ERR no\r\n").as_bytes()).unwrap();
        drop(server);
        assert_eq!(socket.answer().unwrap(), Value::Int(7));
        assert_eq!(socket.answer().unwrap(), Value::Nil);
        let entry = first_entry(socket.answer().unwrap()).unwrap();
        assert_eq!(entry, (b"1-0".to_vec(), b"hi".to_vec()));
        assert_eq!(socket.answer().unwrap_err().to_string(), "Redis: ERR no");
    }
}
