//! `sealift requests`: enrollment requests that wait for approval.

use clap::{Args, Subcommand};
use sealift_protocol::operator::enrollment::{CertificateRequest, DenyRequests, RequestDecisions};

use super::Listing;
use crate::client::{Answer, Client};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, time};

#[derive(Debug, Subcommand)]
pub(super) enum Requests {
    /// List requests that wait for approval
    List(List),
    /// Approve requests: their certificates are issued, and delivered where that was asked for
    Approve(Approve),
    /// Deny requests
    Deny(Deny),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Those that were denied instead
    #[arg(long)]
    denied: bool,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The request
    #[arg(value_name = "ID", required = true)]
    requests: Vec<i64>,
}

#[derive(Debug, Args)]
pub(super) struct Deny {
    /// The request
    #[arg(value_name = "ID", required = true)]
    requests: Vec<i64>,
    /// Why, for those who asked
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl Requests {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(list) => {
                let state = if list.denied { "Denied" } else { "Pending" };
                let answer = client.get(&["Workflow", "Certificates", state], &list.listing.query()).await?;
                output.page(&answer, |answer| Ok(table(&answer.read::<Vec<CertificateRequest>>()?)))
            }
            Self::Approve(approve) => {
                let path = ["Workflow", "Certificates", "Approve"];
                decided(&client.post(&path, &approve.requests).await?, output)
            }
            Self::Deny(deny) => {
                let request = DenyRequests { comment: deny.comment, certificate_request_ids: deny.requests };
                let path = ["Workflow", "Certificates", "Deny"];
                decided(&client.post(&path, &request).await?, output)
            }
        }
    }
}

/// Shows what was decided, and fails when something could not be.
fn decided(answer: &Answer, output: &Output) -> Result<(), Failure> {
    let decisions: RequestDecisions = answer.read()?;
    output.show(answer, |_| Ok(outcomes(&decisions)))?;
    match decisions.failures.len() {
        0 => Ok(()),
        failed => Err(Failure::Operation(format!("{failed} requests could not be decided"))),
    }
}

fn outcomes(decisions: &RequestDecisions) -> Table {
    let mut table =
        Table::new(&[fixed("REQUEST"), fixed("OUTCOME"), fixed("CERTIFICATE"), flexible("COMMENT")]);
    let kinds = [
        ("issued", &decisions.successes),
        ("denied", &decisions.denials),
        ("not decided", &decisions.failures),
    ];
    for (outcome, decided) in kinds {
        for one in decided {
            let certificate = one.certificate_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            table.row([&one.keyfactor_request_id.to_string(), outcome, &certificate, &one.comment]);
        }
    }
    table
}

fn table(requests: &[CertificateRequest]) -> Table {
    let mut table = Table::new(&[
        fixed("ID"),
        flexible("SUBJECT"),
        flexible("TEMPLATE"),
        flexible("REQUESTER"),
        fixed("SUBMITTED"),
    ]);
    for request in requests {
        table.row([
            &request.id.to_string(),
            &request.distinguished_name,
            &request.template,
            &request.requester,
            &time(request.submission_date),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const PENDING: &str = r#"[{"Id":7,"CARequestId":"7","CommonName":"www.example.test",
        "DistinguishedName":"CN=www.example.test","SubmissionDate":"2026-05-04T09:30:00Z",
        "CertificateAuthority":"host\\Issuing","Template":"TLS server","Requester":"ann","State":5,
        "StateString":"Pending (5)","Metadata":{}}]"#;

    fn decision(id: i64, comment: &str) -> String {
        format!(
            r#"{{"CARowId":{id},"CARequestId":"{id}","CAHost":"h","CALogicalName":"Issuing",
            "KeyfactorRequestId":{id},"Comment":"{comment}"}}"#
        )
    }

    #[tokio::test]
    async fn what_waits_is_listed() {
        let responder = Responder::start(vec![Reply::new(200, PENDING).with_header("x-total-count", "1")]);
        let captured = Captured::default();
        let list = Requests::List(List { denied: false, listing: Listing::default() });
        list.run(&responder.client(), &captured.output(false, None)).await.unwrap();
        assert!(captured.text().contains("CN=www.example.test"), "{}", captured.text());
        assert_eq!(responder.asked()[0].line, "GET /Workflow/Certificates/Pending");
    }

    #[tokio::test]
    async fn a_request_that_could_not_be_decided_is_a_failure() {
        let body = format!(
            r#"{{"Failures":[{}],"Denials":[],"Successes":[{}]}}"#,
            decision(8, "was not found"),
            decision(7, "issued")
        );
        let responder = Responder::start(vec![Reply::new(200, &body)]);
        let captured = Captured::default();
        let approve = Requests::Approve(Approve { requests: vec![7, 8] });
        let failure = approve.run(&responder.client(), &captured.output(false, None)).await.unwrap_err();
        assert!(matches!(failure, Failure::Operation(_)), "{failure}");
        assert!(captured.text().contains("was not found"), "{}", captured.text());
        let asked = &responder.asked()[0];
        assert_eq!(
            (asked.line.as_str(), asked.body.as_str()),
            ("POST /Workflow/Certificates/Approve", "[7,8]")
        );
    }

    #[tokio::test]
    async fn a_denial_carries_its_comment() {
        let body = format!(r#"{{"Failures":[],"Denials":[{}],"Successes":[]}}"#, decision(7, "not ours"));
        let responder = Responder::start(vec![Reply::new(200, &body)]);
        let deny = Requests::Deny(Deny { requests: vec![7], comment: Some("not ours".to_owned()) });
        deny.run(&responder.client(), &Captured::default().output(false, None)).await.unwrap();
        let asked: serde_json::Value = serde_json::from_str(&responder.asked()[0].body).unwrap();
        assert_eq!(asked, serde_json::json!({"Comment": "not ours", "CertificateRequestIds": [7]}));
    }
}
