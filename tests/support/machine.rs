//! A web server's machine: a directory of its own, certificate stores in it, and a real agent.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::eventually;
use crate::programs::{self, Process, append};

/// The password of every store that has one.
pub const STORE_PASSWORD: &str = "store-password";

/// A machine with an agent that was never started, or is.
pub struct Machine {
    /// Its name, as the server knows it.
    pub name: String,
    directory: TempDir,
}

impl Machine {
    /// Makes the machine and its agent's configuration, with a one-time token that approves the agent. Stores may
    /// lie anywhere below `stores/`; after a change the agent runs `after_change`, where one is given.
    pub async fn install(
        admin: &Client,
        agent_url: &str,
        ca_file: &Path,
        name: &str,
        after_change: &str,
    ) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("sealift-test-machine-")
            .disable_cleanup(crate::keep())
            .tempdir()
            .expect("a directory");
        let machine = Self { name: name.to_owned(), directory };
        std::fs::create_dir(machine.path("stores")).expect("a directory");
        std::fs::create_dir(machine.path("stores/ccs")).expect("a directory");
        let token = admin.post("/Agents/EnrollmentTokens", &json!({"ClientMachine": name})).await.ok();
        write(&machine.path("token"), token["Token"].as_str().expect("a token"));
        let mut configuration = format!(
            "server_url = {agent_url:?}\nca_file = {ca_file:?}\nname = {name:?}\ndata_dir = {:?}\n\
             enrollment_token_file = {:?}\nlog_level = \"info,sealift_agent=debug\"\n",
            machine.path("agent"),
            machine.path("token"),
        );
        for kind in ["PEM", "PKCS12", "JKS", "CCS"] {
            let prefix = machine.path("stores");
            configuration += &format!("[[stores]]\ntype = {kind:?}\npath_prefix = {prefix:?}\n");
            if !after_change.is_empty() {
                configuration += &format!("after_change = {{ command = {after_change} }}\n");
            }
        }
        write(&machine.configuration(), &configuration);
        machine
    }

    /// A path on this machine.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// The agent's configuration file.
    pub fn configuration(&self) -> PathBuf {
        self.path("agent.toml")
    }

    /// What the agent logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// Starts the agent.
    pub fn start(&self) -> Process {
        programs::start_agent(&self.configuration(), &self.path("agent.log"))
    }

    /// Starts the agent so that it is killed at the `count`-th of these system calls, before it is carried out.
    pub fn start_doomed(&self, calls: &str, count: u32) -> Process {
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:signal=KILL:when={count}"), "--"]);
        command.arg(programs::path("sealift-agent")).args(["run", "--config"]).arg(self.configuration());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(append(&self.path("agent.log")));
        Process::start(&mut command)
    }

    /// Waits until the agent has registered; answers its id.
    pub async fn agent_id(&self, admin: &Client) -> String {
        let filter = format!("ClientMachine -eq \"{}\" AND Status -eq 2", self.name);
        eventually("the agent registers", async || {
            let agents = admin.query("/Agents", &filter).await.ok();
            agents[0]["AgentId"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Makes a store on this machine; answers its id.
    pub async fn store(&self, admin: &Client, kind: i32, relative: &str, properties: Value) -> String {
        let mut body = json!({"ClientMachine": self.name, "StorePath": self.path(relative), "CertStoreType": kind,
            "AgentId": self.agent_id(admin).await, "Properties": properties.to_string()});
        if kind != 2 {
            body["Password"] = json!({"SecretValue": STORE_PASSWORD});
        }
        admin.post("/CertificateStores", &body).await.ok()["Id"].as_str().expect("an id").to_owned()
    }
}

/// Writes a file that only its owner may read.
pub fn write(path: &Path, content: &str) {
    let mut file =
        std::fs::File::options().create_new(true).write(true).mode(0o600).open(path).expect("a new file");
    file.write_all(content.as_bytes()).expect("a written file");
}
