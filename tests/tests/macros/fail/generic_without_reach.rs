use callboard::prelude::*;

#[derive(Message)]
struct Put<T>(T);

#[derive(Actor)]
struct Store<T>(T);

#[handlers]
impl<T: Send + 'static> Store<T> {
    #[handle]
    fn put(&mut self, Put(value): Put<T>) {
        self.0 = value;
    }
}

fn main() {}
