//! The program `jetsled`.

fn main() {}
