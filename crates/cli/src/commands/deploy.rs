//! `sealift deploy`: one certificate to many certificate stores, each judged by itself.

use std::path::PathBuf;

use clap::Args;
use sealift_protocol::operator::enrollment::{self, DeployStore, Deployed};
use sealift_protocol::{JobId, StoreId, Timestamp};

use super::{Planning, Waiting, jobs};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible};
use crate::secret_input;

/// Deploy a certificate to certificate stores
///
/// Each store is judged by itself and gets a job that adds the certificate. A store that gets none is named
/// with the reason, and the exit code is 1; the others are deployed to all the same.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// The certificate, as `sealift enroll` named it
    #[arg(long, value_name = "ID")]
    certificate: i64,
    /// The store; can be given several times
    #[arg(long, value_name = "GUID", required = true, num_args = 1..)]
    store: Vec<StoreId>,
    /// Replace an entry of the same alias
    #[arg(long)]
    overwrite: bool,
    /// Name of the entry, where the store type leaves the choice
    #[arg(long, value_name = "ALIAS")]
    alias: Option<String>,
    /// When the jobs run, such as 2026-05-04T09:30:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// File with the password of the entry, for store types that have one for each; mode 0600, or -
    #[arg(long, value_name = "FILE")]
    entry_password_file: Option<PathBuf>,
    #[command(flatten)]
    planning: Planning,
    #[command(flatten)]
    waiting: Waiting,
}

impl Deploy {
    /// `POST /Enrollment/PFX/Deploy`, then the jobs' history if that is waited for.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let request = self.request()?;
        let answer = client.post(&["Enrollment", "PFX", "Deploy"], &request).await?;
        let deployed: Deployed = answer.read()?;
        output.show(&answer, |_| Ok(table(&deployed)))?;
        let made: Vec<JobId> = deployed.jobs.iter().map(|made| made.job_id).collect();
        jobs::follow(client, output, &made, &self.waiting, self.planning).await?;
        match deployed.failed_stores.len() {
            0 => Ok(()),
            failed => Err(Failure::Operation(format!(
                "{failed} of {} stores got no job; the reasons are listed above",
                self.store.len()
            ))),
        }
    }

    fn request(&self) -> Result<enrollment::Deploy, Failure> {
        let stores = self.store.iter().map(|store| DeployStore {
            store_id: Some(*store),
            alias: self.alias.clone(),
            overwrite: self.overwrite,
            ..DeployStore::default()
        });
        Ok(enrollment::Deploy {
            stores: stores.collect(),
            certificate_id: Some(self.certificate),
            job_time: self.at,
            dry_run: self.planning.plan,
            password: self.entry_password_file.as_deref().map(secret_input::from_file).transpose()?,
            ..enrollment::Deploy::default()
        })
    }
}

fn table(deployed: &Deployed) -> Table {
    let mut table = Table::new(&[fixed("STORE"), fixed("JOB"), flexible("REASON")]);
    for store in &deployed.successful_stores {
        let job = deployed.jobs.iter().find(|made| made.store_id == *store);
        table.row([&store.to_string(), &job.map_or("-".to_owned(), |made| made.job_id.to_string()), ""]);
    }
    for store in &deployed.failed_stores {
        let failure = deployed.failures.iter().find(|failure| failure.store_id == *store);
        let reason = failure.map_or("no reason was given".to_owned(), |failure| {
            format!("{}: {}", failure.error_code, failure.message)
        });
        table.row([&store.to_string(), "-", &reason]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const GOOD: &str = "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10";
    const UNKNOWN: &str = "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a11";
    const JOB: &str = "c1d7b1d0-7b0e-4a6a-8f33-0a8b7b6e9d21";

    fn deploy(stores: &[&str]) -> Deploy {
        Deploy {
            certificate: 512,
            store: stores.iter().map(|store| store.parse().unwrap()).collect(),
            overwrite: true,
            alias: None,
            at: Some("2026-05-04T09:30:00Z".parse().unwrap()),
            entry_password_file: None,
            planning: Planning::default(),
            waiting: Waiting { wait: false, patience: jobs::Patience::default() },
        }
    }

    #[tokio::test]
    async fn a_store_without_a_job_is_named_with_its_reason() {
        let body = format!(
            r#"{{"SuccessfulStores":["{GOOD}"],"FailedStores":["{UNKNOWN}"],
                "Jobs":[{{"StoreId":"{GOOD}","JobId":"{JOB}"}}],
                "Failures":[{{"StoreId":"{UNKNOWN}","ErrorCode":"0xA0130001","Message":"not found"}}]}}"#
        );
        let responder = Responder::start(vec![Reply::new(200, &body)]);
        let captured = Captured::default();
        let failure = deploy(&[GOOD, UNKNOWN])
            .run(&responder.client(), &captured.output(false, None))
            .await
            .unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.to_string().starts_with("1 of 2 stores got no job"), "{failure}");
        assert!(captured.text().contains(&format!("{GOOD}  {JOB}\n")), "{}", captured.text());
        assert!(captured.text().contains("0xA0130001: not found"), "{}", captured.text());
        let asked: serde_json::Value = serde_json::from_str(&responder.asked()[0].body).unwrap();
        assert_eq!(asked["CertificateId"], 512);
        assert_eq!(asked["JobTime"], "2026-05-04T09:30:00Z");
        assert_eq!(asked["Stores"][1]["StoreId"], UNKNOWN);
        assert_eq!(asked["Stores"][0]["Overwrite"], true);
    }

    #[tokio::test]
    async fn the_answer_of_another_server_needs_no_job_ids() {
        let body = format!(r#"{{"SuccessfulStores":["{GOOD}"],"FailedStores":[]}}"#);
        let responder = Responder::start(vec![Reply::new(200, &body)]);
        let captured = Captured::default();
        deploy(&[GOOD]).run(&responder.client(), &captured.output(true, None)).await.unwrap();
        assert_eq!(captured.text(), format!("{body}\n"));
    }
}
