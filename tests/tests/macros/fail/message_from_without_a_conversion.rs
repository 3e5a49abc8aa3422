use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "Add")]
struct AddV1(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(version = 2, from = AddV1)]
struct Add(u64, String);

fn main() {}
