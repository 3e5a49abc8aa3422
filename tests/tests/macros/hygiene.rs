//! The output means the same whatever names the user has taken.

mod surroundings {
    #![allow(dead_code, non_camel_case_types)]

    // Every name that generated code might be tempted to use unqualified.
    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct Box;
    pub(super) struct Vec;
    pub(super) struct String;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Future;
    pub(super) struct Send;
    pub(super) struct Default;
    pub(super) struct Into;
    pub(super) struct Handlers;
    pub(super) struct Envelope;
    pub(super) struct Infallible;
    pub(super) mod std {}
    pub(super) mod core {}
    pub(super) mod callboard {}

    #[derive(::callboard::Message, ::serde::Serialize, ::serde::Deserialize)]
    #[message(reply = u64)]
    pub(super) struct Add(pub(super) u64);

    #[derive(::callboard::Message)]
    #[message(reply = u64, error = Refused)]
    pub(super) struct Get;

    #[derive(Debug)]
    pub(super) struct Refused;

    impl ::std::fmt::Display for Refused {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str("refused")
        }
    }

    impl ::std::error::Error for Refused {}

    #[derive(::callboard::Message)]
    pub(super) struct Stop;

    #[derive(::callboard::Actor)]
    #[actor(mailbox(capacity = 8, overflow = "reject"), restart(backoff = "1s..2s"))]
    pub(super) struct Counter {
        pub(super) total: u64,
    }

    // Methods with the names that the generated traits use.
    #[::callboard::handlers]
    impl Counter {
        #[started]
        fn __started(&mut self) {
            self.total += 1;
        }

        #[handle]
        fn __step(&mut self, Add(ctx): Add) -> u64 {
            self.total += ctx;
            self.total
        }

        #[handle]
        async fn handle(
            &mut self,
            _: Get,
            __ctx: &mut ::callboard::Ctx<Self>,
        ) -> ::std::result::Result<u64, Refused> {
            ::std::result::Result::Ok(self.total)
        }

        #[handle(local)]
        fn r#move(&mut self, _: Stop) {
            self.total = 0;
        }

        #[every("1h")]
        fn __tick(&mut self) {}

        pub(super) fn new() -> Self {
            Self { total: 0 }
        }
    }
}

use surroundings::{Add, Counter, Get, Stop};

#[callboard::test]
async fn generated_code_names_nothing_of_its_surroundings(
    system: callboard::System,
) -> callboard::Result<()> {
    let counter = system.spawn(Counter::new)?;
    assert_eq!(counter.ask(Add(1)).await?, 2);
    assert_eq!(counter.ask(Get).await?, 2);
    counter.ask(Stop).await?;
    assert_eq!(counter.ask(Get).await?, 0);
    Ok(())
}
