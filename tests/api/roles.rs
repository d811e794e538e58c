//! Roles in both versions, who has them, and what they may grant.

use reqwest::Method;
use serde_json::{Value, json};
use support::client::{Answer, Credentials};
use support::{Client, TestServer};

use crate::permissions::caller;

const READ_AGENTS: &str = "/agents/management/read/";

/// A call of version 2.
async fn second(client: &Client, method: Method, path: &str, body: &Value) -> Answer {
    let request = client.request(method, path).header("x-keyfactor-api-version", "2");
    client.send(request.json(body)).await
}

fn role(name: &str, permissions: &[&str]) -> Value {
    json!({"Name": name, "Description": "for a test", "Permissions": permissions})
}

async fn make(server: &TestServer, body: &Value) -> Value {
    server.admin.post("/Security/Roles", body).await.ok()
}

async fn user(server: &TestServer, name: &str, roles: &[&str]) -> Client {
    let body = json!({"Name": name, "Password": "a long password", "Roles": roles});
    server.admin.post("/Security/Users", &body).await.ok();
    server.admin.with(Credentials::Basic(name.to_owned(), "a long password".to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn version_1_is_what_older_clients_know() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let mut body = role("Readers", &["AgentManagement:Read", "Certificates:Read"]);
    body["Identities"] = json!([{"AccountName": "CORP\\ann"}]);
    let made = make(&server, &body).await;
    let members: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = [
        "Id",
        "Description",
        "EmailAddress",
        "Enabled",
        "Immutable",
        "Valid",
        "Private",
        "PermissionSetId",
        "Identities",
        "Name",
        "Permissions",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!(
        (&made["Enabled"], &made["Immutable"], &made["Valid"]),
        (&json!(true), &json!(false), &Value::Null)
    );
    assert_eq!(made["Permissions"], json!(["AgentManagement:Read", "Certificates:Read"]));
    assert_eq!(made["Identities"][0]["AccountName"], "CORP\\ann");
    assert_eq!(made["Identities"][0]["IdentityType"], "User");
    let path = format!("/Security/Roles/{}", made["Id"]);
    let answer = admin.get(&path).await;
    assert_eq!(answer.headers["api-supported-versions"], "1.0, 2");
    assert_eq!(answer.ok(), made);
    assert_eq!(admin.get(&format!("{path}?validate=true")).await.ok()["Valid"], true);

    // As the Terraform provider does: read, add an account, write the rest back.
    let mut change = json!({"Id": made["Id"], "Name": "Readers", "Description": "changed",
        "Permissions": made["Permissions"], "Identities": [{"AccountName": "corp\\ANN"}, {"AccountName": "CORP\\bob"}]});
    let changed = admin.put("/Security/Roles", &change).await.ok();
    assert_eq!(changed["Identities"].as_array().unwrap().len(), 2, "names mean the same in any case");
    change.as_object_mut().unwrap().remove("Identities");
    change.as_object_mut().unwrap().remove("Permissions");
    change["Enabled"] = json!(false);
    let changed = admin.put("/Security/Roles", &change).await.ok();
    assert_eq!((changed["Identities"].as_array().unwrap().len(), &changed["Enabled"]), (2, &json!(false)));
    assert_eq!(changed["Permissions"], made["Permissions"], "lists that are absent stay");
    let listed = admin.query("/Security/Roles", "Name -eq \"readers\"").await.ok();
    assert_eq!(listed, json!([changed]));
    assert_eq!(admin.delete(&path).await.status, 204);
    admin.get(&path).await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_2_speaks_of_paths_and_claims() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let set = admin.get("/PermissionSets").await.ok()[0]["Id"].clone();
    let mut body = role("Web deployers", &["CertificateStoreManagement:Schedule", READ_AGENTS]);
    let missing = second(admin, Method::POST, "/Security/Roles", &body).await;
    assert!(missing.refused(400).contains("PermissionSetId"));
    body["PermissionSetId"] = set.clone();
    body["EmailAddress"] = json!("farm@example.test");
    body["Claims"] =
        json!([{"ClaimType": 0, "ClaimValue": "CORP\\ann", "ProviderAuthenticationScheme": "Local"}]);
    let made = second(admin, Method::POST, "/Security/Roles", &body).await.ok();
    assert_eq!(made["Permissions"], json!([READ_AGENTS, "/certificate_stores/schedule/"]));
    assert_eq!((&made["EmailAddress"], &made["PermissionSetId"]), (&json!("farm@example.test"), &set));
    assert_eq!(made["Claims"][0]["ClaimType"], "User");
    assert_eq!(made["Claims"][0]["Provider"]["AuthenticationScheme"], "Local");
    assert!(made.get("Identities").is_none() && made.get("Enabled").is_none());
    let path = format!("/Security/Roles/{}", made["Id"]);
    assert_eq!(second(admin, Method::GET, &path, &Value::Null).await.ok(), made);
    let first = admin.get(&path).await.ok();
    assert_eq!(
        (&first["Identities"][0]["AccountName"], &first["EmailAddress"]),
        (&json!("CORP\\ann"), &json!("farm@example.test"))
    );

    body["Id"] = made["Id"].clone();
    body["Claims"] = json!([]);
    body["EmailAddress"] = json!("");
    let changed = second(admin, Method::PUT, "/Security/Roles", &body).await.ok();
    assert_eq!((&changed["Claims"], &changed["EmailAddress"]), (&json!([]), &Value::Null));
    let listed = second(
        admin,
        Method::GET,
        "/Security/Roles?QueryString=Name%20-eq%20%22Web%20deployers%22",
        &Value::Null,
    );
    assert_eq!(listed.await.ok(), json!([changed]));
    let odd = admin.request(Method::GET, "/Security/Roles").header("x-keyfactor-api-version", "3");
    assert!(admin.send(odd).await.refused(400).contains("x-keyfactor-api-version"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_cannot_be_is_refused_and_nothing_changes() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let made = make(&server, &role("Readers", &["AgentManagement:Read"])).await;
    make(&server, &role("Others", &["AgentManagement:Read"])).await;
    let change = |change: Value| {
        let mut body = role("Readers", &["AgentManagement:Read"]);
        body["Id"] = made["Id"].clone();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (body, status, words) in [
        (change(json!({"Id": null})), 400, "Id is missing"),
        (change(json!({"Id": 99_999})), 404, "not found"),
        (change(json!({"Name": ""})), 400, "Name is missing"),
        (change(json!({"Name": "others"})), 400, "'others' is taken"),
        (change(json!({"Permissions": ["Agents:All"]})), 400, "'Agents:All'"),
        (change(json!({"Permissions": "AgentManagement:Read"})), 400, "Permissions"),
        (change(json!({"PermissionSetId": uuid::Uuid::new_v4()})), 400, "PermissionSetId"),
        (change(json!({"PermissionSetId": "x"})), 400, "PermissionSetId"),
        (change(json!({"Identities": [{"AccountName": "a:b"}]})), 400, "Identities[0].ClaimValue"),
        (change(json!({"Description": "x".repeat(1_001)})), 400, "Description"),
    ] {
        assert!(admin.put("/Security/Roles", &body).await.refused(status).contains(words), "{body}");
    }
    let path = format!("/Security/Roles/{}", made["Id"]);
    assert_eq!(admin.get(&path).await.ok(), made);
    let claims = |claim: Value| {
        let mut body = change(json!({"PermissionSetId": made["PermissionSetId"]}));
        body["Claims"] = json!([claim]);
        body
    };
    for (claim, words) in [
        (json!({"ClaimType": "Nobody", "ClaimValue": "x"}), "Nobody"),
        (json!({"ClaimValue": "x"}), "Claims[0].ClaimType"),
        (json!({"ClaimType": "User", "ClaimValue": "x", "ProviderAuthenticationScheme": "AD"}), "'AD'"),
        (json!({"ClaimType": "Group", "ClaimValue": "x"}), "Claims[0].ClaimType"),
    ] {
        let answer = second(admin, Method::PUT, "/Security/Roles", &claims(claim)).await;
        assert!(answer.refused(400).contains(words), "{} lacks {words}", answer.text);
    }
    assert_eq!(
        admin.get("/Security/Claims").await.ok().as_array().unwrap().len(),
        1,
        "only the administrator's"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_in_use_or_built_in_stays() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let made = make(&server, &role("Readers", &["AgentManagement:Read"])).await;
    let path = format!("/Security/Roles/{}", made["Id"]);
    let ann = user(&server, "ann", &["Readers"]).await;
    ann.get("/Agents").await.ok();
    admin.post("/Security/ApiTokens", &json!({"Name": "pipeline", "Roles": ["Readers"]})).await.ok();
    let refused = admin.delete(&path).await;
    let message = refused.refused(400).to_owned();
    assert!(message.contains("user 'ann'") && message.contains("API token 'pipeline'"), "{message}");

    // A role that is switched off grants nothing, at once.
    let mut change = json!({"Id": made["Id"], "Name": "Readers", "Description": "d", "Enabled": false});
    admin.put("/Security/Roles", &change).await.ok();
    ann.get("/Agents").await.refused(403);
    change["Enabled"] = json!(true);
    admin.put("/Security/Roles", &change).await.ok();
    ann.get("/Agents").await.ok();

    let administrators = admin.query("/Security/Roles", "Immutable -eq true").await.ok();
    let id = &administrators[0]["Id"];
    let built_in = admin.delete(&format!("/Security/Roles/{id}")).await;
    assert!(built_in.refused(400).contains("built in"));
    let mut other = json!({"Id": id, "Name": "Administrators", "Description": "Every permission",
        "Permissions": ["AgentManagement:Read"]});
    assert!(admin.put("/Security/Roles", &other).await.refused(400).contains("built in"));
    other["Permissions"] = json!(["/"]);
    other["Identities"] = json!([]);
    assert!(admin.put("/Security/Roles", &other).await.refused(400).contains("every permission"));
    let members = format!("/Security/Roles/{id}/Identities");
    assert!(admin.put(&members, &json!({"Ids": []})).await.refused(400).contains("every permission"));
    let listed = admin.get(&members).await.ok();
    assert_eq!(listed[0]["Name"], "admin");
    other["Identities"] = json!([{"AccountName": "admin"}, {"AccountName": "ann"}]);
    admin.put("/Security/Roles", &other).await.ok();
    ann.get("/Security/Roles").await.ok();
    // Now there is another administrator, so the first may go; the second may not.
    assert_eq!(
        admin.put(&members, &json!({"Ids": [ann_id(admin).await]})).await.ok().as_array().unwrap().len(),
        1
    );
    let own = ann.query("/Security/Users", "Name -eq \"ann\"").await.ok()[0]["Id"].clone();
    assert!(ann.delete(&format!("/Security/Users/{own}")).await.refused(400).contains("every permission"));
    server.stop().await;
}

async fn ann_id(client: &Client) -> i64 {
    client.query("/Security/Identities", "AccountName -eq \"ann\"").await.ok()[0]["Id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_copied_without_those_that_have_it() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let mut body = role("Readers", &["AgentManagement:Read"]);
    body["Identities"] = json!([{"AccountName": "ann"}]);
    let made = make(&server, &body).await;
    let path = format!("/Security/Roles/{}/Copy", made["Id"]);
    let copy = admin.post(&path, &json!({"Name": "Readers of the night"})).await.ok();
    assert_eq!((&copy["Permissions"], &copy["Description"]), (&made["Permissions"], &made["Description"]));
    assert_eq!(copy["Identities"], json!([]));
    assert!(admin.post(&path, &json!({"Name": "Readers"})).await.refused(400).contains("taken"));
    admin.post(&path, &json!({})).await.refused(400);
    admin.post("/Security/Roles/99999/Copy", &json!({"Name": "x"})).await.refused(404);
    let deputy = caller(&server, &["/security/"]).await;
    deputy.post(&path, &json!({"Name": "Mine"})).await.refused(403);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_changed_by_where_they_hold() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let east = admin.post("/CertificateStoreContainers", &json!({"Name": "East"})).await.ok()["Id"].clone();
    let collection = json!({"Name": "Shop", "Query": "IssuedCN -startswith \"shop.\""});
    let shop = admin.post("/CertificateCollections", &collection).await.ok()["Id"].clone();
    let made = make(&server, &role("Farm", &["AgentManagement:Read", "/enrollment_pattern/read/"])).await;
    let path = |part: &str| format!("/Security/Roles/{}/Permissions{part}", made["Id"]);

    let read = json!([{"ContainerId": east, "Permission": "Read"}]);
    let added = admin.post(&path("/Containers"), &read).await.ok();
    assert_eq!(added, json!([{"ContainerId": east, "Name": "East", "Permission": "Read"}]));
    let schedule = json!([{"ContainerId": east, "Permission": "schedule"}]);
    assert_eq!(admin.post(&path("/Containers"), &schedule).await.ok().as_array().unwrap().len(), 2);
    assert!(admin.put(&path("/Containers"), &schedule).await.refused(400).contains("needs Read"));
    let shops =
        json!([{"CollectionId": shop, "Permission": "Read"}, {"CollectionId": shop, "Permission": "Revoke"}]);
    assert_eq!(admin.put(&path("/Collections"), &shops).await.ok().as_array().unwrap().len(), 2);
    let global = json!([{"Area": "AgentManagement", "Permission": "Modify"}]);
    assert_eq!(admin.put(&path("/Global"), &global).await.ok(), global);
    let more = json!([{"Area": "agentmanagement", "Permission": "read"}]);
    assert_eq!(admin.post(&path("/Global"), &more).await.ok().as_array().unwrap().len(), 2);
    let all = admin.get(&path("")).await.ok();
    assert_eq!(all.as_array().unwrap().len(), 6, "{all}");
    assert!(
        all.as_array()
            .unwrap()
            .contains(&json!({"Type": "Container", "Area": "East", "Permission": "Schedule"}))
    );
    let kept = admin.get(&format!("/Security/Roles/{}", made["Id"])).await.ok();
    assert!(kept["Permissions"].as_array().unwrap().contains(&json!("/enrollment_pattern/read/")), "{kept}");

    for (part, body, words) in [
        ("/Containers", json!([{"ContainerId": 99_999, "Permission": "Read"}]), "container 99999"),
        ("/Containers", json!([{"ContainerId": east, "Permission": "Fly"}]), "'Fly'"),
        ("/Containers", json!([{"Permission": "Read"}]), "ContainerId is missing"),
        ("/Containers", json!({"ContainerId": east}), "list"),
        ("/Collections", json!([{"CollectionId": 99_999, "Permission": "Read"}]), "collection 99999"),
        ("/Collections", json!([{"CollectionId": shop}]), "Permission"),
        ("/Global", json!([{"Area": "Agents", "Permission": "Read"}]), "'Agents:Read'"),
    ] {
        for method in [Method::POST, Method::PUT] {
            let answer = admin.send(admin.request(method, &path(part)).json(&body)).await;
            assert!(answer.refused(400).contains(words), "{part} {body}: {}", answer.text);
        }
    }
    assert_eq!(admin.get(&path("")).await.ok(), all, "nothing changed");
    admin.get("/Security/Roles/99999/Permissions").await.refused(404);

    let roles = format!("/Security/Containers/{east}/Roles");
    let shown = admin.get(&roles).await.ok();
    assert_eq!(
        shown,
        json!([{"SecurityRoleId": made["Id"], "Name": "Farm", "Permissions": ["Read", "Schedule"]}])
    );
    let other = make(&server, &role("Other", &["AgentManagement:Read"])).await;
    let set = json!([{"SecurityRoleId": other["Id"], "Permissions": ["Read", "Schedule", "Modify"]},
        {"SecurityRoleId": made["Id"], "Permissions": []}]);
    let set = admin.post(&roles, &set).await.ok();
    assert_eq!((set.as_array().unwrap().len(), &set[0]["SecurityRoleId"]), (1, &other["Id"]));
    for (body, words) in [
        (json!([{"SecurityRoleId": 99_999, "Permissions": ["Read"]}]), "role 99999"),
        (json!([{"Permissions": ["Read"]}]), "SecurityRoleId is missing"),
        (json!([{"SecurityRoleId": other["Id"], "Permissions": ["Modify"]}]), "needs Schedule"),
        (json!([{"SecurityRoleId": 1, "Permissions": ["Read"]}]), "built in"),
    ] {
        assert!(admin.post(&roles, &body).await.refused(400).contains(words), "{body}");
    }
    admin.get("/Security/Containers/99999/Roles").await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_are_users_by_name() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let made = admin.post("/Security/Identities", &json!({"AccountName": "CORP\\ann"})).await.ok();
    assert_eq!(
        (&made["IdentityType"], &made["Roles"], &made["Valid"]),
        (&json!("User"), &json!([]), &json!(false))
    );
    let path = format!("/Security/Identities/{}", made["Id"]);
    let again = json!({"AccountName": "corp\\ANN"});
    assert!(admin.post("/Security/Identities", &again).await.refused(400).contains("taken"));
    for bad in [json!({}), json!({"AccountName": "a:b"}), json!({"AccountName": "x".repeat(257)})] {
        assert!(admin.post("/Security/Identities", &bad).await.refused(400).contains("AccountName"), "{bad}");
    }
    let lookup = |name: &str| format!("/Security/Identities/Lookup?accountName={name}");
    assert_eq!(admin.get(&lookup("corp%5Cann")).await.ok(), json!({"Valid": false}));
    assert_eq!(admin.get(&lookup("ADMIN")).await.ok(), json!({"Valid": true}));
    admin.get("/Security/Identities/Lookup").await.refused(400);

    let role = make(&server, &role("Readers", &["AgentManagement:Read"])).await;
    let members = format!("/Security/Roles/{}/Identities", role["Id"]);
    let named = admin.put(&members, &json!({"Ids": [made["Id"]]})).await.ok();
    assert_eq!(named, json!([{"Id": made["Id"], "Name": "CORP\\ann"}]));
    assert!(admin.put(&members, &json!({"Ids": [99_999]})).await.refused(400).contains("identity 99999"));
    admin.put(&members, &json!({})).await.refused(400);
    let shown = admin.get(&path).await.ok();
    assert_eq!(
        shown["SecuredAreaPermissions"],
        json!([{"Permission": "AgentManagement:Read", "GrantedByRoles": ["Readers"]}])
    );
    let listed = admin.query("/Security/Identities", "AccountName -contains \"ann\"").await.ok();
    let abbreviated = &listed[0]["Roles"][0];
    assert_eq!(
        (&abbreviated["Name"], &abbreviated["Enabled"], &abbreviated["Valid"]),
        (&json!("Readers"), &json!(false), &Value::Null)
    );
    assert_eq!(abbreviated["PermissionSetId"], uuid::Uuid::nil().to_string());
    assert_eq!(admin.get("/Security/Identities?Validate=false").await.ok()[0]["Valid"], Value::Null);

    // A password makes the identity able to log in, with the roles that it was given before.
    let ann = user(&server, "CORP\\ann", &["Readers"]).await;
    ann.get("/Agents").await.ok();
    assert_eq!(admin.query("/Security/Identities", "Name -eq \"corp\\ann\"").await.ok()[0]["Valid"], true);
    assert!(admin.delete(&path).await.refused(400).contains("logs in by it"));
    let bob = admin.post("/Security/Identities", &json!({"AccountName": "bob"})).await.ok();
    admin.put(&members, &json!({"Ids": [bob["Id"]]})).await.ok();
    ann.get("/Agents").await.refused(403);
    assert_eq!(admin.delete(&format!("/Security/Identities/{}", bob["Id"])).await.status, 204);
    admin.get(&format!("/Security/Identities/{}", bob["Id"])).await.refused(404);
    assert_eq!(admin.get(&members).await.ok(), json!([]));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_made_described_and_deleted() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let claim = json!({"ClaimType": "User", "ClaimValue": "CORP\\ann", "ProviderAuthenticationScheme": "local", "Description": "Ann"});
    let made = admin.post("/Security/Claims", &claim).await.ok();
    assert_eq!((&made["ClaimType"], &made["Description"]), (&json!("User"), &json!("Ann")));
    assert!(made["Provider"]["Id"].is_string() && made["Provider"]["DisplayName"].is_string());
    assert!(admin.post("/Security/Claims", &claim).await.refused(400).contains("taken"));
    for (member, value, words) in [
        ("ProviderAuthenticationScheme", json!(null), "ProviderAuthenticationScheme is missing"),
        ("ProviderAuthenticationScheme", json!("AD"), "known are Local"),
        ("ClaimType", json!(9), "ClaimType"),
        ("ClaimValue", json!(""), "ClaimValue"),
        ("ClaimType", json!("Computer"), "ClaimType"),
    ] {
        let mut bad = claim.clone();
        bad[member] = value;
        assert!(admin.post("/Security/Claims", &bad).await.refused(400).contains(words), "{bad}");
    }
    let path = format!("/Security/Claims/{}", made["Id"]);
    let changed =
        admin.put("/Security/Claims", &json!({"Id": made["Id"], "Description": "Ann Other"})).await.ok();
    assert_eq!(changed["Description"], "Ann Other");
    assert_eq!(admin.get(&path).await.ok(), changed);
    let found =
        admin.query("/Security/Claims", "ClaimType -eq \"user\" AND ClaimValue -contains \"ann\"").await;
    assert_eq!(
        (found.headers["x-total-count"].clone(), found.ok()),
        ("1".parse().unwrap(), json!([changed]))
    );
    admin.put("/Security/Claims", &json!({"Id": 99_999, "Description": "x"})).await.refused(404);
    admin.put("/Security/Claims", &json!({"Description": "x"})).await.refused(400);

    let asked = "/Security/Claims/Roles?ClaimType=0&ClaimValue=corp%5Cann&ProviderAuthenticationScheme=Local";
    assert_eq!(admin.get(asked).await.ok(), json!([]));
    let mut body = role("Readers", &["AgentManagement:Read"]);
    body["Identities"] = json!([{"AccountName": "CORP\\ann"}]);
    let role = make(&server, &body).await;
    let roles = admin.get(asked).await.ok();
    assert_eq!(
        (&roles[0]["Name"], &roles[0]["PermissionSetId"]),
        (&json!("Readers"), &role["PermissionSetId"])
    );
    assert!(
        admin
            .get("/Security/Claims/Roles?ClaimValue=x")
            .await
            .refused(400)
            .contains("ProviderAuthenticationScheme")
    );
    assert!(admin.delete(&path).await.refused(400).contains("role 'Readers'"));
    admin.delete(&format!("/Security/Roles/{}", role["Id"])).await;
    assert_eq!(admin.delete(&path).await.status, 204);
    admin.delete(&path).await.refused(404);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_sets_bound_what_their_roles_grant() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let global = admin.get("/PermissionSets?PageReturned=1&ReturnLimit=50").await.ok();
    assert_eq!(
        (global.as_array().unwrap().len(), &global[0]["Name"], &global[0]["Permissions"]),
        (1, &json!("Global"), &json!(["/"]))
    );
    assert_eq!(admin.get("/PermissionSets/My").await.ok(), global);
    let body = json!({"Name": "Farm", "Permissions": ["/certificate_stores/", "AgentManagement:Read"]});
    let made = admin.post("/PermissionSets", &body).await.ok();
    let path = format!("/PermissionSets/{}", made["Id"].as_str().unwrap());
    assert_eq!(admin.get(&path).await.ok(), made);
    for (body, words) in [
        (json!({"Permissions": ["/"]}), "Name is missing"),
        (json!({"Name": "x"}), "Permissions is missing"),
        (json!({"Name": "farm", "Permissions": ["/"]}), "taken"),
        (json!({"Name": "x", "Permissions": ["/nothing/"]}), "/nothing/"),
    ] {
        assert!(admin.post("/PermissionSets", &body).await.refused(400).contains(words), "{body}");
    }
    let mut inside = role("Farmers", &["/certificate_stores/schedule/"]);
    inside["PermissionSetId"] = made["Id"].clone();
    let farmers = make(&server, &inside).await;
    let mut outside = role("Others", &["/security/read/"]);
    outside["PermissionSetId"] = made["Id"].clone();
    assert!(admin.post("/Security/Roles", &outside).await.refused(400).contains("'Farm'"));
    let add = format!("/Security/Roles/{}/Permissions/Global", farmers["Id"]);
    let more = json!([{"Area": "SecuritySettings", "Permission": "Read"}]);
    assert!(admin.post(&add, &more).await.refused(400).contains("'Farm'"));
    let narrow = json!({"Id": made["Id"], "Permissions": [READ_AGENTS]});
    assert!(admin.put("/PermissionSets", &narrow).await.refused(400).contains("'Farmers'"));
    assert!(admin.delete(&path).await.refused(400).contains("'Farmers'"));
    let wide = json!({"Id": made["Id"], "Name": "The farm", "Permissions": ["/certificate_stores/"]});
    assert_eq!(admin.put("/PermissionSets", &wide).await.ok()["Name"], "The farm");
    let built_in = json!({"Id": global[0]["Id"], "Permissions": ["/agents/"]});
    assert!(admin.put("/PermissionSets", &built_in).await.refused(400).contains("built in"));
    admin.delete(&format!("/PermissionSets/{}", global[0]["Id"].as_str().unwrap())).await.refused(400);
    admin.delete(&format!("/Security/Roles/{}", farmers["Id"])).await;
    assert_eq!(admin.delete(&path).await.status, 204);
    admin.get(&path).await.refused(404);
    let listed = admin.get("/Permissions").await.ok();
    assert!(listed.as_array().unwrap().contains(&json!(READ_AGENTS)));
    server.stop().await;
}

/// Every way to give or to take: who has less than what is given cannot.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_or_takes_what_he_does_not_have() {
    let server = TestServer::start().await;
    let admin = &server.admin;
    let east = admin.post("/CertificateStoreContainers", &json!({"Name": "East"})).await.ok()["Id"].clone();
    let strong = make(&server, &role("Strong", &["/certificate_stores/"])).await;
    let weak = make(&server, &role("Weak", &[READ_AGENTS])).await;
    let boss = admin.post("/Security/Identities", &json!({"AccountName": "boss"})).await.ok();
    let set = admin
        .post("/PermissionSets", &json!({"Name": "Farm", "Permissions": ["/certificate_stores/"]}))
        .await
        .ok();
    let path = |role: &Value, rest: &str| format!("/Security/Roles/{}{rest}", role["Id"]);
    admin.put(&path(&strong, "/Identities"), &json!({"Ids": [boss["Id"]]})).await.ok();
    let deputy = caller(&server, &["/security/", "/agents/"]).await;
    let read_east = json!([{"ContainerId": east, "Permission": "Read"}]);
    let users = json!({"Name": "boss", "Password": "a long password", "Roles": ["Weak"]});
    let mut named = role("Strong", &[]);
    named["Id"] = strong["Id"].clone();
    let mut widened = role("Weak", &["/certificate_stores/read/"]);
    widened["Id"] = weak["Id"].clone();
    let put = Method::PUT;
    let post = Method::POST;
    for (method, path, body) in [
        (&post, "/Security/Roles".to_owned(), role("Mine", &["/certificate_stores/read/"])),
        (&put, "/Security/Roles".to_owned(), named),
        (&put, "/Security/Roles".to_owned(), widened),
        (&post, path(&strong, "/Copy"), json!({"Name": "Mine"})),
        (&put, path(&strong, "/Identities"), json!({"Ids": []})),
        (&post, path(&weak, "/Permissions/Containers"), read_east.clone()),
        (&put, path(&weak, "/Permissions/Containers"), read_east),
        (&post, path(&weak, "/Permissions/Global"), json!([{"Area": "Certificates", "Permission": "Read"}])),
        (&put, path(&strong, "/Permissions/Global"), json!([])),
        (
            &post,
            format!("/Security/Containers/{east}/Roles"),
            json!([{"SecurityRoleId": weak["Id"], "Permissions": ["Read"]}]),
        ),
        (&post, "/Security/Users".to_owned(), users),
        (&post, "/PermissionSets".to_owned(), json!({"Name": "Mine", "Permissions": ["/"]})),
        (&put, "/PermissionSets".to_owned(), json!({"Id": set["Id"], "Permissions": ["/agents/"]})),
        (&put, "/Security/Claims".to_owned(), json!({"Id": boss["Id"], "Description": "nobody"})),
        (&Method::DELETE, path(&strong, ""), json!(null)),
        (&Method::DELETE, format!("/Security/Identities/{}", boss["Id"]), json!(null)),
        (&Method::DELETE, format!("/PermissionSets/{}", set["Id"].as_str().unwrap()), json!(null)),
    ] {
        let answer = deputy.send(deputy.request(method.clone(), &path).json(&body)).await;
        assert!(answer.refused(403).contains("cannot give or take away"), "{method} {path}: {}", answer.text);
    }
    deputy
        .post(
            &path(&weak, "/Permissions/Global"),
            &json!([{"Area": "AgentManagement", "Permission": "Modify"}]),
        )
        .await
        .ok();
    server.stop().await;
}
