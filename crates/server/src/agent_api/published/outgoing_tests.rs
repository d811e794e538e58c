//! Each hard limit, tried from both sides.

use sealift_protocol::agent::registration::CallError;
use sealift_protocol::{JobId, Secret};
use uuid::Uuid;

use super::*;

fn listed(job_id: JobId, schedule: Option<&str>) -> ListedJob {
    ListedJob {
        job_id,
        job_type_id: Uuid::nil(),
        configuration_endpoint: format!("Jobs/{job_id}/Configure?after=x"),
        completion_endpoint: format!("Jobs/{job_id}/Complete"),
        schedule: schedule.map(str::to_owned),
        cron: None,
        priority: 5,
    }
}

fn session() -> Session {
    Session {
        token: Uuid::nil().to_string(),
        agent_id: Uuid::nil().to_string(),
        client_machine: "edge-1".to_owned(),
        heartbeat_interval: 5,
        certificate: None,
        client_parameters: std::collections::BTreeMap::new(),
        jobs: Vec::new(),
    }
}

#[test]
fn messages_are_cut_in_bytes_and_statuses_are_known() {
    let long = |text: &str| {
        let error = CallError {
            code: 0,
            code_string: Some("x".repeat(500)),
            h_result: None,
            message: Some(text.to_owned()),
        };
        let mut result = CallResult { status: 3, error: Some(error) };
        fit_result(&mut result).unwrap();
        let error = result.error.unwrap();
        error.message.unwrap().len() + error.code_string.unwrap().len()
    };
    assert_eq!(long(&"x".repeat(5_000)), 932);
    assert!(long(&"é".repeat(5_000)) < 1_000, "two bytes each");
    for status in [0, 4] {
        assert!(fit_result(&mut CallResult { status, error: None }).is_err());
    }
}

#[test]
fn sessions_fit_their_buffers() {
    assert!(fit_session(&mut session()).is_ok());
    let mut slow = Session { heartbeat_interval: u32::MAX, ..session() };
    fit_session(&mut slow).unwrap();
    assert_eq!(slow.heartbeat_interval.to_string().len(), 7);
    for mut bad in [
        Session { token: "x".repeat(37), ..session() },
        Session { agent_id: "x".repeat(37), ..session() },
        Session { agent_id: String::new(), ..session() },
        Session { certificate: Some("-----BEGIN CERTIFICATE-----".to_owned()), ..session() },
        Session { certificate: Some(String::new()), ..session() },
    ] {
        assert!(fit_session(&mut bad).is_err());
    }
}

#[test]
fn lists_hold_each_job_once_and_no_schedule_that_loops() {
    let id = JobId::generate();
    let mut jobs =
        vec![listed(id, None), listed(id, Some("I_60")), listed(JobId::generate(), Some("D_06:30"))];
    fit_jobs(&mut jobs).unwrap();
    assert_eq!(jobs.len(), 2);
    assert!(fit_jobs(&mut vec![listed(id, Some("I_0"))]).is_err());
    let absolute =
        ListedJob { completion_endpoint: "https://elsewhere.test/x".to_owned(), ..listed(id, None) };
    assert!(fit_jobs(&mut vec![absolute]).is_err());
}

#[test]
fn schedules_are_the_six_forms() {
    for good in [
        "",
        "I_1",
        "D_00:00",
        "W_246_06:30",
        "M_31_23:59",
        "M_L_06:30",
        "O_2026-11-25T06:30",
        "O_2026-11-25T06:30:00Z",
    ] {
        assert!(is_schedule(good), "{good}");
    }
    for bad in [
        "I_0",
        "I_x",
        "I_-5",
        "D_24:00",
        "D_6:30",
        "W__06:30",
        "W_8_06:30",
        "M_0_06:30",
        "M_32_06:30",
        "O_2026-13-01T06:30",
        "O_2026-11-25",
        "X_5",
        "weekly",
    ] {
        assert!(!is_schedule(bad), "{bad}");
    }
}

#[test]
fn details_hold_no_null_and_no_armour() {
    let job = |operation: i32, contents: Option<&str>, alias: Option<&str>| Configured {
        result: CallResult::success(),
        audit_id: 4711,
        job_cancelled: false,
        inventory_endpoint: None,
        max_characters_to_return: None,
        job: ConfiguredJob {
            operation_type: Some(operation),
            entry_contents: contents.map(Secret::new),
            alias: alias.map(str::to_owned),
            store_path: "/a.pem".to_owned(),
            ..ConfiguredJob::default()
        },
    };
    assert!(job(2, Some("MAA="), Some("")).fit().is_ok());
    assert!(job(3, Some(""), Some("A")).fit().is_ok());
    for mut bad in [
        job(2, None, Some("")),
        job(2, Some("-----BEGIN CERTIFICATE-----"), Some("")),
        job(2, Some("MAA="), None),
        job(3, Some(""), None),
        Configured { audit_id: MAX_AUDIT + 1, ..job(3, Some(""), Some("A")) },
        Configured { audit_id: -1, ..job(3, Some(""), Some("A")) },
        Configured { inventory_endpoint: Some("https://x.test/".to_owned()), ..job(3, Some(""), Some("A")) },
    ] {
        let why = bad.fit().unwrap_err();
        let instead = bad.instead(CallResult::error(UNFIT, why));
        assert_eq!((instead.job.store_path.as_str(), instead.job_cancelled), ("/a.pem", true));
    }
}

#[test]
fn a_reenrollment_says_separate_private_key_as_a_string() {
    let fits = |properties: Option<&str>| {
        let mut configured = ReenrollmentConfigured {
            result: CallResult::success(),
            audit_id: 1,
            job_cancelled: false,
            key_type: "ECC".to_owned(),
            key_size: 256,
            subject: String::new(),
            entropy: None,
            client_machine: String::new(),
            store_path: String::new(),
            store_password: None,
            enroll_endpoint: "Jobs/x/Enroll?audit=1".to_owned(),
            properties: properties.map(Secret::new),
            sans: std::collections::BTreeMap::new(),
            alias: None,
            overwrite: true,
            job_properties: std::collections::BTreeMap::new(),
        };
        let fits = configured.fit().is_ok();
        configured.key_type = "Ed25519".to_owned();
        assert!(configured.fit().is_err());
        fits
    };
    assert!(fits(None) && fits(Some(r#"{"separatePrivateKey":"true"}"#)));
    for bad in ["{}", r#"{"separatePrivateKey":true}"#, r#"{"separatePrivateKey":null}"#, "", "null"] {
        assert!(!fits(Some(bad)), "{bad}");
    }
}

#[test]
fn success_and_certificate_come_together() {
    let fits = |status: i32, certificate: Option<&str>| {
        let result = CallResult { status, error: None };
        Enrolled { result, certificate: certificate.map(str::to_owned) }.fit().is_ok()
    };
    assert!(fits(1, Some("MAA=")) && fits(3, None));
    assert!(!fits(1, None) && !fits(1, Some("-----BEGIN")) && !fits(3, Some("MAA=")));
}
