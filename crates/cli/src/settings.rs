//! Which server is asked, whom it can be trusted as, and with what the caller authenticates: from arguments,
//! the environment, and the profile that `sealift login` saved.

use std::path::{Path, PathBuf};

use clap::Args;
use sealift_protocol::Secret;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::private_file::{self, PrivateFile};
use crate::secret_input;
use crate::server_address::ServerAddress;

/// The address of the server.
const SERVER: &str = "SEALIFT_SERVER";
/// A file with the CA certificates the server is trusted by.
const CA_FILE: &str = "SEALIFT_CA_FILE";
/// An API token.
const TOKEN: &str = "SEALIFT_TOKEN";
/// A file with a user name and password.
const CREDENTIALS: &str = "SEALIFT_CREDENTIALS";

/// How to reach the server; each falls back to the environment, then to what `sealift login` saved.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionFlags {
    /// Address of the server.
    // Given as text, since rustdoc would have the address in brackets, which `--help` would show.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = "Address of the server, such as https://sealift.example.com:8443 [env: SEALIFT_SERVER]"
    )]
    pub(crate) server: Option<String>,
    /// PEM file of the CA certificates to trust instead of the system's [env: SEALIFT_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with an API token, mode 0600, or - for standard input [env: SEALIFT_TOKEN holds the token itself]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "credentials")]
    pub(crate) token_file: Option<PathBuf>,
    /// JSON file with Username and Password, mode 0600, or - for standard input [env: SEALIFT_CREDENTIALS]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
}

/// The variables of the environment; an empty one counts as absent.
pub(crate) struct Environment(Box<Lookup>);

/// From the name of a variable to its value.
type Lookup = dyn Fn(&str) -> Option<String>;

impl Environment {
    /// The environment of this process.
    pub(crate) fn of_process() -> Self {
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Where the profile is kept.
    pub(crate) fn profile_path(&self) -> Option<PathBuf> {
        let directory = self
            .get("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| self.get("HOME").map(|home| Path::new(&home).join(".config")))
            .or_else(|| self.get("APPDATA").map(PathBuf::from))?;
        Some(directory.join("sealift").join("config.toml"))
    }
}

/// What the caller authenticates with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// An API token, sent as `Bearer`.
    Token(Secret),
    /// A user, sent as `Basic`.
    Basic {
        /// Name to log in with.
        username: String,
        /// Password.
        password: Secret,
    },
}

/// The server, and whom it is trusted by.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it is.
    pub(crate) address: ServerAddress,
    /// PEM of the CA certificates to trust; the system's when absent.
    pub(crate) authority: Option<String>,
}

/// What `sealift login` saves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate_authority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<Secret>,
}

/// The file of `--credentials`, as the server writes it for its first administrator.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialsFile {
    username: String,
    password: Secret,
}

impl Profile {
    /// The profile for a server and a credential.
    pub(crate) fn new(server: &Server, credential: &Credential) -> Self {
        let mut profile = Self {
            server: server.address.to_string(),
            certificate_authority: server.authority.clone(),
            token: None,
            username: None,
            password: None,
        };
        match credential {
            Credential::Token(token) => profile.token = Some(token.clone()),
            Credential::Basic { username, password } => {
                profile.username = Some(username.clone());
                profile.password = Some(password.clone());
            }
        }
        profile
    }

    /// Reads the saved profile, if there is one.
    pub(crate) fn load(environment: &Environment) -> Result<Option<Self>, Failure> {
        let Some(path) = environment.profile_path().filter(|path| path.exists()) else { return Ok(None) };
        let text = private_file::read_private(&path)?;
        // The parser's message would quote the line, and the line may hold a secret.
        let profile = toml::from_str(&text).map_err(|_| {
            Failure::Usage(format!(
                "{}: is not a profile of this program; run `sealift logout`, then `sealift login`",
                path.display()
            ))
        })?;
        Ok(Some(profile))
    }

    /// Saves the profile, for its owner only. Answers where.
    pub(crate) fn save(&self, environment: &Environment) -> Result<PathBuf, Failure> {
        let path = environment.profile_path().ok_or_else(|| {
            Failure::Usage("no place for the profile: set XDG_CONFIG_HOME or HOME".to_owned())
        })?;
        if let Some(directory) = path.parent() {
            private_file::create_directory(directory)?;
        }
        let text = toml::to_string(self).map(zeroize::Zeroizing::new).map_err(|_| {
            Failure::Usage(format!("{}: the profile cannot be written as TOML", path.display()))
        })?;
        PrivateFile::replace(&path)?.finish(text.as_bytes())?;
        Ok(path)
    }

    fn credential(&self) -> Option<Credential> {
        match (&self.token, &self.username, &self.password) {
            (Some(token), _, _) => Some(Credential::Token(token.clone())),
            (None, Some(username), Some(password)) => {
                Some(Credential::Basic { username: username.clone(), password: password.clone() })
            }
            _ => None,
        }
    }
}

impl ConnectionFlags {
    /// The server: arguments, then environment, then profile.
    ///
    /// What the profile trusts is used for the profile's own server only.
    pub(crate) fn server(
        &self,
        environment: &Environment,
        profile: Option<&Profile>,
    ) -> Result<Server, Failure> {
        let text = self
            .server
            .clone()
            .or_else(|| environment.get(SERVER))
            .or_else(|| profile.map(|profile| profile.server.clone()))
            .ok_or_else(|| {
                Failure::Usage(
                    "no server was named; give --server URL, set SEALIFT_SERVER, or run `sealift login --server URL`"
                        .to_owned(),
                )
            })?;
        let address = ServerAddress::parse(&text)?;
        let ca_file = self.ca_file.clone().or_else(|| environment.get(CA_FILE).map(PathBuf::from));
        let authority = match ca_file {
            Some(path) => Some(private_file::read_public(&path)?.to_string()),
            None => profile
                .filter(|profile| profile.is_for(&address))
                .and_then(|profile| profile.certificate_authority.clone()),
        };
        Ok(Server { address, authority })
    }

    /// The credential that arguments and files name, without the environment's token and the profile.
    pub(crate) fn named_credential(&self, environment: &Environment) -> Result<Option<Credential>, Failure> {
        if let Some(path) = &self.token_file {
            return Ok(Some(Credential::Token(secret_input::from_file(path)?)));
        }
        let named = self.credentials.clone();
        match named.or_else(|| environment.get(CREDENTIALS).map(PathBuf::from)) {
            Some(path) => read_credentials(&path).map(Some),
            None => Ok(None),
        }
    }

    /// The credential: arguments, then environment, then the profile if it is for this server.
    ///
    /// A saved secret never goes to another server than the one it was saved for.
    pub(crate) fn credential(
        &self,
        environment: &Environment,
        profile: Option<&Profile>,
        server: &Server,
    ) -> Result<Credential, Failure> {
        let by_argument = self.token_file.is_some() || self.credentials.is_some();
        if !by_argument && let Some(token) = environment.get(TOKEN) {
            return Ok(Credential::Token(Secret::new(token)));
        }
        if let Some(credential) = self.named_credential(environment)? {
            return Ok(credential);
        }
        profile
            .filter(|profile| profile.is_for(&server.address))
            .and_then(Profile::credential)
            .ok_or_else(|| Failure::NoCredentials { server: server.address.to_string() })
    }
}

impl Profile {
    fn is_for(&self, address: &ServerAddress) -> bool {
        ServerAddress::parse(&self.server).is_ok_and(|own| own.same_server(address))
    }
}

fn read_credentials(path: &Path) -> Result<Credential, Failure> {
    let text = secret_input::from_file(path)?;
    let file: CredentialsFile = serde_json::from_str(text.expose()).map_err(|_| {
        Failure::Usage(format!("{}: is not JSON with the members Username and Password", path.display()))
    })?;
    Ok(Credential::Basic { username: file.username, password: file.password })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://sealift.example.test:8443";

    fn environment(directory: &Path, variables: &[(&'static str, &str)]) -> Environment {
        let mut variables: Vec<(&'static str, String)> =
            variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        variables.push(("XDG_CONFIG_HOME", directory.display().to_string()));
        Environment(Box::new(move |wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
        }))
    }

    fn token(text: &str) -> Credential {
        Credential::Token(Secret::new(text))
    }

    fn saved(directory: &Path, credential: &Credential) -> Environment {
        let environment = environment(directory, &[]);
        let server = Server {
            address: ServerAddress::parse(HERE).unwrap(),
            authority: Some("PEM\ntext\n".to_owned()),
        };
        Profile::new(&server, credential).save(&environment).unwrap();
        environment
    }

    fn resolve(flags: &ConnectionFlags, environment: &Environment) -> Result<(Server, Credential), Failure> {
        let profile = Profile::load(environment)?;
        let server = flags.server(environment, profile.as_ref())?;
        let credential = flags.credential(environment, profile.as_ref(), &server)?;
        Ok((server, credential))
    }

    fn private(path: &Path, text: &str) {
        PrivateFile::replace(path).unwrap().finish(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_profile_comes_back_as_it_was_saved() {
        let directory = tempfile::tempdir().unwrap();
        let basic = Credential::Basic {
            username: "EXAMPLE\\ann".to_owned(),
            password: Secret::new("a\"b'c\\d\u{e9}"),
        };
        for credential in [basic, token("canary")] {
            let environment = saved(directory.path(), &credential);
            let (server, found) = resolve(&ConnectionFlags::default(), &environment).unwrap();
            assert_eq!(server.address.to_string(), HERE);
            assert_eq!(server.authority.as_deref(), Some("PEM\ntext\n"));
            assert_eq!(found, credential);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_profile_is_written_private_and_refused_when_it_is_not() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let environment = saved(directory.path(), &token("canary"));
        let path = environment.profile_path().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let failure = Profile::load(&environment).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("mode 0644"), "{failure}");
    }

    #[test]
    fn a_broken_profile_is_refused_without_quoting_it() {
        let directory = tempfile::tempdir().unwrap();
        let environment = saved(directory.path(), &token("x"));
        private(&environment.profile_path().unwrap(), "server = 'a'\ntoken = canary-secret");
        let failure = Profile::load(&environment).unwrap_err();
        assert!(!failure.to_string().contains("canary"), "{failure}");
        assert!(failure.to_string().contains("sealift logout"), "{failure}");
    }

    #[test]
    fn a_saved_secret_goes_to_its_own_server_only() {
        let directory = tempfile::tempdir().unwrap();
        let environment = saved(directory.path(), &token("canary"));
        let elsewhere =
            ConnectionFlags { server: Some("https://other.example.test".to_owned()), ..Default::default() };
        let failure = resolve(&elsewhere, &environment).unwrap_err();
        assert_eq!(failure.exit_code(), 4);
        assert!(failure.to_string().contains("sealift login"), "{failure}");
        let same = ConnectionFlags { server: Some(format!("{HERE}/KeyfactorAPI")), ..Default::default() };
        assert_eq!(resolve(&same, &environment).unwrap().1, token("canary"));
    }

    #[test]
    fn arguments_win_over_the_environment_and_this_over_the_profile() {
        let directory = tempfile::tempdir().unwrap();
        saved(directory.path(), &token("from profile"));
        let file = directory.path().join("credentials.json");
        private(&file, r#"{"Username":"admin","Password":"from file"}"#);
        let with_token = environment(directory.path(), &[("SEALIFT_TOKEN", "from environment")]);
        assert_eq!(resolve(&ConnectionFlags::default(), &with_token).unwrap().1, token("from environment"));
        let flags = ConnectionFlags { credentials: Some(file.clone()), ..Default::default() };
        let basic = Credential::Basic { username: "admin".to_owned(), password: Secret::new("from file") };
        assert_eq!(resolve(&flags, &with_token).unwrap().1, basic);
        let named = file.display().to_string();
        let with_file =
            environment(directory.path(), &[("SEALIFT_CREDENTIALS", &named), ("SEALIFT_TOKEN", "")]);
        assert_eq!(resolve(&ConnectionFlags::default(), &with_file).unwrap().1, basic);
    }

    #[test]
    fn without_a_server_the_next_step_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let failure = resolve(&ConnectionFlags::default(), &environment(directory.path(), &[])).unwrap_err();
        assert_eq!(failure.exit_code(), 2);
        assert!(failure.to_string().contains("SEALIFT_SERVER"), "{failure}");
    }

    #[test]
    fn debug_shows_no_secret() {
        let server = Server { address: ServerAddress::parse(HERE).unwrap(), authority: None };
        assert!(!format!("{:?}", Profile::new(&server, &token("canary"))).contains("canary"));
    }
}
