//! Bearer tokens of an OpenID Connect provider: what counts, what does not, and what happens when the provider changes
//! its keys or is away.

use chrono::TimeDelta;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use support::client::{Answer, Credentials};
use support::oidc::{Mood, Provider, SigningKey};
use support::{Client, TestServer};

const AUDIENCE: &str = "sealift-test";

struct Scene {
    server: TestServer,
    provider: Provider,
    key: SigningKey,
}

impl Scene {
    async fn set() -> Self {
        let key = SigningKey::generate("first", Algorithm::RS256);
        let provider = Provider::start(std::slice::from_ref(&key)).await;
        let server = TestServer::start_with(&[
            ("oidc.issuer", &provider.issuer),
            ("oidc.audiences", AUDIENCE),
            ("oidc.scheme", "Corp"),
        ])
        .await;
        Self { server, provider, key }
    }

    /// What a token of the provider says, lasting for some hours; each is another one.
    fn claims(&self, hours: i64) -> Value {
        let now = self.server.clock.now().timestamp();
        json!({"iss": self.provider.issuer, "aud": AUDIENCE, "sub": "ci-runner", "azp": "pipeline",
            "exp": now + hours * 3600, "nbf": now - 5, "iat": now, "roles": ["deployers"],
            "jti": uuid::Uuid::new_v4().to_string()})
    }

    fn client(&self, token: &str) -> Client {
        self.server.admin.with(Credentials::Token(token.to_owned()))
    }

    async fn agents(&self, token: &str) -> Answer {
        self.client(token).get("/Agents").await
    }

    /// Gives a role that reads agents to what the provider calls "deployers".
    async fn grant(&self) {
        let sets = self.server.admin.get("/PermissionSets?PageReturned=1&ReturnLimit=50").await.ok();
        let role = json!({"Name": "Deployers", "Description": "Deploy", "PermissionSetId": sets[0]["Id"],
            "Permissions": ["/agents/management/read/"],
            "Claims": [{"ClaimType": "OAuthRole", "ClaimValue": "deployers",
                "ProviderAuthenticationScheme": "corp", "Description": "from the provider"}]});
        let request = self.server.admin.request(reqwest::Method::POST, "/Security/Roles");
        let made = request.header("x-keyfactor-api-version", "2").json(&role);
        let made = self.server.admin.send(made).await.ok();
        assert_eq!(made["Claims"][0]["Provider"]["AuthenticationScheme"], "Corp");
        assert_eq!(made["Claims"][0]["ClaimType"], "OAuthRole");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_a_token_lead_to_roles_and_permissions() {
    let scene = Scene::set().await;
    let token = scene.key.sign(&scene.claims(1));
    // The first call of the field's clients: any caller that is known may make it.
    let endpoints = scene.client(&token).get("/Status/Endpoints").await.ok();
    assert!(endpoints.as_array().unwrap().iter().all(|line| line != "GET /Agents"));
    let refused = scene.agents(&token).await;
    assert!(refused.refused(403).starts_with("Corp\\ci-runner does not have"), "{}", refused.text);
    scene.grant().await;
    scene.agents(&token).await.ok();
    let myself = scene.client(&token).get("/Security/My").await.ok();
    assert_eq!(myself["Roles"], json!(["Deployers"]));
    assert_eq!(scene.client(&token).get("/CertificateStores").await.status, 403);
    let mut other = scene.claims(1);
    other["roles"] = json!(["Deployers"]);
    assert_eq!(scene.agents(&scene.key.sign(&other)).await.status, 403, "claims are compared to the letter");
    // Others cannot take the name of a caller of the provider.
    let user = json!({"Name": "corp\\ci-runner", "Password": "a long password", "Roles": ["Deployers"]});
    scene.server.admin.post("/Security/Users", &user).await.refused(400);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_counts_and_every_kind_of_fault_is_refused() {
    let scene = Scene::set().await;
    scene.grant().await;
    let padded = SigningKey::generate("padded", Algorithm::PS256);
    let curve = SigningKey::generate("curve", Algorithm::ES256);
    let stranger = SigningKey::generate("first", Algorithm::RS256);
    scene.provider.rotate(&[scene.key.clone(), padded.clone(), curve.clone()]);
    for key in [&scene.key, &padded, &curve] {
        scene.agents(&key.sign(&scene.claims(1))).await.ok();
    }
    let with = |name: &str, value: Value| {
        let mut claims = scene.claims(1);
        claims[name] = value;
        scene.key.sign(&claims)
    };
    let now = scene.server.clock.now().timestamp();
    let honest = scene.key.sign(&scene.claims(1));
    let forged: Vec<&str> = honest.split('.').collect();
    let other = scene.key.sign(&with_roles(&scene.claims(1), &["admins"]));
    let forged = format!("{}.{}.{}", forged[0], other.split('.').nth(1).unwrap(), forged[2]);
    for (token, reason) in [
        (with("aud", json!("another")), "audience"),
        (with("aud", json!(null)), "audience"),
        (with("iss", json!("http://127.0.0.1:1/realms/test")), "issuer"),
        (with("exp", json!(now - 60)), "expired"),
        (with("nbf", json!(now + 3600)), "not valid yet"),
        (scene.key.unsigned(&scene.claims(1)), "algorithm"),
        (scene.key.confused(&scene.claims(1)), "algorithm"),
        (stranger.sign(&scene.claims(1)), "not signed"),
        (forged, "not signed"),
        (format!("{honest}x"), "not signed"),
        ("a.b.c".to_owned(), "neither an API token"),
        ("nonsense".to_owned(), "understands"),
    ] {
        let answer = scene.agents(&token).await;
        assert!(answer.refused(401).contains(reason), "{} lacks {reason}", answer.text);
        assert!(!answer.text.contains(&token), "a token is not echoed");
    }
    scene.server.stop().await;
}

fn with_roles(claims: &Value, roles: &[&str]) -> Value {
    let mut claims = claims.clone();
    claims["roles"] = json!(roles);
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_fetched_when_they_are_used_and_never_too_often() {
    let scene = Scene::set().await;
    scene.grant().await;
    scene.agents(&scene.key.sign(&scene.claims(1))).await.ok();
    assert_eq!(scene.provider.fetched(), 1);
    let next = SigningKey::generate("second", Algorithm::ES256);
    scene.provider.rotate(std::slice::from_ref(&next));
    scene.server.clock.advance(TimeDelta::seconds(11));
    scene.agents(&next.sign(&scene.claims(1))).await.ok();
    assert_eq!(scene.provider.fetched(), 2);
    scene.agents(&scene.key.sign(&scene.claims(1))).await.refused(401);
    for _ in 0..20 {
        let made_up = next.named(&uuid::Uuid::new_v4().to_string(), Algorithm::ES256);
        scene.agents(&made_up.sign(&scene.claims(1))).await.refused(401);
    }
    assert_eq!(scene.provider.fetched(), 2, "made-up keys do not make this server ask");
    scene.server.clock.advance(TimeDelta::minutes(11));
    scene.agents(&next.sign(&scene.claims(1))).await.ok();
    assert_eq!(scene.provider.fetched(), 3, "keys that have aged are fetched again");
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_go_on_working_while_the_provider_is_away() {
    let scene = Scene::set().await;
    scene.grant().await;
    scene.provider.turn(Mood::Silent);
    let token = scene.key.sign(&scene.claims(100));
    let answer = scene.agents(&token).await;
    assert!(answer.refused(503).contains("identity provider"), "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"));
    scene.server.admin.get("/Agents").await.ok();

    scene.provider.turn(Mood::Well);
    scene.server.clock.advance(TimeDelta::seconds(11));
    scene.agents(&token).await.ok();
    scene.provider.turn(Mood::Silent);
    scene.server.clock.advance(TimeDelta::hours(2));
    scene.agents(&scene.key.sign(&scene.claims(100))).await.ok();
    scene.server.clock.advance(TimeDelta::hours(24));
    scene.agents(&scene.key.sign(&scene.claims(100))).await.refused(503);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_keys_that_does_not_end_is_not_read() {
    let scene = Scene::set().await;
    scene.provider.turn(Mood::Endless);
    scene.agents(&scene.key.sign(&scene.claims(1))).await.refused(503);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_shown_and_its_trust_cannot_be_changed_by_a_call() {
    let scene = Scene::set().await;
    let admin = &scene.server.admin;
    let providers = admin.get("/IdentityProviders").await.ok();
    let corp = &providers[1];
    assert_eq!(
        (&providers[0]["AuthenticationScheme"], &corp["AuthenticationScheme"]),
        (&json!("Local"), &json!("Corp"))
    );
    let value = |name: &str| {
        let found = corp["Parameters"].as_array().unwrap().iter().find(|one| one["Name"] == name);
        found.unwrap()["Value"].clone()
    };
    assert_eq!((value("Issuer"), value("Audience")), (json!(scene.provider.issuer), json!(AUDIENCE)));
    let path = format!("/IdentityProviders/{}", corp["Id"].as_str().unwrap());
    let same = json!({"DisplayName": "The company", "AuthenticationScheme": "Corp",
        "Parameters": [{"Name": "Issuer", "Value": scene.provider.issuer}]});
    assert_eq!(admin.put(&path, &same).await.ok()["DisplayName"], "The company");
    for wrong in [
        json!({"Parameters": [{"Name": "Issuer", "Value": "https://elsewhere.example.test"}]}),
        json!({"Parameters": [{"Name": "Unknown", "Value": "x"}]}),
        json!({"AuthenticationScheme": "Other"}),
    ] {
        assert!(admin.put(&path, &wrong).await.refused(400).contains("configuration"), "{wrong}");
    }
    let nobody = format!("/IdentityProviders/{}", uuid::Uuid::new_v4());
    admin.get(&nobody).await.refused(404);
    assert_eq!(admin.get("/IdentityProviders/Types").await.ok().as_array().unwrap().len(), 2);
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_its_tokens_are_nothing() {
    let server = TestServer::start().await;
    let client = server.admin.with(Credentials::Token("a.b.c".to_owned()));
    assert!(client.get("/Agents").await.refused(401).contains("no identity provider is configured"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_of_one_provider_are_never_taken_for_those_of_another() {
    let key = SigningKey::generate("first", Algorithm::ES256);
    let (one, other) = (
        Provider::start(std::slice::from_ref(&key)).await,
        Provider::start(std::slice::from_ref(&key)).await,
    );
    let database = support::postgres::database().await;
    let directory = tempfile::tempdir().unwrap();
    let sealing = directory.path().join("sealing.key").display().to_string();
    let settings = |provider: &Provider, scheme: &str| {
        [
            ("oidc.issuer", provider.issuer.clone()),
            ("oidc.audiences", AUDIENCE.to_owned()),
            ("oidc.scheme", scheme.to_owned()),
            ("database.url", database.expose().to_owned()),
            ("sealing.key_file", sealing.clone()),
        ]
    };
    let first = settings(&one, "Corp");
    let first: Vec<_> = first.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::start_with(&first).await;
    let scene = Scene { server, provider: one, key: key.clone() };
    scene.grant().await;
    scene.agents(&key.sign(&scene.claims(1))).await.ok();
    scene.server.stop().await;

    let refused = support::server::build(directory.path(), &settings(&other, "corp")).await;
    let reason = refused.err().expect("the scheme is taken").to_string();
    assert!(reason.contains("oidc.scheme 'corp' belongs to http://127.0.0.1"), "{reason}");
    let application = support::server::build(directory.path(), &settings(&other, "Other")).await.unwrap();
    let (ready, now) = (application.ready().clone(), application.parts().floor.now().timestamp());
    let running = application.start().await.unwrap();
    let claims = json!({"iss": other.issuer, "aud": AUDIENCE, "sub": "ci-runner", "exp": now + 3600,
        "roles": ["deployers"]});
    let client = Client::new(&ready.base_url, &ready.ca_file, Credentials::Token(key.sign(&claims)));
    assert!(client.get("/Agents").await.refused(403).starts_with("Other\\ci-runner"));
    running.abort().await;
}
