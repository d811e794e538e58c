//! Stories of inventories: differences, unreadable neighbours, and lost leases.

use super::*;

#[tokio::test]
async fn inventories_are_differences_where_both_sides_agree() {
    let story = Story::begin(None).await;
    let issuer = authority();
    let hosts = ["a.example.test", "b.example.test"].map(|name| host_certificate(&issuer, name));
    let both: String = hosts.iter().map(|(certificate, _)| certificate.to_pem()).collect();
    atomic_file::write(&story.path(), both.as_bytes(), 0o600).unwrap();
    story.give(&[&story.job(Work::Inventory)]);
    story.run_until_reported(1).await;
    let first = story.pages();
    assert_eq!((first.len(), first[0].entries.len(), first[0].base.is_none()), (1, 2, true));

    // One goes; the server holds what it was told.
    atomic_file::write(&story.path(), hosts[0].0.to_pem().as_bytes(), 0o600).unwrap();
    let mut second = story.job(Work::Inventory);
    second.store.inventory_version = Some(first[0].version.clone());
    story.tell.send_replace(false);
    story.give(&[&second]);
    story.run_until_reported(2).await;
    let page = story.pages().remove(1);
    assert_eq!((page.base.as_ref(), page.entries.len()), (Some(&first[0].version), 0));
    assert_eq!(page.removed, [hosts[1].0.thumbprint().to_string()]);

    // The server holds something else after all, then something the agent never sent.
    locked(&story.door.dispositions).push(InventoryDisposition::SendEverything);
    let (mut third, mut fourth) = (story.job(Work::Inventory), story.job(Work::Inventory));
    third.store.inventory_version = Some(page.version);
    fourth.store.inventory_version = Some("unknown".to_owned());
    story.tell.send_replace(false);
    story.give(&[&third, &fourth]);
    let completions = story.run_until_reported(4).await;
    assert!(completions.iter().all(|completion| completion.outcome == Outcome::Success));
    let bases: Vec<bool> = story.pages().iter().map(|page| page.base.is_some()).collect();
    assert_eq!(bases, [false, true, true, false, false]);
}

#[tokio::test]
async fn an_inventory_of_a_lost_lease_stops() {
    let story = Story::begin(None).await;
    atomic_file::write(&story.path(), b"", 0o600).unwrap();
    locked(&story.door.dispositions).push(InventoryDisposition::Stale);
    story.give(&[&story.job(Work::Inventory)]);
    let completions = story.run_until_reported(1).await;
    let said = (completions[0].outcome, completions[0].error_code.as_deref());
    assert_eq!(said, (Outcome::TransientFailure, Some("lease_lost")));
}

#[tokio::test]
async fn a_central_certificate_store_is_filled_and_one_bad_file_is_a_warning() {
    let story = Story::begin(None).await;
    let share = story.server.path("share");
    std::fs::create_dir(&share).unwrap();
    let (certificate, key) = host_certificate(&authority(), "*.example.test");
    let on_share = |work| {
        let mut job = story.job(work);
        job.store.store_type = "CCS".to_owned();
        job.store.path = share.to_str().unwrap().to_owned();
        job.store.password = Some(Secret::new("canary-password"));
        job
    };
    atomic_file::write(&share.join("broken.example.test.pfx"), b"no pfx", 0o600).unwrap();
    story.give(&[&on_share(add(&certificate, &key)), &on_share(Work::Inventory)]);
    let completions = story.run_until_reported(2).await;
    assert_eq!(completions[0].outcome, Outcome::Success, "{}", completions[0].message);
    assert!(share.join("_.example.test.pfx").is_file());
    assert_eq!(completions[1].outcome, Outcome::Warning, "{}", completions[1].message);
    assert!(completions[1].message.contains("broken.example.test.pfx"), "{}", completions[1].message);
    let page = story.pages().remove(0);
    assert_eq!(
        page.entries.iter().map(|entry| entry.alias.as_str()).collect::<Vec<_>>(),
        ["_.example.test.pfx"]
    );
    assert!(page.entries[0].private_key_entry);

    let mut wrong = on_share(Work::Inventory);
    wrong.store.path = share.join("..").to_str().unwrap().to_owned();
    story.tell.send_replace(false);
    story.give(&[&wrong]);
    assert_eq!(story.run_until_reported(3).await[2].error_code.as_deref(), Some("store_not_allowed"));
}
