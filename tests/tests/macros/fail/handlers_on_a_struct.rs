use callboard::prelude::*;

#[handlers]
struct Counter;

fn main() {}
