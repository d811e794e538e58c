//! `sealift roles`: named sets of permissions.

use clap::{Args, Subcommand};
use sealift_protocol::operator::roles::{Role, WriteRole};

use super::Listing;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, yes_or_no};

#[derive(Debug, Subcommand)]
pub(super) enum Roles {
    /// List roles and their permissions
    List(Listing),
    /// Create a role
    Create(Create),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A permission, such as /certificate_stores/schedule/31/; can be given several times
    #[arg(long, value_name = "PERMISSION", num_args = 1..)]
    permission: Vec<String>,
}

impl Roles {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let answer = client.get(&["Security", "Roles"], &listing.query()).await?;
                output.page(&answer, |answer| Ok(table(&answer.read::<Vec<Role>>()?)))
            }
            Self::Create(create) => create.run(client, output).await,
        }
    }
}

impl Create {
    /// `POST /Security/Roles`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let request = WriteRole {
            name: Some(self.name),
            description: self.description,
            permissions: Some(self.permission),
            ..WriteRole::default()
        };
        let answer = client.post(&["Security", "Roles"], &request).await?;
        output.show(&answer, |answer| Ok(table(&[answer.read::<Role>()?])))
    }
}

fn table(roles: &[Role]) -> Table {
    let mut table = Table::new(&[
        fixed("ID"),
        flexible("NAME"),
        fixed("BUILT IN"),
        flexible("PERMISSIONS"),
        flexible("DESCRIPTION"),
    ]);
    for role in roles {
        table.row([
            &role.id.to_string(),
            &role.name,
            &yes_or_no(role.immutable),
            &role.permissions.join(" "),
            &role.description,
        ]);
    }
    table
}
