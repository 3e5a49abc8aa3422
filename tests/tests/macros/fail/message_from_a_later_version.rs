use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "Add", version = 3)]
struct AddV3(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(version = 3, from = AddV3)]
struct Add(u64, String);

impl From<AddV3> for Add {
    fn from(AddV3(n): AddV3) -> Self {
        Add(n, String::new())
    }
}

fn main() {}
