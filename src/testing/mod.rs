//! Conformance suites of the ports and the test kit.
