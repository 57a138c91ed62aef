//! The benchmark harness: any servers that speak NATS, side by side in one run.
fn main() {}
