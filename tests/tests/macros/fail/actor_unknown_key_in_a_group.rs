use callboard::prelude::*;

#[derive(Actor)]
#[actor(mailbox(capactiy = 5))]
struct Counter;

#[handlers]
impl Counter {}

fn main() {}
