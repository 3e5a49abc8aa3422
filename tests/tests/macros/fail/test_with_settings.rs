use callboard::prelude::*;

#[callboard::test(start_paused = false)]
async fn a_test() {}

fn main() {}
