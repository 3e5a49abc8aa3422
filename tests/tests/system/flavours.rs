//! The same interface under other runtimes, with other types in scope, and with actix on either side.

use callboard::prelude::*;

use crate::support::{Add, Counter, Get};

mod with_tokio {
    use super::*;

    #[tokio::main]
    pub(super) async fn main() -> callboard::Result<()> {
        let system = System::start().await?;
        let counter = system.spawn(Counter::default)?;
        assert_eq!(counter.ask(Add(3)).await?, 3);
        // From another task, on another thread of tokio's.
        let elsewhere = tokio::spawn(async move { counter.ask(Get).await });
        assert_eq!(elsewhere.await.expect("it ran to its end")?, 3);
        system.shutdown().await
    }
}

#[test]
fn it_works_under_tokio() {
    with_tokio::main().expect("a system under tokio");
}

mod with_a_system {
    use super::*;

    #[callboard::main]
    pub(super) async fn main(system: System) -> callboard::Result<u64> {
        let counter = system.spawn(Counter::default)?;
        Ok(counter.ask(Add(3)).await?)
    }
}

#[test]
fn main_may_take_a_started_system() {
    assert_eq!(with_a_system::main().expect("a system"), 3);
}

/// What a user may have in scope without breaking the macros' output.
mod with_names_of_ones_own {
    #![allow(dead_code, clippy::disallowed_names)]

    use std::rc::Rc;

    use callboard::{Actor, Message, System, handlers};

    pub(super) struct Result;
    pub(super) struct Option;
    struct Box;
    struct Vec;
    struct String;
    #[allow(non_camel_case_types)]
    struct Some;
    struct None;
    struct Ok;
    struct Err;

    #[derive(Message, serde::Serialize, serde::Deserialize)]
    #[message(reply = u8)]
    pub(super) struct Tick;

    /// Not `Send`, and generic.
    #[derive(Actor)]
    pub(super) struct Clock<T: Clone + Send + 'static>
    where
        T: std::fmt::Debug,
    {
        pub(super) count: Rc<std::cell::Cell<u8>>,
        pub(super) label: T,
    }

    #[handlers]
    impl<T: Clone + Send + 'static> Clock<T>
    where
        T: std::fmt::Debug,
    {
        #[handle]
        fn tick(&mut self, _: Tick) -> u8 {
            self.count.set(self.count.get() + 1);
            self.count.get()
        }

        #[handle(local)]
        async fn label(&mut self, _: Label<T>) -> T {
            self.label.clone()
        }
    }

    #[derive(Message)]
    #[message(reply = T)]
    pub(super) struct Label<T: 'static>(std::marker::PhantomData<fn() -> T>)
    where
        T: Send;

    impl<T: Send + 'static> Label<T> {
        pub(super) fn new() -> Self {
            Self(std::marker::PhantomData)
        }
    }

    pub(super) async fn run(system: &System) -> (u8, &'static str) {
        let clock = system
            .spawn(|| Clock { count: Rc::default(), label: "hall" })
            .expect("the system is up");
        let label = clock.ask(Label::<&'static str>::new()).await.expect("an answer");
        (clock.ask(Tick).await.expect("an answer"), label)
    }
}

#[callboard::test]
async fn names_of_ones_own_generics_and_rc_do_no_harm(system: System) {
    assert_eq!(with_names_of_ones_own::run(&system).await, (1, "hall"));
}

/// A message of both worlds.
#[derive(Message, Serialize, Deserialize, actix::Message)]
#[message(reply = u64)]
#[rtype(result = "u64")]
struct Double(u64);

struct Doubler;

impl actix::Actor for Doubler {
    type Context = actix::Context<Self>;
}

impl actix::Handler<Double> for Doubler {
    type Result = u64;

    fn handle(&mut self, Double(n): Double, _: &mut actix::Context<Self>) -> u64 {
        n * 2
    }
}

/// The same in callboard.
#[derive(Actor)]
struct CallboardDoubler;

#[handlers]
impl CallboardDoubler {
    #[handle]
    async fn double(&mut self, Double(n): Double) -> u64 {
        assert!(n != 13, "unlucky");
        n * 2
    }
}

mod with_actix {
    use actix::Actor as _;
    use callboard::ServiceRef;

    use super::*;

    #[callboard::main]
    pub(super) async fn main(system: System) -> callboard::Result<()> {
        // An actix actor as a callboard service.
        let doubler = Doubler.start();
        let served = system.serve_actix::<Double>("doubler", doubler.recipient()).await?;
        let as_message: Recipient<Double> = served.addresses()[0].recipient();
        assert_eq!(as_message.ask(Double(4)).await?, 8);
        let service: ServiceRef<callboard::ActixService<Double>> = system.service("doubler");
        assert_eq!(service.ask(Double(21)).await?, 42);

        // A callboard actor as an actix recipient.
        let ours = system.spawn(|| CallboardDoubler)?;
        let recipient: actix::Recipient<Double> = system.actix_recipient(&ours)?;
        assert_eq!(recipient.send(Double(5)).await.expect("an answer"), 10);
        assert!(recipient.send(Double(13)).await.is_err(), "its handler panics");
        assert_eq!(recipient.send(Double(6)).await.expect("a fresh one"), 12);
        Ok(())
    }
}

#[test]
fn actix_actors_work_on_either_side() {
    with_actix::main().expect("both directions");
}

mod with_actix_web {
    use std::{
        io::{Read, Write},
        net::{SocketAddr, TcpStream},
    };

    use actix_web::{App, HttpServer, web};

    use super::*;

    async fn add(counter: web::Data<ServiceRef<Counter>>, n: web::Path<u64>) -> String {
        match counter.ask(Add(n.into_inner())).await {
            Ok(total) => total.to_string(),
            Err(error) => format!("no answer: {error}"),
        }
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).expect("the server listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .expect("the server takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned()
    }

    #[actix_web::main]
    pub(super) async fn main() -> callboard::Result<Vec<String>> {
        let system = System::start().await?;
        system.serve("counter", Counter::default).await?;
        let counter = web::Data::new(system.service::<Counter>("counter"));
        let app =
            move || App::new().app_data(counter.clone()).route("/add/{n}", web::get().to(add));
        let server = HttpServer::new(app).workers(2).bind(("127.0.0.1", 0))?;
        let address = server.addrs()[0];
        let running = server.run();
        let handle = running.handle();
        let answers = tokio::task::spawn_blocking(move || {
            ["/add/2", "/add/3", "/add/13", "/add/4"].map(|path| get(address, path)).to_vec()
        });
        let (served, answers) = tokio::join!(running, async {
            let answers = answers.await.expect("the requests were made");
            handle.stop(true).await;
            answers
        });
        served?;
        system.shutdown().await?;
        Ok(answers)
    }
}

#[test]
fn handlers_of_an_actix_web_server_ask_actors() {
    let answers = with_actix_web::main().expect("a server that serves and stops");
    assert_eq!(answers[..2], ["2", "5"]);
    assert!(answers[2].starts_with("no answer: the handler panicked"), "{}", answers[2]);
    assert_eq!(answers[3], "4", "a fresh counter");
}
