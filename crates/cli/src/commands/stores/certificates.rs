//! `sealift stores add` and `sealift stores remove`: management jobs for certificates in stores.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use sealift_protocol::operator::certificate_stores::{
    AddCertificate, AddToStore, RemoveCertificate, RemoveFromStore, SecretValue,
};
use sealift_protocol::operator::schedule::Schedule;
use sealift_protocol::{JobId, StoreId, Timestamp};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::commands::{Planning, Waiting, jobs, name_and_value};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed};
use crate::secret_input;

/// The stores, and when and how the jobs run.
#[derive(Debug, Args)]
struct Target {
    /// The store; can be given several times
    #[arg(long, value_name = "GUID", required = true, num_args = 1..)]
    store: Vec<StoreId>,
    /// Value of an entry parameter of the store type; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, num_args = 1..)]
    field: Vec<(String, String)>,
    /// When the jobs run, such as 2026-05-04T09:30:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// The collection that carries the right to read the certificate
    #[arg(long, value_name = "ID")]
    collection: Option<i64>,
    #[command(flatten)]
    planning: Planning,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Debug, Args)]
pub(in crate::commands) struct Add {
    /// The certificate
    #[arg(long, value_name = "ID")]
    certificate: i64,
    /// Name of the entry, where the store type leaves the choice
    #[arg(long, value_name = "ALIAS")]
    alias: Option<String>,
    /// Replace an entry of the same alias
    #[arg(long)]
    overwrite: bool,
    /// Send the private key along, where the store type leaves the choice
    #[arg(long)]
    include_private_key: bool,
    /// File with the password of the entry, for store types that have one for each; mode 0600, or -
    #[arg(long, value_name = "FILE")]
    entry_password_file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
pub(in crate::commands) struct Remove {
    /// The entry, as `sealift stores inventory` names it
    #[arg(long, value_name = "ALIAS")]
    alias: String,
    #[command(flatten)]
    target: Target,
}

impl Add {
    /// `POST /CertificateStores/Certificates/Add`.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let password = self.entry_password_file.as_deref().map(secret_input::from_file).transpose()?;
        let entry_password =
            password.map(|password| SecretValue { secret_value: Some(password), ..SecretValue::default() });
        let stores = self.target.store.iter().map(|store| AddToStore {
            certificate_store_id: Some(*store),
            alias: self.alias.clone(),
            job_fields: self.target.fields(),
            overwrite: self.overwrite,
            entry_password: entry_password.clone(),
            pfx_password: None,
            include_private_key: self.include_private_key,
        });
        let request = AddCertificate {
            certificate_id: Some(self.certificate),
            certificate_stores: stores.collect(),
            schedule: Some(self.target.schedule()),
            collection_id: self.target.collection,
            dry_run: self.target.planning.plan,
        };
        let answer = client.post(&["CertificateStores", "Certificates", "Add"], &request).await?;
        self.target.follow(client, output, &answer).await
    }
}

impl Remove {
    /// `POST /CertificateStores/Certificates/Remove`.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let stores = self.target.store.iter().map(|store| RemoveFromStore {
            certificate_store_id: Some(*store),
            alias: Some(self.alias.clone()),
            job_fields: self.target.fields(),
        });
        let request = RemoveCertificate {
            certificate_stores: stores.collect(),
            schedule: Some(self.target.schedule()),
            collection_id: self.target.collection,
            dry_run: self.target.planning.plan,
        };
        let answer = client.post(&["CertificateStores", "Certificates", "Remove"], &request).await?;
        self.target.follow(client, output, &answer).await
    }
}

impl Target {
    fn fields(&self) -> BTreeMap<String, Value> {
        self.field.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect()
    }

    fn schedule(&self) -> Schedule {
        self.at.map_or_else(Schedule::immediate, Schedule::exactly_once)
    }

    /// Shows the jobs, which come in the order of the stores, and waits for them if that was asked for.
    async fn follow(&self, client: &Client, output: &Output, answer: &Answer) -> Result<(), Failure> {
        let made: Vec<JobId> = answer.read()?;
        output.show(answer, |_| {
            let mut table = Table::new(&[fixed("STORE"), fixed("JOB")]);
            for (store, job) in self.store.iter().zip(&made) {
                table.row([&store.to_string(), &job.to_string()]);
            }
            Ok(table)
        })?;
        jobs::follow(client, output, &made, &self.waiting, self.planning).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const STORE: &str = "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10";
    const JOB: &str = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d21";

    fn target(at: Option<&str>) -> Target {
        Target {
            store: vec![STORE.parse().unwrap()],
            field: vec![("SiteName".to_owned(), "Intranet".to_owned())],
            at: at.map(|at| at.parse().unwrap()),
            collection: None,
            planning: Planning::default(),
            waiting: Waiting { wait: false, patience: jobs::Patience::default() },
        }
    }

    #[tokio::test]
    async fn an_addition_shows_the_job_of_each_store() {
        let responder = Responder::start(vec![Reply::new(200, &format!("[\"{JOB}\"]"))]);
        let captured = Captured::default();
        let add = Add {
            certificate: 512,
            alias: None,
            overwrite: false,
            include_private_key: true,
            entry_password_file: None,
            target: target(None),
        };
        add.run(&responder.client(), &captured.output(false, None)).await.unwrap();
        assert!(captured.text().ends_with(&format!("{STORE}  {JOB}\n")), "{}", captured.text());
        let asked = &responder.asked()[0];
        assert_eq!(asked.line, "POST /CertificateStores/Certificates/Add");
        let body: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(body["Schedule"], serde_json::json!({ "Immediate": true }));
        assert_eq!(body["CertificateStores"][0]["IncludePrivateKey"], true);
        assert_eq!(body["CertificateStores"][0]["JobFields"]["SiteName"], "Intranet");
    }

    #[tokio::test]
    async fn a_removal_can_be_scheduled() {
        let responder = Responder::start(vec![Reply::new(200, &format!("[\"{JOB}\"]"))]);
        let captured = Captured::default();
        let remove = Remove { alias: "www".to_owned(), target: target(Some("2026-05-04T09:30:00Z")) };
        remove.run(&responder.client(), &captured.output(true, None)).await.unwrap();
        assert_eq!(captured.text(), format!("[\"{JOB}\"]\n"));
        let body: Value = serde_json::from_str(&responder.asked()[0].body).unwrap();
        assert_eq!(body["Schedule"]["ExactlyOnce"]["Time"], "2026-05-04T09:30:00Z");
        assert_eq!(body["CertificateStores"][0]["Alias"], "www");
    }
}
