//! The conformance suites: the embedded backends pass them, and each case is seen to fail on an
//! adapter that was broken on purpose.

mod kv;
mod log;
