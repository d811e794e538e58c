//! The `sealift` program: reads its arguments, runs one command, and turns the outcome into an exit code.
//!
//! Every operation is one call (or a few) of the operator API. What may be done and what is well formed is
//! decided by the server; this crate only knows how to ask and how to show the answer.

mod client;
mod commands;
mod failure;
mod output;
mod private_file;
#[cfg(test)]
mod responder;
mod secret_input;
mod server_address;
mod settings;

use std::io::Write;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

use commands::Cli;
use failure::Failure;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let called = called(&matches);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::OutputClosed) {
                // A closed standard error leaves nobody to tell; the exit code still says it.
                let _ = writeln!(std::io::stderr(), "{called}: {}", output::one_line(&failure.to_string()));
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Runs the command on a runtime of one thread: a command makes few calls, one after the other.
fn run(cli: Cli) -> Result<(), Failure> {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Operation(format!("cannot start: {error}")))?;
    runtime.block_on(commands::run(cli))
}

/// The command as it was typed, without its arguments: `sealift stores create`.
fn called(matches: &ArgMatches) -> String {
    let mut name = String::from("sealift");
    let mut rest = matches;
    while let Some((noun, inner)) = rest.subcommand() {
        name.push(' ');
        name.push_str(noun);
        rest = inner;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_but_none_of_its_arguments() {
        let matches = Cli::command()
            .try_get_matches_from(["sealift", "--json", "certificates", "get", "512", "--locations"])
            .unwrap();
        assert_eq!(called(&matches), "sealift certificates get");
    }
}
