use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "add")]
struct AddV1(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(version = 2, from = AddV1)]
struct Add(u64, String);

impl From<AddV1> for Add {
    fn from(AddV1(n): AddV1) -> Self {
        Add(n, String::new())
    }
}

fn main() {}
