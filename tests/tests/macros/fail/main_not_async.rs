#[callboard::main]
fn main() {}
