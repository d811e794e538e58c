//! `sealift login` and `sealift logout`: the saved profile.

use clap::Args;

use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::Output;
use crate::secret_input;
use crate::settings::{ConnectionFlags, Credential, Environment, Profile, Server};

/// Check a token or password with the server and save it for later commands
///
/// The server's address and CA certificates are saved with it, in a file that only its owner can read.
/// The credential comes from --token-file or --credentials; without these it is asked for, or read from
/// standard input where that is no terminal.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// Log in with this user's password instead of a token
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token_file", "credentials"])]
    username: Option<String>,
}

impl Login {
    pub(super) async fn run(
        self,
        connection: &ConnectionFlags,
        environment: &Environment,
        output: &Output,
    ) -> Result<(), Failure> {
        let saved = Profile::load(environment)?;
        let Server { address, authority } = connection.server(environment, saved.as_ref())?;
        let server = || Server { address: address.clone(), authority: authority.clone() };
        let credential = self.credential(connection, environment)?;
        let client = Client::new(server(), credential.clone())?;
        let answer = client.get(&["Status", "Endpoints"], &Query::new()).await?;
        let path = Profile::new(&server(), &credential).save(environment)?;
        if output.is_json() {
            return output.json(answer.body());
        }
        output.line(&format!("logged in to {address}; saved in {}", path.display()))
    }

    fn credential(
        &self,
        connection: &ConnectionFlags,
        environment: &Environment,
    ) -> Result<Credential, Failure> {
        if let Some(username) = &self.username {
            let password = secret_input::from_file_or_prompt(None, "Password: ")?;
            return Ok(Credential::Basic { username: username.clone(), password });
        }
        match connection.named_credential(environment)? {
            Some(credential) => Ok(credential),
            None => secret_input::from_file_or_prompt(None, "API token: ").map(Credential::Token),
        }
    }
}

/// Removes the saved profile.
pub(super) fn logout(environment: &Environment, output: &Output) -> Result<(), Failure> {
    let Some(path) = environment.profile_path() else {
        return output.line("nothing was saved");
    };
    match std::fs::remove_file(&path) {
        Ok(()) => output.line(&format!("removed {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => output.line("nothing was saved"),
        Err(error) => Err(Failure::Usage(format!("{}: cannot be removed: {error}", path.display()))),
    }
}
