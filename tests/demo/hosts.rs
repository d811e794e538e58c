//! The two web servers of the demo, each with its agent: a TLS listener on a Central Certificate Store share, as
//! IIS would be, and nginx.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use sealift_pki::issuer::AuthorityProfile;
use sealift_pki::{
    Certificate, DistinguishedName, ExtendedKeyUsage, Issuer, KeyAlgorithm, LeafProfile, PrivateKey,
    SerialNumber, SubjectAlternativeName,
};
use sealift_protocol::Secret;
use sealift_server::clock::Clock;
use support::programs;
use support::tls_listener::TlsListener;

use crate::arguments::Listen;
use crate::stage::{self, Stage};

/// Any free port of this machine.
const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What serves TLS on the second host.
pub(crate) const NGINX: &str = "nginx";
/// Where programs are that are not in everyone's path.
const MORE_PROGRAMS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// One web server and its certificate store.
pub(crate) struct Host {
    /// The machine as the server knows it.
    pub(crate) machine: &'static str,
    /// What serves TLS there.
    pub(crate) what: &'static str,
    /// Where it serves TLS.
    pub(crate) address: SocketAddr,
    /// Its agent, as a process of the demo.
    pub(crate) agent: &'static str,
    /// Its certificate store.
    pub(crate) store: PathBuf,
}

/// Serves a share until the process is ended.
pub(crate) fn listen(asked: &Listen) -> Result<()> {
    let password = std::fs::read_to_string(&asked.password_file)
        .with_context(|| asked.password_file.display().to_string())?;
    let listener = TlsListener::start(FREE, &asked.share, Secret::new(password.trim_end()))?;
    writeln!(std::io::stdout(), "{}", listener.address())?;
    loop {
        std::thread::park();
    }
}

/// Starts the listener on an empty share.
pub(crate) async fn start_listener(stage: &Stage, password_file: &Path) -> Result<Host> {
    let store = stage.make_directory("share")?;
    let mut command = Command::new(programs::path("demo"));
    command.arg("listen").arg(&store).arg(password_file);
    let address = stage.start_and_hear("listener", &mut command).await?;
    let address = address.trim().parse().context("the listener's address")?;
    Ok(Host { machine: "iis1.example.test", what: "CCS share", address, agent: "agent-iis1", store })
}

/// Starts nginx with a certificate made here, which the first deployment replaces.
pub(crate) async fn start_nginx(stage: &Stage) -> Result<Host> {
    stage.make_directory("nginx/tls")?;
    let (certificate, key) = self_made("self-made.example.test")?;
    let store = stage.write("nginx/tls/site.pem", 0o644, &certificate.to_pem())?;
    stage.write("nginx/tls/site.key", 0o600, &key.to_pem())?;
    let address = TcpListener::bind(FREE)?.local_addr()?;
    stage.write("nginx/nginx.conf", 0o644, &nginx_conf(stage, address))?;
    let [program, arguments @ ..] = &nginx_command(stage)?[..] else {
        unreachable!("it begins with the program")
    };
    stage.start("nginx", Command::new(program).args(arguments))?;
    stage::until("nginx", async || Ok(tokio::net::TcpStream::connect(address).await.ok())).await?;
    Ok(Host { machine: "nginx1.example.test", what: NGINX, address, agent: "agent-nginx1", store })
}

/// Writes the agent's configuration and starts it.
pub(crate) fn start_agent(stage: &Stage, host: &Host, server: &Server, rule: &str) -> Result<()> {
    let place = stage.make_directory(host.agent)?;
    let text = format!(
        "name = \"{}\"\nserver_url = \"{}\"\nca_file = \"{}\"\ndata_dir = \"{}\"\nenrollment_token_file = \"{}\"\n\n\
         [[stores]]\n{rule}",
        host.machine,
        server.agent_url,
        server.ca_file.display(),
        place.join("state").display(),
        place.join("enrollment-token").display(),
    );
    let configuration = stage.write(&format!("{}/agent.toml", host.agent), 0o600, &text)?;
    let mut command = Command::new(programs::path("sealift-agent"));
    stage.start(
        host.agent,
        command.arg("run").arg("--config").arg(configuration).stdout(std::process::Stdio::null()),
    )?;
    Ok(())
}

/// What the agents must know of the server.
pub(crate) struct Server {
    /// Their door.
    pub(crate) agent_url: String,
    /// The authority to trust.
    pub(crate) ca_file: PathBuf,
}

/// The allow-list of the agent beside the share.
pub(crate) fn share_rule(host: &Host) -> String {
    format!("type = \"CCS\"\npath = \"{}\"\n", host.store.display())
}

/// The allow-list of the agent beside nginx, with the command that makes nginx take up a change.
pub(crate) fn nginx_rule(stage: &Stage, host: &Host) -> Result<String> {
    let mut reload = nginx_command(stage)?;
    reload.extend(["-s", "reload"].map(str::to_owned));
    let reload: Vec<String> = reload.iter().map(|word| format!("\"{word}\"")).collect();
    Ok(format!(
        "type = \"PEM\"\npath = \"{}\"\nextra_paths = [\"{}\"]\nafter_change = {{ command = [{}], timeout_seconds = 10 }}\n",
        host.store.display(),
        host.store.with_extension("key").display(),
        reload.join(", "),
    ))
}

/// The program and its arguments, without which it would read the system's configuration.
fn nginx_command(stage: &Stage) -> Result<Vec<String>> {
    let program = find("nginx").context("nginx is not installed")?;
    let words =
        [&program, Path::new("-p"), stage.directory(), Path::new("-c"), &stage.path("nginx/nginx.conf")]
            .map(|word| word.display().to_string());
    Ok(words.to_vec())
}

fn nginx_conf(stage: &Stage, address: SocketAddr) -> String {
    let place = stage.path("nginx").display().to_string();
    // Workers of an nginx that root starts would run as another user, who may not enter the directory.
    let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
    let unused: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {place}/{kind};\n"))
        .collect();
    format!(
        "{user}daemon off;\nworker_processes 1;\npid {place}/nginx.pid;\nerror_log stderr notice;\n\
         events {{}}\n\
         http {{\n{unused}    access_log off;\n    server {{\n        listen {address} ssl;\n        \
         ssl_certificate {place}/tls/site.pem;\n        ssl_certificate_key {place}/tls/site.key;\n        \
         location / {{\n            default_type text/plain;\n            \
         return 200 \"answered for $ssl_server_name on connection $connection, request $connection_requests\\n\";\n        \
         }}\n    }}\n}}\n"
    )
}

/// A certificate for a day, from an authority that nobody trusts.
fn self_made(name: &str) -> Result<(Certificate, PrivateKey)> {
    let now = Clock::system().now();
    let (not_before, not_after) = (now - TimeDelta::minutes(5), now + TimeDelta::days(1));
    let serial_number = || SerialNumber::from_random(*uuid::Uuid::new_v4().as_bytes());
    let issuer = Issuer::self_signed_root(&AuthorityProfile {
        subject: DistinguishedName::parse("CN=Trusted by nobody")?,
        serial_number: serial_number(),
        not_before,
        not_after,
        crl_distribution_point: None,
    })?;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let profile = LeafProfile {
        subject: DistinguishedName::from_common_name(name)?,
        subject_alternative_names: vec![SubjectAlternativeName::Dns(name.to_owned())],
        serial_number: serial_number(),
        not_before,
        not_after,
        extended_key_usages: vec![ExtendedKeyUsage::ServerAuthentication],
        crl_distribution_point: None,
    };
    Ok((issuer.sign(&profile, &(&key).into())?, key))
}

/// A program's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(MORE_PROGRAMS.map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|path| path.is_file())
}
