//! Counts the words in a folder of text files: `cargo run --release --example wordcount [FOLDER]`.
//!
//! The main program cuts the files into chunks and tells them to the service `mapper`, whose
//! instances compete for them; each counts its chunk and tells the result to the service `tally`.
//! Messages are handled *at least* once, so a chunk may be counted twice: the tally takes it once.
//!
//! On real servers (`CALLBOARD_ETCD` and `CALLBOARD_REDIS` set), `wordcount worker` in any number of
//! other terminals shares the work until it is interrupted.
//!
//! A word is a run of the letters A to Z in either case. Folders named `target` or with a dot in
//! front are left out, and so are files with a NUL byte. The same count by other means:
//!
//! ```sh
//! grep -rIl --null --exclude-dir=target --exclude-dir='.?*' '' FOLDER | xargs -0 cat |
//!   LC_ALL=C tr -cs 'A-Za-z' '\n' | LC_ALL=C tr 'A-Z' 'a-z' | sed '/^$/d' |
//!   LC_ALL=C sort | uniq -c | sort -k1,1nr -k2
//! ```

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use callboard::prelude::*;

/// Bytes of text in one message.
const CHUNK_BYTES: usize = 48 * 1024;
/// How many words are shown, unless a number is given after the folder.
const TOP: usize = 15;

// ANCHOR: messages
#[derive(Message, Serialize, Deserialize)]
struct Count {
    job: u64,
    chunk: u64,
    text: Vec<u8>,
}

#[derive(Message, Serialize, Deserialize)]
struct Counted {
    job: u64,
    chunk: u64,
    words: Vec<(String, u64)>,
    worker: String,
}
// ANCHOR_END: messages
#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct ChunksDone;

#[derive(Message, Serialize, Deserialize)]
#[message(reply = Vec<(String, u64)>)]
struct TopWords(usize);

#[derive(Message, Serialize, Deserialize)]
#[message(reply = Vec<(String, u64)>)]
struct ChunksByWorker;

// ANCHOR: mapper
#[derive(Actor)]
struct Mapper {
    tally: ServiceRef<Tally>,
}

#[handlers]
impl Mapper {
    #[handle]
    async fn count(&mut self, Count { job, chunk, text }: Count, ctx: &mut Ctx<Self>) {
        let mut words: HashMap<String, u64> = HashMap::new();
        for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            *words.entry(String::from_utf8_lossy(word).to_ascii_lowercase()).or_default() += 1;
        }
        let worker = ctx.system().expect("it is up while it counts").node().to_string();
        let counted = Counted { job, chunk, words: words.into_iter().collect(), worker };
        // When the tally can't be told, the panic has the chunk counted again later.
        self.tally.tell(counted).await.expect("the tally takes the words");
    }
}
// ANCHOR_END: mapper

// ANCHOR: tally
#[derive(Actor)]
struct Tally {
    job: u64,
    chunks: HashSet<u64>,
    words: HashMap<String, u64>,
    workers: HashMap<String, u64>,
}

#[handlers]
impl Tally {
    #[handle]
    fn counted(&mut self, Counted { job, chunk, words, worker }: Counted) {
        // What an earlier run left in the stream is not ours; what we have, we have.
        if job == self.job && self.chunks.insert(chunk) {
            *self.workers.entry(worker).or_default() += 1;
            for (word, count) in words {
                *self.words.entry(word).or_default() += count;
            }
        }
    }
    // ANCHOR_END: tally

    #[handle]
    fn chunks_done(&mut self, _: ChunksDone) -> u64 {
        self.chunks.len() as u64
    }

    #[handle]
    fn top_words(&mut self, TopWords(top): TopWords) -> Vec<(String, u64)> {
        let mut words = most_first(&self.words);
        words.truncate(top);
        words
    }

    #[handle]
    fn chunks_by_worker(&mut self, _: ChunksByWorker) -> Vec<(String, u64)> {
        most_first(&self.workers)
    }
}

fn most_first(counts: &HashMap<String, u64>) -> Vec<(String, u64)> {
    let mut sorted: Vec<_> = counts.iter().map(|(name, n)| (name.clone(), *n)).collect();
    sorted.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
    sorted
}

#[callboard::main]
async fn main(system: System) -> callboard::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| ".".to_owned());
    let top = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(TOP);
    if folder == "worker" { work(&system).await } else { count(&system, &folder, top).await }
}

// ANCHOR: serve
async fn serve_mapper(system: &System) -> callboard::Result<()> {
    let tally: ServiceRef<Tally> = system.service("tally");
    system.serve("mapper", move || Mapper { tally: tally.clone() }).instances(2).await?;
    Ok(())
}

async fn work(system: &System) -> callboard::Result<()> {
    serve_mapper(system).await?;
    println!("{} counts; interrupt it to stop", system.node());
    tokio::signal::ctrl_c().await?;
    Ok(())
}
// ANCHOR_END: serve

async fn count(system: &System, folder: &str, top: usize) -> callboard::Result<()> {
    let files = text_files(Path::new(folder))?;
    // Random, so that no other run has the same.
    let job = system.incarnation().to_u128() as u64;
    let factory = move || Tally {
        job,
        chunks: HashSet::new(),
        words: HashMap::new(),
        workers: HashMap::new(),
    };
    system.serve("tally", factory).await?;
    serve_mapper(system).await?;
    let tally: ServiceRef<Tally> = system.service("tally");
    // ANCHOR: tell
    let mapper: ServiceRef<Mapper> = system.service("mapper");
    let mut chunks = 0;
    for file in &files {
        for text in cut(&fs::read(file)?) {
            let count = Count { job, chunk: chunks, text: text.to_vec() };
            mapper.tell(count).buffered().await?;
            chunks += 1;
        }
    }
    // ANCHOR_END: tell
    loop {
        let done = tally.ask(ChunksDone).await?;
        show_progress(done, chunks)?;
        if done == chunks {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{} files in {chunks} chunks; the most frequent words:", files.len());
    for (word, count) in tally.ask(TopWords(top)).await? {
        println!("{count:>8} {word}");
    }
    for (worker, chunks) in tally.ask(ChunksByWorker).await? {
        println!("{chunks} chunks were counted by {worker}");
    }
    Ok(())
}

/// The text files below a folder, in order.
fn text_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let (entry, kind) =
                entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
            let name = entry.file_name();
            if kind.is_dir() && name != "target" && !name.as_encoded_bytes().starts_with(b".") {
                folders.push(entry.path());
            } else if kind.is_file() && is_text(&fs::read(entry.path())?) {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.is_empty() && !bytes.contains(&0)
}

/// Cuts between words, in pieces of about [`CHUNK_BYTES`].
fn cut(mut text: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let at = CHUNK_BYTES.min(text.len());
        let more = text[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let (piece, rest) = text.split_at(at + more);
        pieces.push(piece);
        text = rest;
    }
    pieces
}

fn show_progress(done: u64, of: u64) -> io::Result<()> {
    let mut out = io::stderr();
    if out.is_terminal() {
        let filled = (40 * done / of.max(1)) as usize;
        write!(out, "\r[{:<40}] {done}/{of}", "#".repeat(filled))?;
        if done == of {
            writeln!(out)?;
        }
        out.flush()?;
    }
    Ok(())
}
