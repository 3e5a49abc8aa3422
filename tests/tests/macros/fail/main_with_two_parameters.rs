use callboard::prelude::*;

#[callboard::main]
async fn main(one: System, two: System) {}
