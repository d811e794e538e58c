//! `sealift stores`: certificate stores, their inventory, and the certificates in them.

mod certificates;
mod create;
mod verification;

use clap::{Args, Subcommand};
use sealift_protocol::StoreId;
use sealift_protocol::operator::certificate_stores::{CertificateStore, InventoryEntry};
use sealift_protocol::operator::schedule::Schedule;
use serde::Deserialize;

use super::Listing;
use crate::client::{Client, Query};
use crate::failure::Failure;
use crate::output::{Output, Table, fixed, flexible, or_dash, time, yes_or_no};

#[derive(Debug, Subcommand)]
pub(super) enum Stores {
    /// List certificate stores
    List(Listing),
    /// Show one certificate store
    Get(Named),
    /// Create a certificate store
    Create(create::Create),
    /// Say where a store's agent looks for what is served, and what it does when that differs
    Verification(verification::SetVerification),
    /// List what the last inventory found in a certificate store
    Inventory(Inventory),
    /// Add a certificate to certificate stores, all of them or none
    Add(certificates::Add),
    /// Remove an entry from certificate stores
    Remove(certificates::Remove),
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The store
    #[arg(value_name = "GUID")]
    store: StoreId,
}

#[derive(Debug, Args)]
pub(super) struct Inventory {
    /// The store
    #[arg(value_name = "GUID")]
    store: StoreId,
    #[command(flatten)]
    listing: Listing,
}

impl Stores {
    pub(super) async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        match self {
            Self::List(listing) => {
                let answer = client.get(&["CertificateStores"], &listing.query()).await?;
                output.page(&answer, |answer| Ok(table(&answer.read::<Vec<CertificateStore>>()?)))
            }
            Self::Get(named) => {
                let id = named.store.to_string();
                let answer = client.get(&["CertificateStores", &id], &Query::new()).await?;
                output.show(&answer, |answer| Ok(pairs(&answer.read::<CertificateStore>()?)))
            }
            Self::Create(create) => create.run(client, output).await,
            Self::Verification(verification) => verification.run(client, output).await,
            Self::Inventory(inventory) => inventory.run(client, output).await,
            Self::Add(add) => add.run(client, output).await,
            Self::Remove(remove) => remove.run(client, output).await,
        }
    }
}

impl Inventory {
    /// `GET /CertificateStores/{id}/Inventory`.
    async fn run(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let path = ["CertificateStores", &self.store.to_string(), "Inventory"];
        let answer = client.get(&path, &self.listing.query()).await?;
        output.page(&answer, |answer| Ok(entries(&answer.read::<Vec<InventoryEntry>>()?)))
    }
}

/// The id of a store type that is named by its short name.
pub(super) async fn store_type(client: &Client, short_name: &str) -> Result<i32, Failure> {
    /// What is needed of a store type.
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct StoreType {
        store_type: i32,
    }
    let answer = client.get(&["CertificateStoreTypes", "Name", short_name], &Query::new()).await?;
    let found: Vec<StoreType> = answer.read()?;
    found
        .first()
        .map(|found| found.store_type)
        .ok_or_else(|| Failure::NotFound(format!("no store type has the short name '{short_name}'")))
}

/// A schedule in few words.
pub(super) fn schedule(schedule: &Schedule) -> String {
    let at = |at: sealift_protocol::Timestamp| at.utc().format("%H:%MZ");
    if schedule.immediate == Some(true) {
        "now".to_owned()
    } else if let Some(interval) = &schedule.interval {
        format!("every {} min", interval.minutes)
    } else if let Some(daily) = &schedule.daily {
        format!("daily {}", at(daily.time))
    } else if let Some(weekly) = &schedule.weekly {
        let days: Vec<String> = weekly.days.iter().map(|day| format!("{day:?}")).collect();
        format!("{} {}", days.join(", "), at(weekly.time))
    } else if let Some(monthly) = &schedule.monthly {
        format!("monthly on day {} {}", monthly.day, at(monthly.time))
    } else if let Some(once) = &schedule.exactly_once {
        time(once.time)
    } else {
        or_dash(None::<&str>)
    }
}

fn table(stores: &[CertificateStore]) -> Table {
    let mut table = Table::new(&[
        fixed("STORE"),
        fixed("TYPE"),
        flexible("MACHINE"),
        flexible("STORE PATH"),
        flexible("CONTAINER"),
        fixed("APPROVED"),
        flexible("INVENTORY"),
    ]);
    for store in stores {
        table.row([
            &store.id.to_string(),
            &store.cert_store_type.to_string(),
            &store.client_machine,
            &store.store_path,
            &or_dash(store.container_name.as_ref()),
            &yes_or_no(store.approved),
            &or_dash(store.inventory_schedule.as_ref().map(schedule)),
        ]);
    }
    table
}

fn pairs(store: &CertificateStore) -> Table {
    let password = store.password.as_ref().is_some_and(|password| password.has_value);
    Table::pairs([
        ("Store", store.id.to_string()),
        ("Type", store.cert_store_type.to_string()),
        ("Machine", store.client_machine.clone()),
        ("Store path", store.store_path.clone()),
        ("Agent", store.agent_id.to_string()),
        ("Container", or_dash(store.container_name.as_ref().or(Some(&or_dash(store.container_id))))),
        ("Approved", yes_or_no(store.approved)),
        ("Password set", yes_or_no(password)),
        ("Properties", store.properties.clone()),
        ("Inventory", or_dash(store.inventory_schedule.as_ref().map(schedule))),
        ("Verification", or_dash(store.verification.as_ref().map(verification::words))),
        ("Served", verification::served(store)),
    ])
}

fn entries(entries: &[InventoryEntry]) -> Table {
    let mut table = Table::new(&[
        flexible("ALIAS"),
        fixed("CERTIFICATE"),
        fixed("THUMBPRINT"),
        flexible("SUBJECT"),
        fixed("NOT AFTER"),
    ]);
    for entry in entries {
        match entry.certificates.first() {
            Some(leaf) => table.row([
                &entry.name,
                &leaf.id.to_string(),
                &leaf.thumbprint,
                &leaf.issued_dn,
                &time(leaf.not_after),
            ]),
            None => table.row([&entry.name, "-", "-", "-", "-"]),
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::captured::Captured;
    use crate::responder::{Reply, Responder};

    const STORE: &str = "7a6f1c52-0d1e-4f0b-9a6c-2f6f5f0f7a10";

    #[test]
    fn schedules_are_told_in_few_words() {
        for (text, words) in [
            (r#"{"Immediate":true}"#, "now"),
            (r#"{"Interval":{"Minutes":60}}"#, "every 60 min"),
            (r#"{"Daily":{"Time":"2026-05-04T01:05:00Z"}}"#, "daily 01:05Z"),
            (r#"{"Weekly":{"Days":[2,5],"Time":"2026-05-04T01:05:00Z"}}"#, "Tuesday, Friday 01:05Z"),
            (r#"{"Monthly":{"Day":3,"Time":"2026-05-04T01:05:00Z"}}"#, "monthly on day 3 01:05Z"),
            (r#"{"ExactlyOnce":{"Time":"2026-05-04T01:05:00Z"}}"#, "2026-05-04T01:05:00Z"),
            ("{}", "-"),
        ] {
            assert_eq!(schedule(&serde_json::from_str(text).unwrap()), words);
        }
    }

    #[tokio::test]
    async fn json_of_an_inventory_passes_through_untouched() {
        let body = r#"[ {"Name":"www","Unknown":[1, 2],  "Certificates":[]} ]"#;
        let responder = Responder::start(vec![Reply::new(200, body)]);
        let captured = Captured::default();
        let inventory = Inventory { store: STORE.parse().unwrap(), listing: Listing::default() };
        Stores::Inventory(inventory).run(&responder.client(), &captured.output(true, None)).await.unwrap();
        assert_eq!(captured.text(), format!("{body}\n"));
        assert_eq!(responder.asked()[0].line, format!("GET /CertificateStores/{STORE}/Inventory"));
    }

    #[tokio::test]
    async fn an_entry_shows_its_end_entity() {
        let body = format!(
            r#"[{{"Name":"www","Certificates":[{{"Id":512,"IssuedDN":"CN=www.example.test","SerialNumber":"3C",
            "NotBefore":"2026-05-01T00:00:00Z","NotAfter":"2027-05-01T00:00:00Z","SigningAlgorithm":"x",
            "IssuerDN":"CN=Issuing","Thumbprint":"9F0C","CertStoreInventoryItemId":88,"CertState":1,
            "Metadata":{{}}}}],"Parameters":{{}},"CertStoreId":"{STORE}","CertStoreInventoryItemId":88}}]"#
        );
        let responder = Responder::start(vec![Reply::new(200, &body)]);
        let captured = Captured::default();
        let inventory = Inventory { store: STORE.parse().unwrap(), listing: Listing::default() };
        Stores::Inventory(inventory).run(&responder.client(), &captured.output(false, None)).await.unwrap();
        let text = captured.text();
        assert!(
            text.contains("www    512          9F0C        CN=www.example.test  2027-05-01T00:00:00Z"),
            "{text}"
        );
    }
}
