//! `sealift certificates`.

use clap::{Args, Subcommand};
use sealift_protocol::operator::certificates::{Certificate, Location};
use sealift_protocol::operator::enrollment::{self, Renewed};

use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, or_dash, time, yes_or_no};

#[derive(Debug, Subcommand)]
pub(super) enum Certificates {
    /// Show one certificate
    Get(Get),
    /// Renew a certificate: the same names, another key
    Renew(Renew),
}

#[derive(Debug, Args)]
pub(super) struct Renew {
    /// The certificate
    #[arg(value_name = "ID")]
    id: i64,
    /// Deliver the successor to every store that holds the certificate
    #[arg(long)]
    install: bool,
    /// Another template than the certificate's own
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
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
            Self::Renew(renew) => renew.run(client, output).await,
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

impl Renew {
    /// `POST /Enrollment/Renew`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let request = enrollment::Renew {
            certificate_id: Some(self.id),
            template: self.template,
            install_into_existing_certificate_stores: self.install,
            ..enrollment::Renew::default()
        };
        let answer = client.post(&["Enrollment", "Renew"], &request).await?;
        let renewed: Renewed = answer.read()?;
        output.show(&answer, |_| {
            Ok(Table::pairs([
                ("Certificate", or_dash(Some(renewed.keyfactor_id).filter(|id| *id > 0))),
                ("Request", or_dash(Some(renewed.keyfactor_request_id).filter(|id| *id > 0))),
                ("Disposition", renewed.request_disposition.clone()),
                ("Thumbprint", or_dash(Some(&renewed.thumbprint))),
                ("Stores", renewed.successful_stores.len().to_string()),
            ]))
        })?;
        match renewed.store_ids_invalid_for_renewal.len() {
            0 => Ok(()),
            failed => Err(Failure::Operation(format!("{failed} stores could get no job"))),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const RENEWED: &str = r#"{"KeyfactorId":9,"KeyfactorRequestId":0,"Thumbprint":"9F0C","SerialNumber":"3C9A",
        "IssuerDN":"CN=Issuing","RequestDisposition":"ISSUED","DispositionMessage":"","Password":"",
        "StoreIdsInvalidForRenewal":["7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10"]}"#;

    #[tokio::test]
    async fn a_store_that_gets_no_successor_is_a_failure() {
        let responder = Responder::start(vec![Reply::new(200, RENEWED)]);
        let captured = Captured::default();
        let renew = Renew { id: 7, install: true, template: None };
        let failure = renew.run(&responder.client(), &captured.output(false, None)).await.unwrap_err();
        assert!(matches!(failure, Failure::Operation(_)), "{failure}");
        assert!(captured.text().contains("9F0C"), "{}", captured.text());
        let asked: serde_json::Value = serde_json::from_str(&responder.asked()[0].body).unwrap();
        assert_eq!(asked["InstallIntoExistingCertificateStores"], true);
        assert_eq!(asked["CertificateId"], 7);
    }
}
