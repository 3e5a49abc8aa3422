//! A counter that is told, asked, broken and found by name: `cargo run --example quickstart`.

use callboard::prelude::*;

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
struct Add(u64);

#[derive(Message, Serialize, Deserialize, Debug)]
#[message(reply = u64)]
struct Get;

#[derive(Actor, Default)]
struct Counter {
    total: u64,
}

#[handlers]
impl Counter {
    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        assert!(n != 13, "thirteen is unlucky");
        self.total += n;
        self.total
    }

    #[handle]
    async fn get(&mut self, _: Get) -> u64 {
        self.total
    }
}

#[callboard::main]
async fn main() -> callboard::Result<()> {
    let system = System::start().await?;

    // An actor is spawned from a factory, so that it can be built again.
    let counter = system.spawn(Counter::default)?;
    counter.tell(Add(2)).await?;
    println!("told 2, asked to add 3: the total is {}", counter.ask(Add(3)).await?);

    // A panic costs the message in hand. What is queued behind it is kept, and a fresh counter
    // takes over behind the same address.
    let (broken, kept) = tokio::join!(counter.ask(Add(13)), counter.ask(Add(40)));
    println!("asked to add 13: {}", broken.expect_err("the handler panics"));
    println!("the message behind it was kept: the total is {}", kept?);

    // A service is found by name, in this process or in another.
    system.serve("counter", Counter::default).instances(2).await?;
    let anywhere: ServiceRef<Counter> = system.service("counter");
    println!("the service `counter` answers {}", anywhere.ask(Add(7)).await?);

    system.shutdown().await
}
