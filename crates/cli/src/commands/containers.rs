//! `sealift containers`: named groups of certificate stores.

use clap::{Args, Subcommand};
use sealift_protocol::operator::certificate_stores::{Container, CreateContainer};
use serde::Deserialize;

use super::{Listing, stores};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible};

#[derive(Debug, Subcommand)]
pub(super) enum Containers {
    /// List containers
    List(Listing),
    /// Create a container
    Create(Create),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Its name
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Short name of the only store type it is for
    #[arg(long = "type", value_name = "TYPE")]
    store_type: Option<String>,
}

/// A container as answered when it is made.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: i64,
    name: String,
}

impl Containers {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let answer = client.get(&["CertificateStoreContainers"], &listing.query()).await?;
                output.page(&answer, |answer| Ok(table(&answer.read::<Vec<Container>>()?)))
            }
            Self::Create(create) => create.run(client, output).await,
        }
    }
}

impl Create {
    /// `POST /CertificateStoreContainers`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let cert_store_type = match &self.store_type {
            Some(name) => Some(stores::store_type(client, name).await?),
            None => None,
        };
        let request =
            CreateContainer { name: Some(self.name), cert_store_type, ..CreateContainer::default() };
        let answer = client.post(&["CertificateStoreContainers"], &request).await?;
        output.show(&answer, |answer| {
            let created: Created = answer.read()?;
            Ok(Table::pairs([("Container", created.id.to_string()), ("Name", created.name)]))
        })
    }
}

/// The id of a container that is named by its id or its name.
pub(super) async fn find(client: &Client, named: &str) -> Result<i64, Failure> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let query = vec![("QueryString", format!("Name -eq \"{named}\""))];
    let answer = client.get(&["CertificateStoreContainers"], &query).await?;
    let found: Vec<Container> = answer.read()?;
    let same = found.iter().find(|container| container.name.eq_ignore_ascii_case(named));
    same.map(|container| container.id).ok_or_else(|| {
        Failure::NotFound(format!("no container is named '{named}'; see `sealift containers list`"))
    })
}

fn table(containers: &[Container]) -> Table {
    let mut table = Table::new(&[fixed("ID"), flexible("NAME"), fixed("STORE TYPE"), fixed("STORES")]);
    for container in containers {
        let store_type = match container.cert_store_type {
            -1 => "any".to_owned(),
            id => id.to_string(),
        };
        table.row([
            &container.id.to_string(),
            &container.name,
            &store_type,
            &container.store_count.to_string(),
        ]);
    }
    table
}
