//! The macros as a user meets them: what compiles, and what is said about mistakes.
//!
//! After a meant change of a message run once with `TRYBUILD=overwrite` and look at each pin.

mod hygiene;
mod renamed;

/// One compilation for all, since each case would otherwise build the dependencies again.
#[test]
fn mistakes_are_pinned_and_the_rest_compiles() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/macros/pass/*.rs");
    cases.compile_fail("tests/macros/fail/*.rs");
}
