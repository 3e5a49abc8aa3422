use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize)]
#[message(name = "Add")]
struct AddV1(u64);

#[derive(Message, Serialize, Deserialize)]
#[message(name = "Add", version = 2, from = AddV1)]
struct AddV2(u64);

impl From<AddV1> for AddV2 {
    fn from(AddV1(n): AddV1) -> Self {
        AddV2(n)
    }
}

#[derive(Message, Serialize, Deserialize)]
#[message(name = "Add", version = 3, from = AddV2)]
struct AddV3(u64);

impl From<AddV2> for AddV3 {
    fn from(AddV2(n): AddV2) -> Self {
        AddV3(n)
    }
}

#[derive(Actor)]
struct Counter;

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, _: AddV3) {}

    #[handle]
    fn add_as_before(&mut self, _: AddV1) {}
}

fn main() {}
