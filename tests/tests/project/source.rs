//! Finds the files of the repository and reads their tokens.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().expect("the tests are a folder of the repository").to_path_buf()
}

/// The files below a folder of the repository with this ending, in order; none when the folder is
/// not there.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root().join(folder), ending, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            // Build output; and drafts, which git ignores.
            if !path.ends_with("target") && !path.ends_with("wip") {
                collect(&path, ending, found);
            }
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A path as people write it: from the top of the repository.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// A token and its line. Literals and comments are left out: what is in them is not code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// All tokens of a source file in order, brackets included.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let stream: TokenStream = text.parse().expect("the source has balanced tokens");
    flatten(stream)
}

pub(crate) fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut flat = Vec::new();
    flatten_into(stream, &mut flat);
    flat
}

fn flatten_into(stream: TokenStream, flat: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                flat.push(Token { text: open.to_owned(), line });
                flatten_into(group.stream(), flat);
                flat.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
            TokenTree::Ident(ident) => flat.push(Token { text: ident.to_string(), line }),
            TokenTree::Punct(punct) => flat.push(Token { text: punct.to_string(), line }),
            TokenTree::Literal(_) => {}
        }
    }
}

/// Lines where these tokens stand in a row.
pub(crate) fn lines_with(tokens: &[Token], wanted: &[&str]) -> Vec<usize> {
    tokens
        .windows(wanted.len())
        .filter(|window| window.iter().zip(wanted).all(|(token, text)| token.text == *text))
        .map(|window| window[0].line)
        .collect()
}

#[test]
fn tokens_leave_out_literals_and_comments() {
    let found = tokens("fn f() {\n  // libc\n  g(\"unix\");\n}");
    let texts: Vec<_> = found.iter().map(|token| token.text.as_str()).collect();
    assert_eq!(texts, ["fn", "f", "(", ")", "{", "g", "(", ")", ";", "}"]);
    assert_eq!(lines_with(&found, &["g", "("]), [3]);
}
