//! The program `jetsled`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jetsled_server::run(std::env::args_os())
}
