//! Counts the words in a folder of text files: `cargo run --release --example wordcount [FOLDER]`.
//!
//! The main program cuts the files into chunks and tells them to the service `mapper`, whose
//! instances compete for them; each counts its chunk and tells the result to the service `tally`.
//! Messages are handled *at least* once, so a chunk may be counted twice: the tally takes it once.
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
    chunk: u64,
    text: Vec<u8>,
}

#[derive(Message, Serialize, Deserialize)]
struct Counted {
    chunk: u64,
    words: Vec<(String, u64)>,
}
// ANCHOR_END: messages
#[derive(Message, Serialize, Deserialize)]
#[message(reply = u64)]
struct ChunksDone;

#[derive(Message, Serialize, Deserialize)]
#[message(reply = Vec<(String, u64)>)]
struct TopWords(usize);

// ANCHOR: mapper
#[derive(Actor)]
struct Mapper {
    tally: ServiceRef<Tally>,
}

#[handlers]
impl Mapper {
    #[handle]
    async fn count(&mut self, Count { chunk, text }: Count) {
        let mut words: HashMap<String, u64> = HashMap::new();
        for word in text.split(|byte| !byte.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
            *words.entry(String::from_utf8_lossy(word).to_ascii_lowercase()).or_default() += 1;
        }
        let counted = Counted { chunk, words: words.into_iter().collect() };
        // When the tally can't be told, the panic has the chunk counted again later.
        self.tally.tell(counted).await.expect("the tally takes the words");
    }
}
// ANCHOR_END: mapper

// ANCHOR: tally
#[derive(Actor, Default)]
struct Tally {
    chunks: HashSet<u64>,
    words: HashMap<String, u64>,
}

#[handlers]
impl Tally {
    #[handle]
    fn counted(&mut self, Counted { chunk, words }: Counted) {
        if self.chunks.insert(chunk) {
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
        let mut words: Vec<_> = self.words.iter().map(|(word, n)| (word.clone(), *n)).collect();
        words.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        words.truncate(top);
        words
    }
}

#[callboard::main]
async fn main(system: System) -> callboard::Result<()> {
    let mut arguments = env::args().skip(1);
    let folder = arguments.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let top = arguments.next().and_then(|number| number.parse().ok()).unwrap_or(TOP);

    // ANCHOR: serve
    system.serve("tally", Tally::default).await?;
    let tally: ServiceRef<Tally> = system.service("tally");
    let for_mappers = tally.clone();
    let factory = move || Mapper { tally: for_mappers.clone() };
    system.serve("mapper", factory).instances(2).await?;
    let mapper: ServiceRef<Mapper> = system.service("mapper");
    // ANCHOR_END: serve

    let files = text_files(&folder)?;
    // ANCHOR: tell
    let mut chunks = 0;
    for file in &files {
        for text in cut(&fs::read(file)?) {
            mapper.tell(Count { chunk: chunks, text: text.to_vec() }).buffered().await?;
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
