//! The commands, one file for each noun, and the arguments that several of them share.

mod agents;
mod certificates;
mod containers;
mod deploy;
mod enroll;
mod errors;
mod jobs;
mod login;
mod requests;
mod roles;
mod status;
mod stores;
mod tokens;
mod users;

use clap::{Args, Parser, Subcommand};

use crate::client::{Client, Query};
use crate::failure::{EXIT_CODES, Failure};
use crate::output::Output;
use crate::settings::{ConnectionFlags, Environment, Profile};

/// Enrolls certificates, deploys them to certificate stores, and shows what became of it.
#[derive(Debug, Parser)]
#[command(name = "sealift", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Print exactly the JSON that the server answers, secrets included
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionFlags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Login(login::Login),
    /// Forget what `sealift login` saved
    Logout,
    #[command(flatten)]
    Call(Call),
}

/// The commands that call the server with a credential.
#[derive(Debug, Subcommand)]
enum Call {
    /// Show that the server answers, and what the caller may use
    Status,
    Enroll(enroll::Enroll),
    Deploy(deploy::Deploy),
    /// Look at certificates
    #[command(subcommand)]
    Certificates(certificates::Certificates),
    /// Approve and deny enrollment requests
    #[command(subcommand)]
    Requests(requests::Requests),
    /// Work with certificate stores
    #[command(subcommand)]
    Stores(stores::Stores),
    /// Look at orchestrator jobs
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    Errors(errors::Errors),
    /// Approve agents and look at them
    #[command(subcommand)]
    Agents(agents::Agents),
    /// Work with containers, the named groups of certificate stores
    #[command(subcommand)]
    Containers(containers::Containers),
    /// Work with API tokens
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Work with roles
    #[command(subcommand)]
    Roles(roles::Roles),
    /// Work with users
    #[command(subcommand)]
    Users(users::Users),
}

/// Runs the command that was typed.
pub(crate) async fn run(cli: Cli) -> Result<(), Failure> {
    let environment = Environment::of_process();
    let output = Output::standard(cli.json, &environment);
    match cli.command {
        Command::Login(login) => login.run(&cli.connection, &environment, &output).await,
        Command::Logout => login::logout(&environment, &output),
        Command::Call(call) => {
            let profile = Profile::load(&environment)?;
            let server = cli.connection.server(&environment, profile.as_ref())?;
            let credential = cli.connection.credential(&environment, profile.as_ref(), &server)?;
            call.run(&Client::new(server, credential)?, &output).await
        }
    }
}

impl Call {
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Status => status::status(client, output).await,
            Self::Enroll(enroll) => enroll.run(client, output).await,
            Self::Deploy(deploy) => deploy.run(client, output).await,
            Self::Certificates(certificates) => certificates.run(client, output).await,
            Self::Requests(requests) => requests.run(client, output).await,
            Self::Stores(stores) => stores.run(client, output).await,
            Self::Jobs(jobs) => jobs.run(client, output).await,
            Self::Errors(errors) => errors.run(client, output).await,
            Self::Agents(agents) => agents.run(client, output).await,
            Self::Containers(containers) => containers.run(client, output).await,
            Self::Tokens(tokens) => tokens.run(client, output).await,
            Self::Roles(roles) => roles.run(client, output).await,
            Self::Users(users) => users.run(client, output).await,
        }
    }
}

/// Which rows of a list.
#[derive(Debug, Clone, Default, Args)]
struct Listing {
    /// Only rows that match, such as 'ClientMachine -eq "web1.example.com"'
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// How many rows a page has [default: the server's, 50]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Which page, from 1
    #[arg(long, value_name = "N")]
    page: Option<u32>,
}

impl Listing {
    fn query(self) -> Query {
        let members = [
            ("QueryString", self.query),
            ("ReturnLimit", self.limit.map(|limit| limit.to_string())),
            ("PageReturned", self.page.map(|page| page.to_string())),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Whether to wait for the jobs that a command made.
#[derive(Debug, Clone, Args)]
struct Waiting {
    /// Wait until the jobs have ended, and fail if one of them did. With --json their last attempts follow
    /// as a second JSON value
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    patience: jobs::Patience,
}

/// Whether the jobs of a command only say what they would do.
#[derive(Debug, Clone, Copy, Default, Args)]
struct Planning {
    /// Change nothing: have the agents say what they would do, wait for it, and print it. With --json the
    /// evidence of each job follows as a JSON value
    #[arg(long)]
    plan: bool,
}

/// Reads `NAME=VALUE`.
fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_documents_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        for line in ["  0  success", "  4  not authenticated", "  6  timed out waiting"] {
            assert!(help.contains(line), "{help}");
        }
    }

    #[test]
    fn no_argument_takes_a_secret() {
        for argument in ["--token", "--password", "--pfx-password"] {
            let typed = ["sealift", "status", argument, "canary"];
            assert!(Cli::command().try_get_matches_from(typed).is_err(), "{argument}");
        }
    }

    #[test]
    fn a_listing_asks_only_for_what_was_given() {
        assert!(Listing::default().query().is_empty());
        let listing = Listing { query: Some("Status -eq 2".to_owned()), limit: Some(5), page: None };
        assert_eq!(
            listing.query(),
            [("QueryString", "Status -eq 2".to_owned()), ("ReturnLimit", "5".to_owned())]
        );
    }

    #[test]
    fn a_property_is_cut_at_the_first_equals_sign() {
        assert_eq!(
            name_and_value("chainPath=/etc/a=b.pem"),
            Ok(("chainPath".to_owned(), "/etc/a=b.pem".to_owned()))
        );
        assert!(name_and_value("chainPath").is_err());
        assert!(name_and_value("=x").is_err());
    }
}
