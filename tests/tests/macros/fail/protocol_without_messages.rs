use callboard::prelude::*;

callboard::protocol!(pub Api);

fn main() {}
