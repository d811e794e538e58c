//! `sealift errors`: what the codes of failed attempts mean, and what to do about them.

use clap::Args;
use sealift_protocol::agent::error_catalogue::FailureClass;
use sealift_protocol::operator::orchestrator_jobs::ErrorCode;

use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible};

/// Say what the error codes of jobs mean, and what to do about them
#[derive(Debug, Args)]
pub(super) struct Errors {
    /// Only this code, such as wrong_password
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

impl Errors {
    /// `GET /OrchestratorJobs/ErrorCodes`.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let answer = client.get(&["OrchestratorJobs", "ErrorCodes"], &Query::new()).await?;
        let Some(code) = self.code else {
            return output.show(&answer, |answer| Ok(table(&answer.read::<Vec<ErrorCode>>()?)));
        };
        let known: Vec<ErrorCode> = answer.read()?;
        let one = known.into_iter().find(|known| known.code == code);
        let one = one.ok_or_else(|| Failure::NotFound(format!("no error code is named '{code}'")))?;
        if output.is_json() {
            let body = serde_json::to_vec(&one).map_err(|error| Failure::Operation(error.to_string()))?;
            return output.json(&body);
        }
        output.table(&Table::pairs([
            ("Code", one.code.clone()),
            ("Another try", class(one.class).to_owned()),
            ("Meaning", one.meaning.clone()),
            ("Remedy", one.remedy.clone()),
        ]))
    }
}

/// What can be expected of another try.
fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Transient => "may help",
        FailureClass::NeedsPerson => "needs a person first",
        FailureClass::Never => "never helps",
        FailureClass::Interrupted => "goes on by itself",
    }
}

fn table(codes: &[ErrorCode]) -> Table {
    let mut table =
        Table::new(&[fixed("CODE"), fixed("ANOTHER TRY"), flexible("MEANING"), flexible("REMEDY")]);
    for code in codes {
        table.row([&code.code, class(code.class), &code.meaning, &code.remedy]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const CODES: &str = r#"[{"Code":"store_missing","Class":"NeedsPerson","Meaning":"the store does not exist",
        "Remedy":"create the store, or correct its path"}]"#;

    #[tokio::test]
    async fn one_code_is_explained_and_an_unknown_one_is_not_found() {
        let responder = Responder::start(vec![Reply::new(200, CODES), Reply::new(200, CODES)]);
        let (client, captured) = (responder.client(), Captured::default());
        let ask = |code: &str| Errors { code: Some(code.to_owned()) };
        ask("store_missing").run(&client, &captured.output(false, None)).await.unwrap();
        let text = captured.text();
        assert!(text.contains("needs a person first") && text.contains("create the store"), "{text}");
        let failure = ask("store_gone").run(&client, &captured.output(false, None)).await.unwrap_err();
        assert_eq!(failure.exit_code(), 5, "{failure}");
        assert_eq!(responder.asked()[0].line, "GET /OrchestratorJobs/ErrorCodes");
    }
}
