//! `sealift stores verification`: where a store's agent looks for what is served.

use clap::{Args, ValueEnum};
use sealift_protocol::StoreId;
use sealift_protocol::agent::verification::{OnMismatch, Target, Verification};
use sealift_protocol::operator::certificate_stores::{CertificateStore, UpdateCertificateStore};

use super::pairs;
use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, or_dash};

/// What is done when a target shows something else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::commands) enum Mismatch {
    /// The job ends as a warning
    #[default]
    Warn,
    /// The job fails, and the change stays
    Fail,
    /// The old state is put back, and the job fails
    Restore,
}

#[derive(Debug, Args)]
pub(in crate::commands) struct SetVerification {
    /// The store
    #[arg(value_name = "GUID")]
    store: StoreId,
    /// Where to connect to, such as www.example.com:443, or 10.0.0.1:443=www.example.com with the name to
    /// offer; can be given several times
    #[arg(long, value_name = "HOST:PORT[=NAME]", value_parser = target, num_args = 1..)]
    target: Vec<Target>,
    /// Also look at each name of a certificate, on port 443 of the agent's machine
    #[arg(long)]
    from_names: bool,
    /// What to do when a target shows something else
    #[arg(long, value_enum, default_value_t)]
    on_mismatch: Mismatch,
    /// Time for all handshakes of an attempt [default: the server's, 30]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(1..=600))]
    deadline: Option<u16>,
    /// Look nowhere any more
    #[arg(long, conflicts_with_all = ["target", "from_names"])]
    off: bool,
}

impl SetVerification {
    /// `PUT /CertificateStores`, with everything else as it stands.
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        if self.target.is_empty() && !self.from_names && !self.off {
            let what = "give --target or --from-names, or --off to look nowhere any more";
            return Err(Failure::Usage(what.to_owned()));
        }
        let id = self.store.to_string();
        let answer = client.get(&["CertificateStores", &id], &Query::new()).await?;
        let store: CertificateStore = answer.read()?;
        let verification = Verification {
            targets: self.target,
            derive_from_names: self.from_names,
            on_mismatch: match self.on_mismatch {
                Mismatch::Warn => OnMismatch::Warn,
                Mismatch::Fail => OnMismatch::Fail,
                Mismatch::Restore => OnMismatch::Restore,
            },
            deadline_seconds: self.deadline.unwrap_or_default(),
        };
        let request = UpdateCertificateStore {
            id: Some(store.id),
            container_id: store.container_id,
            cert_store_type: Some(store.cert_store_type),
            create_if_missing: store.create_if_missing,
            // Secrets come back as their masks, which keeps them.
            properties: Some(store.properties),
            agent_id: Some(store.agent_id),
            inventory_schedule: store.inventory_schedule,
            password: None,
            verification: Some(verification),
        };
        let answer = client.put(&["CertificateStores"], &request).await?;
        output.show(&answer, |answer| Ok(pairs(&answer.read::<CertificateStore>()?)))
    }
}

/// Reads `HOST:PORT` or `HOST:PORT=NAME`; an address of version 6 stands in brackets.
fn target(text: &str) -> Result<Target, String> {
    let (address, name) = match text.split_once('=') {
        Some((address, name)) => (address, Some(name.to_owned())),
        None => (text, None),
    };
    let found = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    match found {
        Some((host, port)) if !host.is_empty() && port > 0 => Ok(Target {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            server_name: name.filter(|name| !name.is_empty()),
            protocols: Vec::new(),
        }),
        _ => Err("expected HOST:PORT or HOST:PORT=NAME".to_owned()),
    }
}

/// The settings in few words.
pub(super) fn words(verification: &Verification) -> String {
    let mut places: Vec<String> = verification.targets.iter().map(place).collect();
    if verification.derive_from_names {
        places.push("each name of a certificate".to_owned());
    }
    let otherwise = match verification.on_mismatch {
        OnMismatch::Warn => "warn",
        OnMismatch::Fail => "fail",
        OnMismatch::Restore => "put back",
    };
    format!("{}; else {otherwise}, after {} s", places.join(", "), verification.deadline_seconds)
}

fn place(target: &Target) -> String {
    match &target.server_name {
        Some(name) => format!("{}:{} as {name}", target.host, target.port),
        None => format!("{}:{}", target.host, target.port),
    }
}

/// What is served, in few words.
pub(super) fn served(store: &CertificateStore) -> String {
    let differing: Vec<String> = store
        .served
        .iter()
        .filter(|target| !target.matches)
        .map(|target| format!("{}:{} as {}", target.host, target.port, target.server_name))
        .collect();
    match (store.served_differs, store.served.len()) {
        (true, _) => format!("something else at {}", differing.join(", ")),
        (false, 0) => or_dash(None::<&str>),
        (false, targets) => format!("by {targets} targets, as stored"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const STORE: &str = "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10";

    fn stored() -> String {
        format!(
            r#"{{"Id":"{STORE}","DisplayName":"web1 - /a","ContainerId":3,"ContainerName":"Farm",
            "ClientMachine":"web1","Storepath":"/a","CertStoreInventoryJobId":null,"CertStoreType":2,
            "Approved":true,"CreateIfMissing":false,"Properties":"{{}}","AgentId":"{STORE}","AgentAssigned":true,
            "InventorySchedule":{{"Interval":{{"Minutes":60}}}},"SetNewPasswordAllowed":false}}"#
        )
    }

    #[tokio::test]
    async fn everything_else_of_the_store_stays() {
        let responder = Responder::start(vec![Reply::new(200, &stored()), Reply::new(200, &stored())]);
        let wish = SetVerification {
            store: STORE.parse().unwrap(),
            target: vec![target("10.0.0.1:8443=www.example.test").unwrap()],
            from_names: false,
            on_mismatch: Mismatch::Restore,
            deadline: None,
            off: false,
        };
        let captured = Captured::default();
        wish.run(&responder.client(), &captured.output(false, None)).await.unwrap();
        let asked = responder.asked();
        assert_eq!(asked[1].line, "PUT /CertificateStores");
        let body: serde_json::Value = serde_json::from_str(&asked[1].body).unwrap();
        assert_eq!(
            (&body["ContainerId"], &body["InventorySchedule"]["Interval"]["Minutes"]),
            (&3.into(), &60.into())
        );
        assert_eq!(body["Verification"]["Targets"][0]["ServerName"], "www.example.test");
        assert_eq!(body["Verification"]["OnMismatch"], "Restore");
    }

    #[test]
    fn targets_are_host_and_port_and_perhaps_a_name() {
        let read = |text: &str| target(text).map(|target| place(&target));
        assert_eq!(read("www.example.test:443").as_deref(), Ok("www.example.test:443"));
        assert_eq!(read("[::1]:443=a").as_deref(), Ok("::1:443 as a"));
        for wrong in ["", "www", ":443", "www:0", "www:70000", "www:x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
