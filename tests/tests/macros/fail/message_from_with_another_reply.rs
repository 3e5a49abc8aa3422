use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "Add", reply = u64)]
struct AddV1(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(version = 2, from = AddV1, reply = String)]
struct Add(u64);

impl From<AddV1> for Add {
    fn from(AddV1(n): AddV1) -> Self {
        Add(n)
    }
}

fn main() {}
