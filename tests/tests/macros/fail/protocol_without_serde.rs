use callboard::prelude::*;

#[derive(Message)]
struct Plain;

callboard::protocol!(pub Api { Plain });

fn main() {}
