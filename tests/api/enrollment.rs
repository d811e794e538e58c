//! Enrollment over HTTP: each format, each way to ask, and what is refused.

use std::io::Write as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use sealift_pki::{KeyAlgorithm, PrivateKey};
use serde_json::{Value, json};
use support::client::{Answer, Client};
pub(crate) use support::examples::{csr, template_id};
use support::story::enroll;
use support::{RawAgent, TestServer};

use super::permissions::caller;

const PASSWORD: &str = "correct horse";

/// Enrolls with a format and a version of the API.
pub(crate) async fn enroll_as(
    client: &Client,
    path: &str,
    format: &str,
    version: &str,
    body: &Value,
) -> Answer {
    let request = client.request(Method::POST, path).header("x-certificateformat", format);
    client.send(request.header("x-keyfactor-api-version", version).json(body)).await
}

/// Defines the metadata field that these tests use.
pub(crate) async fn define_owner(client: &Client) {
    let field = json!({"Name": "Owner", "Description": "who answers for it", "DataType": 1});
    client.post("/MetadataFields", &field).await.ok();
}

fn blob(answer: &Value) -> Vec<u8> {
    STANDARD.decode(answer["CertificateInformation"]["Pkcs12Blob"].as_str().unwrap()).unwrap()
}

fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn subject(more: Value) -> Value {
    let mut body = json!({"Subject": "CN=www.example.test,O=Example", "Password": PASSWORD, "Template": "TLSServer",
        "SANs": {"dns": ["www.example.test", "*.example.test"], "ip4": ["192.0.2.7"], "ip6": ["2001:db8::7"],
            "uri": ["https://www.example.test/x"], "rfc822": ["web@example.test"]},
        "Timestamp": "2026-05-04T09:30:00Z", "IncludeChain": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_of_a_pfx_is_read_by_openssl() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    for (format, extension) in [("PFX", "pfx"), ("STORE", "store"), ("REPLACE", "pfx")] {
        let answer = enroll_as(admin, "/Enrollment/PFX", format, "1", &subject(json!({}))).await;
        assert_eq!(answer.headers["x-certificatefile"], format!("www.example.test.{extension}"));
        assert_eq!(answer.headers["x-privatekeystatus"], "Saved");
        assert_eq!(answer.headers["api-supported-versions"], "1.0, 2");
        let answer = answer.ok();
        let password = format!("pass:{PASSWORD}");
        let text = openssl(&["pkcs12", "-nodes", "-passin", &password], &blob(&answer));
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3, "leaf, issuing authority, root");
        assert!(text.contains("BEGIN PRIVATE KEY"), "{format}");
        let information = &answer["CertificateInformation"];
        assert_eq!((&information["Password"], &information["KeyfactorRequestId"]), (&Value::Null, &json!(0)));
        assert_eq!(information["RequestDisposition"], "ISSUED");
        assert!(information["WorkflowInstanceId"].as_str().is_some_and(|id| id.len() == 36));
        assert!(information["WorkflowReferenceId"].as_i64().is_some_and(|id| id > 0));
    }
    let with_header = subject(json!({"IncludeSubjectHeader": true, "ChainOrder": "RootFirst"}));
    let answer = enroll_as(admin, "/Enrollment/PFX", "pem", "1", &with_header).await.ok();
    let text = String::from_utf8(blob(&answer)).unwrap();
    assert!(
        text.starts_with("#CN=Sealift Root") && text.contains("\n#CN=www.example.test,O=Example\n"),
        "{text}"
    );
    let key = openssl(&["pkey", "-passin", &format!("pass:{PASSWORD}"), "-text", "-noout"], text.as_bytes());
    assert!(key.contains("prime256v1") || key.contains("P-256"), "{key}");

    let answer = enroll_as(admin, "/Enrollment/PFX", "Zip", "1", &subject(json!({}))).await;
    assert_eq!(answer.headers["x-certificatefile"], "www.example.test.zip");
    let archive = blob(&answer.ok());
    let text = String::from_utf8_lossy(&archive);
    for part in
        ["www.example.test.crt", "www.example.test.key", "BEGIN ENCRYPTED PRIVATE KEY", "BEGIN CERTIFICATE"]
    {
        assert!(text.contains(part), "{part}");
    }

    let jks = subject(json!({"CustomFriendlyName": "Shop"}));
    let answer = enroll_as(admin, "/Enrollment/PFX", "JKS", "1", &jks).await;
    assert_eq!(answer.headers["x-certificatefile"], "www.example.test.jks");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.jks");
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&file)
        .unwrap()
        .write_all(&blob(&answer.ok()))
        .unwrap();
    let listed = Command::new("keytool")
        .args(["-list", "-v", "-storepass", PASSWORD, "-alias", "shop", "-keystore"])
        .arg(&file)
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("PrivateKeyEntry") && listed.contains("chain length: 3"), "{listed}");

    let refused = enroll_as(admin, "/Enrollment/PFX", "P7B", "1", &subject(json!({}))).await;
    assert!(refused.refused(400).contains("PFX, STORE, REPLACE, PEM, ZIP, JKS"));
    assert_eq!(refused.body["ErrorCode"], "0xA0110008");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_rarer_kinds_are_issued_and_renewed() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let body = subject(json!({"SANs": {"dns": ["www.example.test"], "directory": ["CN=web,O=Example"],
        "registeredid": ["1.2.840.113549"], "ms_ntprincipalname": ["ann@corp.example"],
        "ms_ntdsreplication": ["7A6F1C52-0D1E-4F0B-9A6C-2F6F5F0F7A10"], "other": ["1.2.3.4:UTF8:a text"]}}));
    let answer = enroll_as(admin, "/Enrollment/PFX", "PEM", "1", &body).await.ok();
    let shown = openssl(&["x509", "-noout", "-ext", "subjectAltName"], &blob(&answer));
    for name in
        ["UPN:ann@corp.example", "Registered ID:", "DirName:", "1.2.3.4:a text", "DNS:www.example.test"]
    {
        assert!(shown.replace("::", ":").contains(name), "{name}: {shown}");
    }
    let id = answer["CertificateInformation"]["KeyfactorId"].as_i64().unwrap();
    let names = async |id: i64| {
        admin.get(&format!("/Certificates/{id}")).await.ok()["SubjectAltNameElements"].clone()
    };
    let before = names(id).await;
    let kinds: Vec<i64> =
        before.as_array().unwrap().iter().map(|one| one["Type"].as_i64().unwrap()).collect();
    assert_eq!(kinds, [2, 4, 101, 100, 0, 8], "{before}");
    let renewed = admin.post("/Enrollment/Renew", &json!({"CertificateId": id})).await.ok();
    assert_eq!(names(renewed["KeyfactorId"].as_i64().unwrap()).await, before);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pfx_is_what_was_asked_for() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let role = json!({"Name": "Web team", "Description": "", "Permissions": ["/agents/management/read/"]});
    let role = admin.post("/Security/Roles", &role).await.ok();
    define_owner(admin).await;
    let id = template_id(admin, "TLSServerClient").await;
    let fields = json!({"Id": id, "EnrollmentFields": [{"Name": "Zone", "DataType": 2, "Options": ["Inside", "Outside"]}]});
    admin.put("/Templates", &fields).await.ok();
    let body = subject(
        json!({"Template": "", "EnrollmentPatternId": id, "KeyType": "RSA", "KeyLength": 3072,
        "UseLegacyEncryption": true, "CustomFriendlyName": "shop", "Password": null, "Metadata": {"Owner": "web"},
        "AdditionalEnrollmentFields": {"zone": "inside"}, "OwnerRoleName": "web TEAM", "OwnerRoleId": role["Id"],
        "CertificateAuthority": "", "PopulateMissingValuesFromAD": true, "MicrosoftTargetCSP": "x"}),
    );
    let answer = enroll_as(admin, "/Enrollment/PFX", "PFX", "1", &body).await.ok();
    let password = answer["CertificateInformation"]["Password"].as_str().unwrap().to_owned();
    let text = openssl(
        &["pkcs12", "-legacy", "-nodes", "-info", "-passin", &format!("pass:{password}")],
        &blob(&answer),
    );
    assert!(text.contains("friendlyName: shop"));
    assert_eq!(answer["Metadata"], json!({"Owner": "web"}));
    let id = answer["CertificateInformation"]["KeyfactorId"].as_i64().unwrap();
    let found =
        admin.get(&format!("/Certificates/{id}?includeMetadata=true&includeHasPrivateKey=true")).await.ok();
    assert_eq!((found["KeySizeInBits"].as_i64(), &found["HasPrivateKey"]), (Some(3072), &json!(true)));
    assert_eq!((&found["OwnerRoleName"], &found["Metadata"]["Owner"]), (&json!("Web team"), &json!("web")));
    let request = answer["CertificateInformation"]["WorkflowReferenceId"].clone();
    assert_eq!(found["CertRequestId"], request);
    let by_request = admin.query("/Certificates", &format!("CertRequestId -eq {request}")).await.ok();
    assert_eq!(by_request[0]["Id"], found["Id"]);
    let renewed = admin.post("/Enrollment/Renew", &json!({"CertificateId": id})).await.ok();
    let renewed =
        admin.get(&format!("/Certificates/{}?includeMetadata=true", renewed["KeyfactorId"])).await.ok();
    assert_eq!((&renewed["OwnerRoleName"], &renewed["Metadata"]), (&json!("Web team"), &found["Metadata"]));
    assert_eq!(found["TemplateId"].as_i64(), Some(template_id(admin, "TLSServerClient").await));
    let names: Vec<&str> = found["SubjectAltNameElements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name["Value"].as_str().unwrap())
        .collect();
    for name in [
        "www.example.test",
        "*.example.test",
        "192.0.2.7",
        "2001:db8::7",
        "https://www.example.test/x",
        "web@example.test",
    ] {
        assert!(names.contains(&name), "{names:?} lacks {name}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pfx_that_cannot_be_had_is_refused_by_its_member() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    for (change, words) in [
        (json!({"Template": "Nothing"}), "Template: 'Nothing' is not known"),
        (json!({"Template": null, "EnrollmentPatternId": 0}), "Template: "),
        (
            json!({"Template": null, "EnrollmentPatternId": 999}),
            "EnrollmentPatternId: enrollment pattern 999",
        ),
        (json!({"EnrollmentPatternId": template_id(admin, "TLSServerClient").await}), "leave Template out"),
        (json!({"RenewalCertificateId": 0}), "RenewalCertificateId: "),
        (json!({"RenewalCertificateId": 999}), "RenewalCertificateId: certificate 999 was not found"),
        (json!({"Metadata": {"Nothing": "x"}}), "Metadata.Nothing: "),
        (json!({"OwnerRoleName": "Nobody"}), "OwnerRoleId, OwnerRoleName: "),
        (json!({"AdditionalEnrollmentFields": {"Colour": "blue"}}), "AdditionalEnrollmentFields.Colour: "),
        (json!({"CertificateAuthority": "other\\CA"}), "CertificateAuthority: "),
        (json!({"KeyType": "RSA", "KeyLength": 1024}), "KeyType, KeyLength, Curve: "),
        (json!({"SANs": {"x400": ["a"]}}), "SANs.x400: "),
        (json!({"Password": "short"}), "Password: "),
        (json!({"Subject": "nothing"}), "Subject: "),
    ] {
        let refused = enroll_as(admin, "/Enrollment/PFX", "PFX", "2", &subject(change)).await;
        assert!(refused.refused(400).contains(words), "{words}: {}", refused.text);
    }
    let refused = enroll_as(admin, "/Enrollment/PFX", "PFX", "3", &subject(json!({}))).await;
    assert!(refused.refused(400).contains("x-keyfactor-api-version"));
    let issued: i64 =
        sqlx::query_scalar("SELECT count(*) FROM certificates").fetch_one(server.database()).await.unwrap();
    assert_eq!(issued, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_delivers_to_stores_that_are_named_and_to_those_of_the_predecessor() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let old_place = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let new_place = agent.store(&server, 2, "/etc/tls/b.pem").await;
    let first = subject(json!({"Stores": [{"StoreId": old_place}]}));
    let ignored = enroll_as(admin, "/Enrollment/PFX", "STORE", "1", &first).await.ok();
    assert!(ignored.get("SuccessfulStores").is_none(), "version 1 knows no stores");
    let enrolled = enroll_as(admin, "/Enrollment/PFX", "STORE", "2", &first).await.ok();
    assert_eq!(enrolled["SuccessfulStores"], json!([old_place]));
    assert_eq!(super::deployment::work_off(&agent).await.len(), 2);

    let old = enrolled["CertificateInformation"]["KeyfactorId"].clone();
    let unknown = uuid::Uuid::new_v4().to_string();
    let renewal = subject(json!({"RenewalCertificateId": old, "InstallIntoExistingCertificateStores": true,
        "Stores": [{"StoreId": new_place}, {"StoreId": unknown}]}));
    let renewed = enroll_as(admin, "/Enrollment/PFX", "STORE", "2", &renewal).await.ok();
    assert_eq!(renewed["SuccessfulStores"], json!([new_place, old_place]));
    assert_eq!(renewed["CertificateInformation"]["StoreIdsInvalidForRenewal"], json!([unknown]));

    let alone = subject(json!({"InstallIntoExistingCertificateStores": true}));
    let refused = enroll_as(admin, "/Enrollment/PFX", "STORE", "2", &alone).await;
    assert!(refused.refused(400).contains("RenewalCertificateId is required"));
    let enroller = caller(&server, &["/certificates/enrollment/pfx/"]).await;
    let refused = enroll_as(&enroller, "/Enrollment/PFX", "STORE", "2", &first).await;
    assert!(refused.refused(403).contains("/certificate_stores/schedule/"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_is_answered_as_pem_or_der() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let text = csr(&key, "www.example.test", &["www.example.test", "shop.example.test"]);
    define_owner(admin).await;
    let body = |csr: &str| {
        json!({"CSR": csr, "Template": "TLSServer", "CertificateAuthority": "",
        "SANs": {"ip": ["192.0.2.7"]}, "Metadata": {"Owner": "web"}, "IncludeChain": true, "Timestamp": "2026-05-04T09:30:00Z"})
    };
    let answer = enroll_as(admin, "/Enrollment/CSR", "PEM", "1", &body(&text.replace('\n', "\r\n"))).await;
    assert_eq!(answer.headers["x-certificatefile"], "www.example.test.pem");
    assert!(!answer.headers.contains_key("x-privatekeystatus"));
    let answer = answer.ok();
    let information = &answer["CertificateInformation"];
    assert_eq!(information["RequestDisposition"], "ISSUED");
    let certificates = information["Certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 3);
    for certificate in certificates {
        let text = certificate.as_str().unwrap();
        assert!(text.starts_with("#CN=") && text.contains("\n-----BEGIN CERTIFICATE-----\n"), "{text}");
        assert!(text.ends_with("-----END CERTIFICATE-----\n"));
    }
    let leaf = certificates[0].as_str().unwrap();
    assert!(leaf.starts_with("#CN=www.example.test,O=Example\n"), "{leaf}");
    let shown = openssl(&["x509", "-noout", "-ext", "subjectAltName", "-serial"], leaf.as_bytes());
    for name in ["DNS:www.example.test", "DNS:shop.example.test", "IP Address:192.0.2.7"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert!(shown.contains(information["SerialNumber"].as_str().unwrap()));
    let id = information["KeyfactorID"].as_i64().unwrap();
    let found = admin.get(&format!("/Certificates/{id}?includeHasPrivateKey=true")).await.ok();
    assert_eq!(found["HasPrivateKey"], false);

    let bare: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let mut with_key = body(&bare);
    with_key["PrivateKey"] = json!(key.to_pem().as_str());
    let answer = enroll_as(admin, "/Enrollment/CSR", "DER", "1", &with_key).await.ok();
    let der = STANDARD.decode(answer["CertificateInformation"]["Certificates"][0].as_str().unwrap()).unwrap();
    assert!(sealift_pki::Certificate::parse(&der).is_ok());
    let id = answer["CertificateInformation"]["KeyfactorID"].as_i64().unwrap();
    let found = admin.get(&format!("/Certificates/{id}?includeHasPrivateKey=true")).await.ok();
    assert_eq!(found["HasPrivateKey"], true);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_that_is_weak_or_false_is_refused() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("key.pem").display().to_string();
    let arguments = [
        "req",
        "-new",
        "-newkey",
        "rsa:1024",
        "-nodes",
        "-subj",
        "/CN=www.example.test",
        "-keyout",
        &key_file,
    ];
    let weak = openssl(&arguments, b"");
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let good = csr(&key, "www.example.test", &[]);
    let mut forged =
        STANDARD.decode(good.lines().filter(|line| !line.starts_with("--")).collect::<String>()).unwrap();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let other = PrivateKey::generate(KeyAlgorithm::Ed25519).unwrap();
    for (csr, words) in [
        (json!(weak), "RSA 1024"),
        (json!(STANDARD.encode(&forged)), "not signed by its own key"),
        (json!(csr(&other, "www.example.test", &[])), "Ed25519 keys are not allowed"),
        (json!("nothing"), "CSR: "),
        (json!(null), "CSR: "),
        (json!(csr(&key, "Payroll System", &[])), "SANs: "),
    ] {
        let refused = admin.post("/Enrollment/CSR", &json!({"CSR": csr, "Template": "TLSServer"})).await;
        assert!(refused.refused(400).contains(words), "{words}: {}", refused.text);
    }
    let refused =
        enroll_as(admin, "/Enrollment/CSR", "PFX", "1", &json!({"CSR": good, "Template": "TLSServer"})).await;
    assert_eq!(refused.body["ErrorCode"], "0xA0110008");
    let pfx_only = caller(&server, &["/certificates/enrollment/pfx/"]).await;
    pfx_only.post("/Enrollment/CSR", &json!({"CSR": good})).await.refused(403);

    let parsed = admin
        .post("/Enrollment/CSR/Parse", &json!({"CSR": csr(&key, "www.example.test", &["a.test"])}))
        .await;
    let parsed = parsed.ok();
    for line in [
        "Common Name: www.example.test",
        "Organization: Example",
        "Subject Alternative Name (dns): a.test",
        "Key Length: 256",
    ] {
        assert!(parsed.as_array().unwrap().contains(&json!(line)), "{parsed}");
    }
    admin.post("/Enrollment/CSR/Parse", &json!({"CSR": "x"})).await.refused(400);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_settings_and_patterns_say_what_may_be_enrolled() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let id = template_id(admin, "TLSServerClient").await;
    let change = json!({"Id": id, "AllowedEnrollmentTypes": 2, "UseAllowedRequesters": true,
        "AllowedRequesters": ["Administrators"], "TemplatePolicy": {"AllowWildcards": false},
        "TemplateRegexes": [{"SubjectPart": "CN", "Regex": ".*\\.example\\.test", "Error": "Only example.test."}]});
    let administrators = admin.get("/Security/My").await.ok();
    let role =
        administrators["Roles"][0]["Name"].as_str().or_else(|| administrators["Roles"][0].as_str()).unwrap();
    let mut change = change;
    change["AllowedRequesters"] = json!([role]);
    admin.put("/Templates", &change).await.ok();
    let names = |context: Value| -> Vec<String> {
        context["Templates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["Name"].as_str().unwrap().to_owned())
            .collect()
    };
    let csr_context = admin.get("/Enrollment/CSR/Context/My").await.ok();
    assert_eq!(csr_context["StandaloneCAs"], json!([]));
    assert_eq!(csr_context["Templates"][0]["KeyType"], "ECC");
    assert_eq!(csr_context["Templates"][1]["Regexes"][0]["Regex"], ".*\\.example\\.test");
    assert_eq!(names(csr_context), ["TLSServer", "TLSServerClient"]);
    assert_eq!(names(admin.get("/Enrollment/PFX/Context/My").await.ok()), ["TLSServer"]);
    let enroller = caller(&server, &["/certificates/enrollment/csr/"]).await;
    assert_eq!(names(enroller.get("/Enrollment/CSR/Context/My").await.ok()), ["TLSServer"]);
    enroller.get("/Enrollment/PFX/Context/My").await.refused(403);

    let settings = enroller.get(&format!("/Enrollment/Settings/{id}")).await.ok();
    assert_eq!(settings["TemplatePolicy"]["AllowWildcards"], false);
    assert_eq!(settings["TemplatePolicy"]["RSAValidKeySizes"], json!([2048, 3072, 4096]));
    assert_eq!(settings["TemplateRegexes"][0]["SubjectPart"], "CN");
    enroller.get("/Enrollment/Settings/999").await.refused(404);
    caller(&server, &["/agents/management/read/"]).await.get("/Enrollment/Settings/1").await.refused(403);

    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let body = json!({"CSR": csr(&key, "www.other.test", &[]), "Template": "TLSServerClient"});
    assert!(admin.post("/Enrollment/CSR", &body).await.refused(400).contains("Only example.test."));
    let body = json!({"CSR": csr(&key, "www.example.test", &[]), "Template": "TLSServerClient"});
    enroller.post("/Enrollment/CSR", &body).await.refused(403);
    admin.post("/Enrollment/CSR", &body).await.ok();

    let patterns = admin.get("/EnrollmentPatterns?PageReturned=1&ReturnLimit=50").await;
    assert_eq!(patterns.headers["x-total-count"], "2");
    let patterns = patterns.ok();
    let pattern = patterns.as_array().unwrap().iter().find(|one| one["Id"] == id).unwrap().clone();
    assert_eq!(pattern["Template"]["CommonName"], "TLSServerClient");
    assert_eq!(pattern["AssociatedRoles"][0]["Name"], role);
    assert_eq!(pattern["Policies"]["KeyInfo"]["RSA"]["bit_lengths"], json!([2048, 3072, 4096]));
    assert_eq!(admin.get(&format!("/EnrollmentPatterns/{id}")).await.ok(), pattern);
    admin.get("/EnrollmentPatterns/999").await.refused(404);
    enroller.get("/EnrollmentPatterns").await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_deployed_only_by_those_who_may_read_it_or_asked_for_it() {
    let server = TestServer::start().await;
    let agent = RawAgent::enroll(&server, "web1.example.test").await;
    let store = agent.store(&server, 2, "/etc/tls/a.pem").await;
    let others = enroll(&server.admin, &["www.example.test"]).await;
    let operator = caller(&server, &["/certificates/enrollment/pfx/", "/certificate_stores/schedule/"]).await;
    let deploy =
        |id: i64| json!({"CertificateId": id, "Stores": [{"StoreId": store}], "Password": "t7!Qz-example"});
    let refused = operator.post("/Enrollment/PFX/Deploy", &deploy(others)).await;
    assert!(refused.refused(403).contains("/certificates/collections/read/"));
    let own = enroll(&operator, &["shop.example.test"]).await;
    let deployed = operator.post("/Enrollment/PFX/Deploy", &deploy(own)).await.ok();
    assert_eq!(deployed["SuccessfulStores"], json!([store]));
    server.stop().await;
}
