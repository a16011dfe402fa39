//! `authd`: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    authd::cli::run()
}
