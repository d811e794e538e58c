//! A small OpenID Connect provider on a free loopback port: a discovery document, a set of keys, and tokens signed by
//! them. It can change its keys, fall silent, and answer more than anyone should read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use sealift_pki::{KeyAlgorithm, PrivateKey};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the provider does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It closes every connection.
    Silent,
    /// Its set of keys does not end.
    Endless,
}

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// Its name.
    pub id: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    key: EncodingKey,
}

/// A running provider. It ends when dropped.
pub struct Provider {
    /// Its issuer.
    pub issuer: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

struct State {
    issuer: String,
    keys: Vec<SigningKey>,
    mood: Mood,
    fetched: usize,
}

impl SigningKey {
    /// A fresh key.
    pub fn generate(id: &str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => KeyAlgorithm::EcdsaP256,
            Algorithm::ES384 => KeyAlgorithm::EcdsaP384,
            _ => KeyAlgorithm::Rsa(2048),
        };
        let pkcs8 = PrivateKey::generate(kind).expect("a key").to_pkcs8_der();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_der(&pkcs8),
            // The key as PKCS#1, which PKCS#8 wraps in 26 bytes.
            _ => EncodingKey::from_rsa_der(&pkcs8[26..]),
        };
        Self { id: id.to_owned(), algorithm, key }
    }

    /// The same key under another name, or for another algorithm of its kind.
    pub fn named(&self, id: &str, algorithm: Algorithm) -> Self {
        Self { id: id.to_owned(), algorithm, key: self.key.clone() }
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).expect("a token")
    }

    /// What is public of it.
    pub fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).expect("a public key");
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).expect("JSON")
    }

    /// A token signed with the public key as if it were a shared secret.
    pub fn confused(&self, claims: &Value) -> String {
        let secret = self.public()["n"].as_str().expect("a modulus").to_owned();
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::HS256) };
        encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
    }

    /// A token that is not signed at all.
    pub fn unsigned(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT", "kid": self.id})), part(claims))
    }
}

impl Provider {
    /// Begins to serve these keys.
    pub async fn start(keys: &[SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let issuer = format!("http://{}/realms/test", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State {
            issuer: issuer.clone(),
            keys: keys.to_vec(),
            mood: Mood::Well,
            fetched: 0,
        }));
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, Arc::clone(&shared)));
            }
        });
        Self { issuer, state, serving }
    }

    /// Takes other keys from now on.
    pub fn rotate(&self, keys: &[SigningKey]) {
        locked(&self.state).keys = keys.to_vec();
    }

    /// Behaves otherwise from now on.
    pub fn turn(&self, mood: Mood) {
        locked(&self.state).mood = mood;
    }

    /// How often its keys were fetched.
    pub fn fetched(&self) -> usize {
        locked(&self.state).fetched
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match tokio::time::timeout(Duration::from_secs(10), socket.read(&mut buffer)).await {
            Ok(Ok(count)) if count > 0 => head.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
    let (mood, document) = {
        let mut state = locked(&state);
        if path.ends_with("/keys") {
            state.fetched += 1;
        }
        let keys: Vec<_> = state.keys.iter().map(SigningKey::public).collect();
        let document = match path.as_str() {
            path if path.ends_with("/.well-known/openid-configuration") => {
                json!({"issuer": state.issuer, "jwks_uri": format!("{}/keys", state.issuer)})
            }
            _ => json!({"keys": keys}),
        };
        (state.mood, document)
    };
    let body = document.to_string();
    match mood {
        Mood::Silent => {}
        Mood::Endless if path.ends_with("/keys") => {
            let _ = socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"keys\":[")
                .await;
            while socket.write_all(&[b' '; 65_536]).await.is_ok() {}
        }
        Mood::Well | Mood::Endless => {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    }
}
