//! Forms that compile.
use std::{collections::HashMap, rc::Rc};

use callboard::prelude::*;

/// Outcomes of several kinds.
#[derive(Message, Serialize, Deserialize)]
#[message(reply = HashMap<String, Vec<u8>>)]
struct All;

#[derive(Message)]
enum Either<T: Clone> where T: std::fmt::Debug {
    #[allow(dead_code)]
    Left(T),
    Right,
}

#[derive(Debug)]
struct Refused;
impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}
impl std::error::Error for Refused {}

#[derive(Message)]
#[message(reply = u8, error = Refused)]
struct Try;

#[derive(Actor)]
struct Nothing;
#[handlers]
impl Nothing {}

#[derive(Actor)]
#[actor(breaker, name = "holder")]
struct Holder {
    _local: Rc<()>,
}

macro_rules! through_a_macro {
    ($message:ty, $reply:ty) => {
        #[handlers]
        impl Holder {
            #[handle]
            fn all(&mut self, _: $message) -> $reply {
                HashMap::new()
            }

            #[handle]
            fn try_it(&self, ctx: &mut Ctx<Self>, _: Try) -> Result<u8, Refused> {
                if ctx.name().is_empty() { Err(Refused) } else { Ok(1) }
            }

            #[handle]
            async fn either(&mut self, (message): (Either<u8>)) {
                drop(message);
            }

            #[stopped]
            fn stopped(&mut self) {}

            #[started]
            async fn started(&mut self) -> Result<(), Refused> {
                Ok(())
            }
        }
    };
}
through_a_macro!(All, HashMap<String, Vec<u8>>);

fn main() {
    fn in_a_function() {
        #[derive(Message)]
        struct Local;

        #[derive(Actor)]
        struct Inner;

        #[handlers]
        impl Inner {
            #[handle]
            fn local(&mut self, _: Local) {}
        }
    }
    in_a_function();
    drop(Either::<u8>::Right);
    assert_eq!((Nothing::NAME, Holder::NAME), ("Nothing", "holder"));
}
