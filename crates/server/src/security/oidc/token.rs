//! Tokens: what of one is looked at before its signature, and what after. Pure, and told the time.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use sealift_protocol::operator::roles::ClaimType;
use serde_json::{Map, Value};

use super::Vouched;
use crate::configuration::Oidc;
use crate::security::error::Error;

/// Algorithms of public keys. None of a shared key, so that a public key is never taken for one, and not "none".
pub(super) const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
];
/// How far the clocks of provider and server may differ.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
/// Values of one claim that are looked at.
const MAX_VALUES: usize = 1_000;
/// Longest value that can be a claim here, in characters.
const MAX_VALUE: usize = 256;

/// What is configured about tokens.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    issuer: String,
    audiences: Vec<String>,
    name_claim: String,
    roles_claim: String,
    groups_claim: String,
    client_claim: String,
    object_claim: String,
}

impl Settings {
    pub(super) fn of(configured: &Oidc) -> Self {
        Self {
            issuer: configured.issuer.clone(),
            audiences: configured.audiences.iter().filter(|one| !one.is_empty()).cloned().collect(),
            name_claim: configured.name_claim.clone(),
            roles_claim: configured.roles_claim.clone(),
            groups_claim: configured.groups_claim.clone(),
            client_claim: configured.client_claim.clone(),
            object_claim: configured.object_claim.clone(),
        }
    }
}

/// The head of a token: not to be believed before the signature is checked, but what chooses the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Option<String>,
}

/// Reads the head of a token.
pub(super) fn head(token: &str) -> Result<Head, Error> {
    let refuse = |reason| Error::NotAuthenticated(reason);
    let unreadable = "the bearer token is neither an API token nor a signed token of the identity provider \
                      with an algorithm of a public key";
    let header = decode_header(token).map_err(|_| refuse(unreadable))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(refuse(unreadable));
    }
    if header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(refuse("the bearer token asks for extensions that this server does not have"));
    }
    Ok(Head { algorithm: header.alg, key_id: header.kid })
}

/// Whom a token vouches for, when its signature and everything that it says hold.
pub(super) fn check(
    token: &str,
    head: &Head,
    key: &DecodingKey,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<Vouched, Error> {
    let mut validation = Validation::new(head.algorithm);
    // Everything but the signature is checked below: the library reads the wall clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = decode::<Map<String, Value>>(token, key, &validation);
    let said = decoded
        .map_err(|_| Error::NotAuthenticated("the bearer token is not signed by the identity provider"))?
        .claims;
    vouched(&said, settings, now).map_err(Error::NotAuthenticated)
}

fn vouched(
    said: &Map<String, Value>,
    settings: &Settings,
    now: DateTime<Utc>,
) -> Result<Vouched, &'static str> {
    if said.get("iss").and_then(Value::as_str) != Some(settings.issuer.as_str()) {
        return Err("the bearer token is of another issuer than oidc.issuer");
    }
    if !texts(said.get("aud")).any(|audience| settings.audiences.iter().any(|known| known == audience)) {
        return Err("the bearer token is for another audience than oidc.audiences");
    }
    let ends = time(said.get("exp")).ok_or("the bearer token does not say when it ends")?;
    let expires = ends.checked_add_signed(LEEWAY).ok_or("the bearer token does not say when it ends")?;
    if expires <= now {
        return Err("the bearer token has expired");
    }
    if let Some(begins) = said.get("nbf") {
        let begins = time(Some(begins)).ok_or("the bearer token does not say when it begins")?;
        if begins > now + LEEWAY {
            return Err("the bearer token is not valid yet");
        }
    }
    let name = texts(find(said, &settings.name_claim)).find(|name| usable(name));
    let name = name.ok_or("the bearer token has no usable claim of the name in oidc.name_claim")?;
    let sources = [
        (ClaimType::User, find(said, &settings.name_claim)),
        (ClaimType::Group, find(said, &settings.groups_claim)),
        (ClaimType::OAuthOid, find(said, &settings.object_claim)),
        (ClaimType::OAuthRole, find(said, &settings.roles_claim)),
        (ClaimType::OAuthSubject, said.get("sub")),
        (ClaimType::OAuthClientId, find(said, &settings.client_claim)),
    ];
    let claims = sources.into_iter().flat_map(|(kind, value)| {
        texts(value).filter(|text| usable(text)).take(MAX_VALUES).map(move |text| (kind, text.to_owned()))
    });
    Ok(Vouched { name: name.to_owned(), claims: claims.collect(), expires })
}

/// A claim by its name; where there is none, by a path, as in `realm_access.roles`.
fn find<'a>(said: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if name.is_empty() {
        return None;
    }
    if let Some(value) = said.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(said.get(first)?.as_object()?, rest)
}

/// A text, or the texts of a list.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match value {
        Some(Value::String(text)) => (Some(text.as_str()), &[][..]),
        Some(Value::Array(items)) => (None, items.as_slice()),
        _ => (None, &[][..]),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

/// Whether a text can be the value of a claim here.
fn usable(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= MAX_VALUE && !text.chars().any(char::is_control)
}

/// Seconds since 1970, perhaps with a fraction.
fn time(value: Option<&Value>) -> Option<DateTime<Utc>> {
    let seconds = match value? {
        Value::Number(number) => number.as_i64().or_else(|| {
            let seconds = number.as_f64().filter(|seconds| seconds.abs() < 1e15)?;
            #[expect(clippy::cast_possible_truncation, reason = "bounded above, and fractions do not matter")]
            let whole = seconds as i64;
            Some(whole)
        })?,
        _ => return None,
    };
    DateTime::from_timestamp(seconds, 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings() -> Settings {
        Settings {
            issuer: "https://id.example.test".to_owned(),
            audiences: vec!["sealift".to_owned()],
            name_claim: "sub".to_owned(),
            roles_claim: "realm_access.roles".to_owned(),
            groups_claim: "groups".to_owned(),
            client_claim: "azp".to_owned(),
            object_claim: String::new(),
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000, 0).unwrap()
    }

    fn said(change: impl FnOnce(&mut Map<String, Value>)) -> Map<String, Value> {
        let base = json!({"iss": "https://id.example.test", "aud": ["other", "sealift"], "sub": "ann",
            "exp": 1_000_060, "nbf": 999_990, "groups": "ops", "azp": "ci",
            "realm_access": {"roles": ["deployer", 7, ""]}});
        let Value::Object(mut map) = base else { panic!("an object") };
        change(&mut map);
        map
    }

    #[test]
    fn claims_become_what_roles_are_given_to() {
        let vouched = vouched(&said(|_| ()), &settings(), now()).unwrap();
        let pair = |kind, value: &str| (kind, value.to_owned());
        assert_eq!(vouched.name, "ann");
        assert_eq!(
            vouched.claims,
            [
                pair(ClaimType::User, "ann"),
                pair(ClaimType::Group, "ops"),
                pair(ClaimType::OAuthRole, "deployer"),
                pair(ClaimType::OAuthSubject, "ann"),
                pair(ClaimType::OAuthClientId, "ci"),
            ]
        );
        assert_eq!(vouched.expires, now() + TimeDelta::seconds(90));
    }

    #[test]
    fn each_thing_that_is_wrong_is_refused() {
        type Change = fn(&mut Map<String, Value>);
        let cases: [(Change, &str); 12] = [
            (|map| drop(map.insert("iss".into(), json!("https://id.example.test/"))), "another issuer"),
            (|map| drop(map.remove("iss")), "another issuer"),
            (|map| drop(map.insert("aud".into(), json!("sealift2"))), "another audience"),
            (|map| drop(map.insert("aud".into(), json!(["x"]))), "another audience"),
            (|map| drop(map.remove("aud")), "another audience"),
            (|map| drop(map.remove("exp")), "when it ends"),
            (|map| drop(map.insert("exp".into(), json!("1000060"))), "when it ends"),
            (|map| drop(map.insert("exp".into(), json!(999_970))), "expired"),
            (|map| drop(map.insert("exp".into(), json!(i64::MAX))), "when it ends"),
            (|map| drop(map.insert("nbf".into(), json!(1_000_031))), "not valid yet"),
            (|map| drop(map.insert("nbf".into(), json!("soon"))), "when it begins"),
            (|map| drop(map.insert("sub".into(), json!("a\nb"))), "name_claim"),
        ];
        for (change, reason) in cases {
            let refused = vouched(&said(change), &settings(), now()).unwrap_err();
            assert!(refused.contains(reason), "{refused} lacks {reason}");
        }
        let late: Change = |map| drop(map.insert("exp".into(), json!(999_971.5)));
        assert!(vouched(&said(late), &settings(), now()).is_ok(), "within the leeway");
    }

    #[test]
    fn only_algorithms_of_public_keys_are_read() {
        use base64::Engine as _;
        let token = |head: &str| {
            let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
            format!("{}.{}.c2ln", part(head), part("{}"))
        };
        let read = head(&token(r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#)).unwrap();
        assert_eq!((read.algorithm, read.key_id.as_deref()), (Algorithm::RS256, Some("k1")));
        for bad in [
            r#"{"alg":"none"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS256","kid":"k1"}"#,
            r#"{"alg":"EdDSA"}"#,
            r#"{"typ":"JWT"}"#,
            r#"{"alg":"RS256","crit":["exp"]}"#,
            r#"{"alg":"RS256","enc":"A128GCM"}"#,
            "",
        ] {
            assert!(matches!(head(&token(bad)), Err(Error::NotAuthenticated(_))), "{bad}");
        }
        for bad in ["", "a", "a.b", "a.b.c.d", "..", "a.b.c"] {
            assert!(head(bad).is_err(), "{bad}");
        }
    }
}
