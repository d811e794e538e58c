//! `sealift stores create`.

use std::path::PathBuf;

use clap::Args;
use sealift_protocol::AgentId;
use sealift_protocol::operator::certificate_stores::{CertificateStore, CreateCertificateStore, SecretValue};
use sealift_protocol::operator::schedule::{Interval, Schedule};
use serde_json::{Map, Value, json};

use super::{pairs, store_type};
use crate::client::Client;
use crate::commands::{containers, name_and_value};
use crate::failure::Failure;
use crate::output::Output;
use crate::secret_input;

#[derive(Debug, Args)]
pub(in crate::commands) struct Create {
    /// The agent that serves it
    #[arg(long, value_name = "GUID")]
    agent: AgentId,
    /// The machine that holds it
    #[arg(long, value_name = "NAME")]
    client_machine: String,
    /// Where it is on that machine
    #[arg(long, value_name = "PATH")]
    path: String,
    /// Short name of its store type, such as PEM, PKCS12, JKS or CCS
    #[arg(long = "type", value_name = "TYPE")]
    store_type: String,
    /// A property of the store type; can be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value, num_args = 1..)]
    property: Vec<(String, String)>,
    /// A property whose value is a secret, from a file of mode 0600; can be given several times
    #[arg(long, value_name = "NAME=FILE", value_parser = name_and_value, num_args = 1..)]
    secret_property: Vec<(String, String)>,
    /// File with the store's password, mode 0600, or - for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The container to put it into, by id or name
    #[arg(long, value_name = "CONTAINER")]
    container: Option<String>,
    /// Create the store on its machine when it is missing
    #[arg(long)]
    create_if_missing: bool,
    /// Minutes between two inventories [default: only after changes]
    #[arg(long, value_name = "MINUTES")]
    inventory_every: Option<i64>,
}

impl Create {
    /// `POST /CertificateStores`.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let password = self.password_file.as_deref().map(secret_input::from_file).transpose()?;
        let properties = self.properties()?;
        let cert_store_type = Some(store_type(client, &self.store_type).await?);
        let container_id = match &self.container {
            Some(named) => Some(containers::find(client, named).await?),
            None => None,
        };
        let request = CreateCertificateStore {
            container_id,
            client_machine: Some(self.client_machine),
            store_path: Some(self.path),
            cert_store_type,
            create_if_missing: self.create_if_missing,
            properties,
            agent_id: Some(self.agent),
            inventory_schedule: self
                .inventory_every
                .map(|minutes| Schedule { interval: Some(Interval { minutes }), ..Schedule::default() }),
            password: password
                .map(|password| SecretValue { secret_value: Some(password), ..SecretValue::default() }),
            verification: None,
        };
        let answer = client.post(&["CertificateStores"], &request).await?;
        output.show(&answer, |answer| Ok(pairs(&answer.read::<CertificateStore>()?)))
    }

    /// The properties as the API takes them: an object inside a string (operator contract, chapter 3.4).
    fn properties(&self) -> Result<Option<String>, Failure> {
        let mut properties = Map::new();
        for (name, value) in &self.property {
            properties.insert(name.clone(), Value::String(value.clone()));
        }
        for (name, file) in &self.secret_property {
            let secret = secret_input::from_file(file.as_ref())?;
            properties.insert(name.clone(), json!({ "value": { "SecretValue": secret } }));
        }
        Ok((!properties.is_empty()).then(|| Value::Object(properties).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::private_file::PrivateFile;
    use crate::responder::{Reply, Responder};

    const AGENT: &str = "4f8f1f0c-6b41-4a3e-9b2e-0b7a0f7f5c11";

    fn create(directory: &std::path::Path) -> Create {
        let password_file = directory.join("password");
        PrivateFile::create_new(&password_file).unwrap().finish(b"canary\n").unwrap();
        let secret_property = vec![("ServerPassword".to_owned(), password_file.display().to_string())];
        Create {
            agent: AGENT.parse().unwrap(),
            client_machine: "web1.example.test".to_owned(),
            path: "/etc/nginx/tls/www.pem".to_owned(),
            store_type: "PEM".to_owned(),
            property: vec![("privateKeyPath".to_owned(), "www.key".to_owned())],
            secret_property,
            password_file: Some(password_file),
            container: Some("Web farm".to_owned()),
            create_if_missing: false,
            inventory_every: Some(60),
        }
    }

    #[tokio::test]
    async fn type_and_container_are_looked_up_and_secrets_read_from_files() {
        let directory = tempfile::tempdir().unwrap();
        let responder = Responder::start(vec![
            Reply::new(200, r#"[{"Name":"PEM file","ShortName":"PEM","StoreType":102}]"#),
            Reply::new(200, r#"[{"Id":31,"Name":"Web farm","CertStoreType":-1,"StoreCount":0}]"#),
            Reply::new(200, "{}"),
        ]);
        let output = Captured::default().output(true, None);
        create(directory.path()).run(&responder.client(), &output).await.unwrap();
        let asked = responder.asked();
        assert_eq!(asked[0].line, "GET /CertificateStoreTypes/Name/PEM");
        assert_eq!(asked[1].line, "GET /CertificateStoreContainers?QueryString=Name+-eq+%22Web+farm%22");
        let body: Value = serde_json::from_str(&asked[2].body).unwrap();
        assert_eq!(body["CertStoreType"], 102);
        assert_eq!(body["ContainerId"], 31);
        assert_eq!(body["Password"]["SecretValue"], "canary");
        assert_eq!(body["InventorySchedule"]["Interval"]["Minutes"], 60);
        let properties: Value = serde_json::from_str(body["Properties"].as_str().unwrap()).unwrap();
        assert_eq!(properties["privateKeyPath"], "www.key");
        assert_eq!(properties["ServerPassword"]["value"]["SecretValue"], "canary");
    }

    #[tokio::test]
    async fn an_unknown_type_is_not_found() {
        let directory = tempfile::tempdir().unwrap();
        let problem = r#"{"ErrorCode":"0xA0130002","Message":"Store type PEM not found."}"#;
        for reply in [Reply::new(200, "[]"), Reply::new(404, problem)] {
            let responder = Responder::start(vec![reply]);
            let mut create = create(directory.path());
            create.password_file = None;
            let output = Captured::default().output(false, None);
            let failure = create.run(&responder.client(), &output).await.unwrap_err();
            assert_eq!(failure.exit_code(), 5, "{failure}");
            let _ = std::fs::remove_file(directory.path().join("password"));
        }
    }
}
