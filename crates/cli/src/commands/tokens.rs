//! `sealift tokens`: API tokens, and where a token goes that is shown only once.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sealift_protocol::operator::security::{ApiToken, CreateApiToken};
use sealift_protocol::{Secret, Timestamp};
use zeroize::Zeroizing;

use super::Listing;
use crate::client::{Answer, Client};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, time};
use crate::private_file::PrivateFile;

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// List API tokens, without the tokens themselves
    List(Listing),
    /// Make an API token; it is shown once
    Create(Create),
    /// Make an API token useless
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What it is for; shown in history and audit
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Name of a role it has; can be given several times
    #[arg(long, value_name = "ROLE", required = true, num_args = 1..)]
    role: Vec<String>,
    /// When it stops working, such as 2026-05-04T09:30:00Z [default: the server's, in 365 days]
    #[arg(long, value_name = "TIME")]
    expires: Option<Timestamp>,
    /// Write the token to a new file with mode 0600 instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// The token's id, as listed
    #[arg(value_name = "ID")]
    id: i64,
}

impl Tokens {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let answer = client.get(&["Security", "ApiTokens"], &listing.query()).await?;
                output.page(&answer, |answer| Ok(table(&answer.read::<Vec<ApiToken>>()?)))
            }
            Self::Create(create) => create.run(client, output).await,
            Self::Revoke(revoke) => {
                let id = revoke.id.to_string();
                let answer = client.delete(&["Security", "ApiTokens", &id]).await?;
                output.show(&answer, |_| Ok(Table::pairs([("Revoked", id)])))
            }
        }
    }
}

impl Create {
    /// `POST /Security/ApiTokens`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let destination = Destination::new(self.out, output)?;
        let request = CreateApiToken { name: Some(self.name), roles: self.role, expires: self.expires };
        let answer = client.post(&["Security", "ApiTokens"], &request).await?;
        let made: ApiToken = answer.read()?;
        let token = made.token.ok_or_else(|| {
            Failure::Operation(format!("token {} was made, but the answer does not hold it", made.id))
        })?;
        destination.hand_over(output, &answer, &token, made.expires)
    }
}

/// Where a new token goes: standard output, or a file whose name is taken before the token is made.
pub(super) struct Destination(Option<(PathBuf, PrivateFile)>);

impl Destination {
    /// A token goes to one place: `--out` and `--json` exclude each other.
    pub(super) fn new(out: Option<PathBuf>, output: &Output) -> Result<Self, Failure> {
        match out {
            Some(_) if output.is_json() => Err(Failure::Usage(
                "--json would print the token that --out keeps in a file; leave one of them out".to_owned(),
            )),
            Some(path) => {
                let file = PrivateFile::create_new(&path)?;
                Ok(Self(Some((path, file))))
            }
            None => Ok(Self(None)),
        }
    }

    /// Hands the token over. On standard output it stands alone, so that a script can take it.
    pub(super) fn hand_over(
        self,
        output: &Output,
        answer: &Answer,
        token: &Secret,
        expires: Timestamp,
    ) -> Result<(), Failure> {
        if output.is_json() {
            return output.json(answer.body());
        }
        match self.0 {
            Some((path, file)) => {
                let content = Zeroizing::new(format!("{}\n", token.expose()));
                file.finish(content.as_bytes()).map_err(|failure| {
                    Failure::Operation(format!("a token was made, but {failure}; make another"))
                })?;
                output.line(&format!("written to {}; expires {}", path.display(), time(expires)))
            }
            None => {
                output.line(token.expose())?;
                output.note(&format!("the token is shown this once; it expires {}", time(expires)));
                Ok(())
            }
        }
    }
}

fn table(tokens: &[ApiToken]) -> Table {
    let mut table = Table::new(&[fixed("ID"), flexible("NAME"), flexible("ROLES"), fixed("EXPIRES")]);
    for token in tokens {
        table.row([&token.id.to_string(), &token.name, &token.roles.join(", "), &time(token.expires)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const MADE: &str =
        r#"{"Id":7,"Name":"ci","Roles":["Deployer"],"Expires":"2027-05-04T09:30:00Z","Token":"canary"}"#;

    fn create(out: Option<PathBuf>) -> Tokens {
        let role = vec!["Deployer".to_owned()];
        Tokens::Create(Create { name: "ci".to_owned(), role, expires: None, out })
    }

    #[tokio::test]
    async fn a_new_token_stands_alone_on_standard_output() {
        let responder = Responder::start(vec![Reply::new(200, MADE)]);
        let captured = Captured::default();
        create(None).run(&responder.client(), &captured.output(false, None)).await.unwrap();
        assert_eq!(captured.text(), "canary\n");
    }

    #[tokio::test]
    async fn a_token_in_a_file_is_not_printed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let responder = Responder::start(vec![Reply::new(200, MADE)]);
        let (client, captured) = (responder.client(), Captured::default());
        create(Some(path.clone())).run(&client, &captured.output(false, None)).await.unwrap();
        assert!(!captured.text().contains("canary"), "{}", captured.text());
        assert_eq!(crate::secret_input::from_file(&path).unwrap().expose(), "canary");
        let other = directory.path().join("other");
        let failure = create(Some(other)).run(&client, &captured.output(true, None)).await.unwrap_err();
        assert_eq!(failure.exit_code(), 2);
    }

    #[tokio::test]
    async fn a_revoked_token_is_deleted_by_id() {
        let responder = Responder::start(vec![Reply::new(204, "")]);
        let output = Captured::default().output(false, None);
        Tokens::Revoke(Revoke { id: 7 }).run(&responder.client(), &output).await.unwrap();
        assert_eq!(responder.asked()[0].line, "DELETE /Security/ApiTokens/7");
    }
}
