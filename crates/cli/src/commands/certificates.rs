//! `sealift certificates`.

use clap::{Args, Subcommand};
use sealift_protocol::operator::certificates::{Certificate, Location};

use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, or_dash, time, yes_or_no};

#[derive(Debug, Subcommand)]
pub(super) enum Certificates {
    /// Show one certificate
    Get(Get),
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// The certificate
    #[arg(value_name = "ID")]
    id: i64,
    /// Show where inventory found it
    #[arg(long)]
    locations: bool,
}

impl Certificates {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Get(get) => get.run(client, output).await,
        }
    }
}

impl Get {
    /// `GET /Certificates/{id}`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let query: Query = vec![
            ("includeLocations", self.locations.to_string()),
            ("includeHasPrivateKey", true.to_string()),
        ];
        let answer = client.get(&["Certificates", &self.id.to_string()], &query).await?;
        if output.is_json() {
            return output.json(answer.body());
        }
        let certificate: Certificate = answer.read()?;
        output.table(&table(&certificate))?;
        if self.locations {
            output.line("")?;
            output.table(&locations(&certificate.locations))?;
        }
        Ok(())
    }
}

fn table(certificate: &Certificate) -> Table {
    let names: Vec<&str> =
        certificate.subject_alt_name_elements.iter().map(|name| name.value.as_str()).collect();
    let usages: Vec<&str> =
        certificate.extended_key_usages.iter().map(|usage| usage.display_name.as_str()).collect();
    Table::pairs([
        ("Certificate", certificate.id.to_string()),
        ("Subject", or_dash(certificate.issued_dn.as_ref())),
        ("Names", or_dash(Some(names.join(", ")))),
        ("State", certificate.cert_state_string.clone()),
        ("Thumbprint", certificate.thumbprint.clone()),
        ("Serial number", certificate.serial_number.clone()),
        ("Issuer", or_dash(certificate.issuer_dn.as_ref())),
        ("Not before", time(certificate.not_before)),
        ("Not after", time(certificate.not_after)),
        ("Key", format!("{} {}", certificate.key_type_string, certificate.key_size_in_bits)),
        ("Key held", yes_or_no(certificate.has_private_key)),
        ("Usage", or_dash(Some(usages.join(", ")))),
        ("Template", or_dash(certificate.template_name.as_ref())),
        ("Requester", or_dash(certificate.requester_name.as_ref())),
    ])
}

fn locations(locations: &[Location]) -> Table {
    let mut table = Table::new(&[
        fixed("STORE"),
        flexible("MACHINE"),
        flexible("STORE PATH"),
        flexible("ALIAS"),
        fixed("CHAIN LEVEL"),
    ]);
    for place in locations {
        let store = place.cert_store_id.to_string();
        let level = place.chain_level.to_string();
        table.row([&store, &place.store_machine, &place.store_path, &place.alias, &level]);
    }
    table
}
