//! The middle acts: a certificate is enrolled and deployed, and looked at from both sides.

use anyhow::{Result, ensure};
use sealift_protocol::Timestamp;
use sealift_protocol::operator::orchestrator_jobs::{JobHistoryRow, JobResult};

use super::{ASKED, Cast, Enrolled, NAMES};
use crate::operator::{text, value};
use crate::stage;
use crate::witness::{Seen, s_client};

/// Enrolls a certificate and deploys it to both stores; ends when the server has read it back from them.
pub(super) async fn first_certificate(cast: &Cast<'_>) -> Result<Enrolled> {
    cast.narration.act("A certificate for two names and a wildcard, deployed to both");
    let enrolled = enroll(cast).await?;
    deploy(cast, &enrolled).await?;
    let mut files: Vec<String> = std::fs::read_dir(cast.stage.path("share"))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    files.sort();
    cast.narration.say(&format!("Each name has its file in the share: {}", files.join("  ")));
    cast.narration.say("What was read back afterwards, by the inventories that follow each change:");
    until_read_back(cast, &enrolled).await?;
    cast.operator.run(&["certificates", "get", &enrolled.id, "--locations"]).await?;
    job_history(cast).await?;
    Ok(enrolled)
}

/// Shows every attempt, newest first, and fails if one of them did.
async fn job_history(cast: &Cast<'_>) -> Result<()> {
    let rows = cast.operator.ask(&["jobs", "history"]).await?;
    let rows: Vec<JobHistoryRow> = serde_json::from_value(rows)?;
    let place = format!("{}/", cast.stage.directory().display());
    let time = |time: Timestamp| time.utc().format("%H:%M:%S%.3f").to_string();
    for row in &rows {
        let succeeded = row.result == JobResult::Success as i32;
        let end = row.operation_end.map_or("-".to_owned(), time);
        let result = if succeeded { "success" } else { "NO SUCCESS" };
        cast.narration.say(&format!(
            "{:<13} {:<19} {:<18} {} to {end} {result}",
            row.job_type,
            row.client_machine,
            row.store_path.replace(&place, ""),
            time(row.operation_start),
        ));
        cast.narration.say(&format!("  {}", row.message.replace(&place, "")));
        ensure!(succeeded, "attempt {} of job {} did not succeed", row.attempt, row.job_id);
    }
    ensure!(
        rows.len() == 2 * cast.hosts.len(),
        "{} attempts, not a change and an inventory of each store",
        rows.len()
    );
    Ok(())
}

/// Shows what both web servers serve for several names.
pub(super) async fn what_clients_see(cast: &Cast<'_>, enrolled: &Enrolled) -> Result<()> {
    cast.narration.act("What a TLS client sees");
    for (host, _) in &cast.hosts {
        // A reload returns before nginx has taken up the files.
        stage::until("the new certificate to be served", async || {
            let seen = s_client(cast.stage, None, host, ASKED[0]).await;
            Ok(seen.is_ok_and(|seen| seen.thumbprint() == enrolled.thumbprint).then_some(()))
        })
        .await?;
        let seen = s_client(cast.stage, Some(cast.narration), host, ASKED[0]).await?;
        seen.lines.iter().for_each(|line| cast.narration.say(line));
        check(&seen, enrolled)?;
        for name in &ASKED[1..] {
            let seen = s_client(cast.stage, None, host, name).await?;
            check(&seen, enrolled)?;
            cast.narration.say(&format!(
                "{name} on {}: the same, serial={}",
                host.what,
                seen.value("serial")
            ));
        }
    }
    cast.narration.say("openssl verified chain and name each time, with server/ca.pem alone.");
    Ok(())
}

/// Enrolls a certificate whose key stays with the server.
pub(super) async fn enroll(cast: &Cast<'_>) -> Result<Enrolled> {
    let subject = format!("CN={}", NAMES[0]);
    let mut words = vec!["enroll", "--subject", &subject];
    words.extend(NAMES.iter().flat_map(|name| ["--dns", *name]));
    let printed = cast.operator.read(&words).await?;
    Ok(Enrolled {
        id: value(&printed, "Certificate")?,
        thumbprint: value(&printed, "Thumbprint")?,
        serial: value(&printed, "Serial number")?,
    })
}

/// Deploys a certificate to both stores and waits for the jobs.
pub(super) async fn deploy(cast: &Cast<'_>, enrolled: &Enrolled) -> Result<()> {
    let mut words = vec!["deploy", "--certificate", &enrolled.id];
    words.extend(cast.hosts.iter().flat_map(|(_, store)| ["--store", store]));
    words.extend(["--overwrite", "--wait", "--timeout", "30"]);
    cast.operator.run(&words).await
}

/// Waits until inventories have found the certificate in every store.
async fn until_read_back(cast: &Cast<'_>, enrolled: &Enrolled) -> Result<()> {
    stage::until("the inventories", async || {
        let certificate = cast.operator.look(&["certificates", "get", &enrolled.id, "--locations"]).await?;
        let found = |store: &String| {
            let places = certificate["Locations"].as_array().into_iter().flatten();
            places
                .filter(|place| text(place, "CertStoreId").is_ok_and(|id| id.eq_ignore_ascii_case(store)))
                .count()
                > 0
        };
        let everywhere = cast.hosts.iter().all(|(_, store)| found(store));
        let open = cast.operator.look(&["jobs", "list"]).await?;
        let idle = open.as_array().is_some_and(Vec::is_empty);
        Ok((everywhere && idle).then_some(()))
    })
    .await
}

/// Holds what openssl saw against what was enrolled.
pub(super) fn check(seen: &Seen, enrolled: &Enrolled) -> Result<()> {
    let (found, wanted) = (seen.thumbprint(), &enrolled.thumbprint);
    ensure!(found == *wanted, "a certificate with thumbprint {found} is served instead of {wanted}");
    Ok(())
}
