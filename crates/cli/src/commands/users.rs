//! `sealift users`: users that log in with a password.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sealift_protocol::operator::security::{CreateUser, User};

use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Table};
use crate::secret_input;

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Create a user; the password is asked for, or read from a file or standard input
    Create(Create),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Name to log in with
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Name of a role; can be given several times
    #[arg(long, value_name = "ROLE", num_args = 1..)]
    role: Vec<String>,
    /// File with the password, mode 0600, or - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Users {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(client, output).await,
        }
    }
}

impl Create {
    /// `POST /Security/Users`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let password =
            secret_input::new_from_file_or_prompt(self.password_file.as_deref(), "New password: ")?;
        let request = CreateUser { name: Some(self.name), password: Some(password), roles: self.role };
        let answer = client.post(&["Security", "Users"], &request).await?;
        output.show(&answer, |answer| {
            let user: User = answer.read()?;
            Ok(Table::pairs([
                ("User", user.id.to_string()),
                ("Name", user.name),
                ("Roles", user.roles.join(", ")),
            ]))
        })
    }
}
