use callboard::prelude::*;

#[derive(Actor)]
struct Counter<'a>(&'a str);

fn main() {}
