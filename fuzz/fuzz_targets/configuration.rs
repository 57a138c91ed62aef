//! Configuration files: options or errors, never a panic, and the same answer for the same text.

#![no_main]

use jetsled_config::{Environment, parse_command_line};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let environment = Environment {
        read_file: &|path| match path.to_str() {
            Some("f") => Ok(text.to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        },
        variable: &|name| (name == "SET").then(|| "[1, yes]".to_owned()),
    };
    let parse = || parse_command_line(["nats-server", "-c", "f"].map(Into::into), &environment);
    assert_eq!(parse(), parse());
});
