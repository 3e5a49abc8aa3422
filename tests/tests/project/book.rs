//! The book's links lead somewhere, its summary is whole, and its code is compiled.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use crate::source::{files, read, root, shown};

/// Pieces that pages include; not pages themselves.
const FRAGMENTS: &str = "book/src/figures/";

/// Where the pages become doctests.
const DOCTESTS: &str = "tests/src/book.rs";

/// A code block: what follows its opening marks, and the line of these.
#[derive(Debug, PartialEq)]
pub(crate) struct Fence {
    pub(crate) info: String,
    pub(crate) line: usize,
}

/// The code blocks of a page.
pub(crate) fn fences(markdown: &str) -> Vec<Fence> {
    split(markdown).1
}

/// Lines outside code blocks with their numbers, and the blocks.
fn split(markdown: &str) -> (Vec<(usize, &str)>, Vec<Fence>) {
    let mut prose = Vec::new();
    let mut blocks = Vec::new();
    let mut open: Option<(char, usize)> = None;
    for (index, line) in markdown.lines().enumerate() {
        let text = line.trim_start().trim_start_matches("> ").trim_start();
        let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'));
        let length = mark.map_or(0, |mark| text.chars().take_while(|c| *c == mark).count());
        let rest = text.get(length..).unwrap_or("").trim();
        match (open, mark) {
            (None, Some(mark)) if length >= 3 && !rest.contains('`') => {
                open = Some((mark, length));
                blocks.push(Fence { info: rest.to_owned(), line: index + 1 });
            }
            (Some((opened, least)), Some(mark))
                if opened == mark && length >= least && rest.is_empty() =>
            {
                open = None;
            }
            (None, _) => prose.push((index + 1, line)),
            (Some(_), _) => {}
        }
    }
    (prose, blocks)
}

/// A line without the code spans in it.
fn without_spans(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// The targets of a page's links and includes, with their lines.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in split(markdown).0 {
        let line = without_spans(line);
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            let target = rest.split([')', ' ']).next().unwrap_or("");
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
        if let Some((label, target)) = line.trim_start().split_once("]: ")
            && label.starts_with('[')
        {
            found.push((number, target.split(' ').next().unwrap_or("").to_owned()));
        }
        for mark in ["{{#include ", "{{#rustdoc_include ", "{{#playground "] {
            for (at, _) in line.match_indices(mark) {
                let rest = &line[at + mark.len()..];
                let target = rest.split(['}', ':', ' ']).next().unwrap_or("");
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// The anchors that a page's headings get, as mdBook and GitHub make them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (_, line) in split(markdown).0 {
        let level = line.chars().take_while(|c| *c == '#').count();
        let Some(heading) = line[level..].strip_prefix(' ').filter(|_| (1..=6).contains(&level))
        else {
            continue;
        };
        let slug: String = heading
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || matches!(c, '-' | '_') => Some(c),
                _ => None,
            })
            .collect();
        let before = seen.entry(slug.clone()).or_default();
        found.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
        *before += 1;
    }
    found
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// What is wrong with a page's links. `load` gives the text of a file; pages of the book link
/// within the book only, as nothing else is there when it is rendered.
fn broken_links(
    page: &Path,
    markdown: &str,
    book: Option<&Path>,
    load: &dyn Fn(&Path) -> Option<String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, link) in links(markdown) {
        let is_elsewhere = ["https://", "http://", "mailto:"].iter().any(|s| link.starts_with(s));
        if is_elsewhere {
            continue;
        }
        let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let target = match target {
            "" => page.to_path_buf(),
            target => plain(&page.with_file_name("").join(target)),
        };
        let text = if target == page { Some(markdown.to_owned()) } else { load(&target) };
        let is_page = target.extension().is_some_and(|extension| extension == "md");
        let reason = match text {
            None => "no such file",
            Some(text) if !anchor.is_empty() && !anchors(&text).contains(anchor) => {
                "no such anchor"
            }
            Some(_) if is_page && book.is_some_and(|book| !target.starts_with(book)) => {
                "leaves the book"
            }
            Some(_) => continue,
        };
        wrong.push(format!("{}:{line}: {link}: {reason}", shown(page)));
    }
    wrong
}

/// Pages that the summary does not list, and entries without a page, each with what it is.
fn summary_gaps(summary: &str, pages: &[String]) -> Vec<String> {
    let listed: Vec<String> = links(summary).into_iter().map(|(_, link)| link).collect();
    let mut wrong = Vec::new();
    for page in pages.iter().filter(|page| !listed.contains(page)) {
        wrong.push(format!("{page} is not listed"));
    }
    for (index, entry) in listed.iter().enumerate() {
        if !pages.contains(entry) {
            wrong.push(format!("{entry:?} is listed, but there is no such page"));
        }
        if listed[..index].contains(entry) {
            wrong.push(format!("{entry} is listed twice"));
        }
    }
    wrong
}

/// Whether rustdoc takes a code block for Rust, which it does unless told otherwise.
fn is_rust(fence: &Fence) -> bool {
    let words = fence.info.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty());
    let attributes = ["no_run", "should_panic", "compile_fail", "ignore", "standalone"];
    words.into_iter().next().is_none_or(|word| {
        word == "rust" || attributes.contains(&word) || word.starts_with("edition")
    })
}

/// Pages with Rust code that no doctest includes.
fn not_compiled<'a>(pages: &'a [(String, String)], doctests: &str) -> Vec<&'a str> {
    pages
        .iter()
        .filter(|(_, text)| fences(text).iter().any(is_rust))
        .filter(|(page, _)| !doctests.contains(&format!("include_str!(\"../../{page}\")")))
        .map(|(page, _)| page.as_str())
        .collect()
}

/// Every page of the book and the README, by their paths.
fn pages() -> Vec<PathBuf> {
    let mut pages = files("book/src", "md");
    pages.push(root().join("README.md"));
    pages
}

#[test]
fn every_link_leads_to_a_file_and_an_anchor() {
    let book = root().join("book/src");
    let load = |path: &Path| {
        path.is_file().then(|| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
    };
    let mut wrong = Vec::new();
    for page in pages() {
        let within = page.starts_with(&book).then_some(book.as_path());
        wrong.extend(broken_links(&page, &read(&page), within, &load));
    }
    assert!(wrong.is_empty(), "broken links:\n{}", wrong.join("\n"));
}

#[test]
fn the_summary_lists_every_page() {
    let listable: Vec<_> = files("book/src", "md")
        .iter()
        .map(|page| shown(page))
        .filter(|page| !page.starts_with(FRAGMENTS) && page != "book/src/SUMMARY.md")
        .map(|page| page["book/src/".len()..].to_owned())
        .collect();
    assert!(!listable.is_empty(), "the book has no pages");
    let wrong = summary_gaps(&read(&root().join("book/src/SUMMARY.md")), &listable);
    assert!(wrong.is_empty(), "book/src/SUMMARY.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_code_of_every_page_is_a_doctest() {
    let pages: Vec<_> = pages().iter().map(|page| (shown(page), read(page))).collect();
    let doctests = read(&root().join(DOCTESTS));
    let missing = not_compiled(&pages, &doctests);
    assert!(missing.is_empty(), "add to {DOCTESTS}, so that their code is compiled: {missing:?}");
}

#[test]
fn every_code_block_names_its_language() {
    let mut wrong = Vec::new();
    for page in pages() {
        let bare = fences(&read(&page)).into_iter().filter(|fence| fence.info.is_empty());
        wrong.extend(bare.map(|fence| format!("{}:{}", shown(&page), fence.line)));
    }
    assert!(wrong.is_empty(), "rustdoc takes these for Rust; write ```text:\n{}", wrong.join("\n"));
}

#[test]
fn broken_links_are_caught() {
    let page = root().join("book/src/a/one.md");
    let book = root().join("book/src");
    let load = |path: &Path| match shown(path).as_str() {
        "book/src/two.md" => Some("# Two words, `so`\n\n## Again\n\n## Again\n".to_owned()),
        "README.md" | "book/src/a/three.md" => Some(String::new()),
        _ => None,
    };
    let check = |text: &str| broken_links(&page, text, Some(&book), &load);
    for broken in [
        "[x](two.md)",
        "[x](../two.md#three)",
        "[x](#nothing)\n# Something",
        "[x](../two.md#again-2)",
        "[x](../../../README.md)",
        "[x][y]\n\n[y]: gone.md",
        "{{#include gone.md}}",
        "![a picture](gone.png)",
        "[good](three.md) and [x](gone.md)",
        "[x](../two.md#wo \"title\")",
    ] {
        assert_eq!(check(broken).len(), 1, "not caught: {broken}");
    }
    for whole in [
        "[x](../two.md)",
        "[x](../two.md#two-words-so)",
        "[x](../two.md#again) [x](../two.md#again-1)",
        "[x](#some-thing)\n\n### Some thing!",
        "[x](three.md) <https://example.org> [x](https://example.org/#a)",
        "`[x](gone.md)`",
        "```text\n[x](gone.md)\n```",
        "````text\n```\n[x](gone.md)\n````\n[x](three.md)",
    ] {
        assert_eq!(check(whole), [""; 0], "{whole}");
    }
}

#[test]
fn gaps_in_the_summary_are_caught() {
    let pages = ["one.md".to_owned(), "two.md".to_owned()];
    let gaps = |summary: &str| summary_gaps(summary, &pages).len();
    assert_eq!(gaps("# Summary\n\n- [One](one.md)\n  - [Two](two.md)\n"), 0);
    assert_eq!(gaps("- [One](one.md)\n"), 1);
    assert_eq!(gaps("- [One](one.md)\n- [Two](two.md)\n- [Three](three.md)\n"), 1);
    assert_eq!(gaps("- [One](one.md)\n- [Two](two.md)\n- [Two](two.md)\n"), 1);
    assert_eq!(gaps("- [One](one.md)\n- [Two]()\n"), 2);
}

#[test]
fn a_page_whose_code_is_not_compiled_is_caught() {
    let page = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let pages = [
        page("book/src/a.md", "```rust\nlet a = 1;\n```\n"),
        page("book/src/b.md", "```no_run\nlet a = 1;\n```\n"),
        page("book/src/c.md", "```text\nno code\n```\n\n```sh\nls\n```\n"),
        page("README.md", "```rust\nlet a = 1;\n```\n"),
    ];
    let doctests = "#[doc = include_str!(\"../../book/src/a.md\")]";
    assert_eq!(not_compiled(&pages, doctests), ["book/src/b.md", "README.md"]);
}
