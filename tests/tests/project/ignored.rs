//! Nothing is switched off: no test, no example in the docs, no code left for later.

use crate::{
    book::fences,
    source::{Token, files, lines_with, read, root, shown, tokens},
};

/// Lines of code that is switched off or left out, with what stands there.
fn left_out(tokens: &[Token]) -> Vec<(usize, &'static str)> {
    let patterns: [(&[&str], &str); 5] = [
        (&["#", "[", "ignore"], "#[ignore]"),
        (&[",", "ignore", "]"], "ignore within an attribute"),
        (&[",", "ignore", ")"], "ignore within an attribute"),
        (&["todo", "!"], "todo!"),
        (&["unimplemented", "!"], "unimplemented!"),
    ];
    patterns
        .into_iter()
        .flat_map(|(wanted, name)| {
            lines_with(tokens, wanted).into_iter().map(move |line| (line, name))
        })
        .collect()
}

/// The doc comments of a source file as text, one line for each line of the file.
fn doc_comments(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        doc.map_or("", |doc| doc.strip_prefix(' ').unwrap_or(doc))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines where a code block starts that rustdoc would not compile.
fn ignored_blocks(markdown: &str) -> Vec<usize> {
    fences(markdown)
        .into_iter()
        .filter(|fence| {
            let mut words = fence.info.split([',', ' ']).map(str::trim);
            words.any(|word| word == "ignore" || word.starts_with("ignore-"))
        })
        .map(|fence| fence.line)
        .collect()
}

#[test]
fn no_test_and_no_code_is_left_out() {
    let mut wrong = Vec::new();
    for folder in ["src", "macros", "tests", "examples", "benches"] {
        for file in files(folder, "rs") {
            for (line, what) in left_out(&tokens(&read(&file))) {
                wrong.push(format!("{}:{line}: {what}", shown(&file)));
            }
        }
    }
    assert!(wrong.is_empty(), "finish it or take it out:\n{}", wrong.join("\n"));
}

#[test]
fn every_code_block_is_compiled() {
    let mut wrong = Vec::new();
    for file in files("src", "rs").into_iter().chain(files("macros/src", "rs")) {
        for line in ignored_blocks(&doc_comments(&read(&file))) {
            wrong.push(format!("{}:{line}", shown(&file)));
        }
    }
    for page in files("book/src", "md").into_iter().chain([root().join("README.md")]) {
        for line in ignored_blocks(&read(&page)) {
            wrong.push(format!("{}:{line}", shown(&page)));
        }
    }
    assert!(wrong.is_empty(), "`ignore` hides code from the compiler:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_left_out_is_caught() {
    for sample in [
        "#[test]\n#[ignore]\nfn f() {}",
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        "#[cfg_attr(windows, ignore)]\nfn f() {}",
        "fn f() { todo!() }",
        "fn f() { std::unimplemented!(\"later\") }",
    ] {
        assert_eq!(left_out(&tokens(sample)).len(), 1, "not caught: {sample}");
    }
    assert!(left_out(&tokens("// todo!()\nfn ignore() -> &'static str { \"todo!\" }")).is_empty());
}

#[test]
fn a_hidden_code_block_is_caught() {
    let source = "/// Sends.\n///\n/// ```rust,ignore\n/// send();\n/// ```\nfn send() {}";
    assert_eq!(ignored_blocks(&doc_comments(source)), [3]);
    assert_eq!(ignored_blocks("~~~ignore\nx\n~~~\n"), [1]);
    assert_eq!(ignored_blocks("```rust,no_run\nignore();\n```\n"), [0; 0]);
}
