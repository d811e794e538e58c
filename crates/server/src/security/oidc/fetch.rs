//! What is fetched from the identity provider: its discovery document, and the keys that it points to. Everything
//! is bounded, and nothing is fetched in the clear except from this machine.

use std::time::Duration;

use reqwest::{Certificate, Client, Url, redirect};
use serde_json::Value;

use crate::configuration::{Oidc, is_private_place};
use crate::security::error::Error;

/// How long a connection, and how long all of a call, may take.
const CONNECT: Duration = Duration::from_secs(3);
const CALL: Duration = Duration::from_secs(5);
/// Largest document that is read, in bytes.
const MAX_DOCUMENT: usize = 256 * 1024;

/// Where the keys come from.
pub(super) struct Source {
    http: Client,
    issuer: String,
}

impl Source {
    /// Prepares to fetch; asks nobody yet.
    pub(super) async fn new(configured: &Oidc) -> Result<Self, Error> {
        let refused = |reason: String| Error::Provider(reason);
        let mut builder = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(CALL)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("sealift-server/", env!("CARGO_PKG_VERSION")));
        if !configured.ca_file.as_os_str().is_empty() {
            let path = configured.ca_file.clone();
            let read = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
            let pem = read
                .map_err(std::io::Error::other)
                .and_then(|read| read)
                .map_err(|error| refused(format!("oidc.ca_file cannot be read: {error}")))?;
            let anchors = Certificate::from_pem_bundle(&pem)
                .map_err(|error| refused(format!("oidc.ca_file holds no certificates: {error}")))?;
            builder = builder.tls_certs_only(anchors);
        }
        let http = builder.build().map_err(|error| refused(error.to_string()))?;
        Ok(Self { http, issuer: configured.issuer.clone() })
    }

    /// The set of keys, by way of the discovery document.
    pub(super) async fn keys(&self) -> Result<Value, String> {
        let place = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document = self.document(&place).await?;
        if document["issuer"].as_str() != Some(self.issuer.as_str()) {
            return Err(format!("{place} is the document of another issuer"));
        }
        let keys = document["jwks_uri"].as_str().ok_or_else(|| format!("{place} has no jwks_uri"))?;
        if !is_private_place(keys) {
            return Err(format!("{place}: jwks_uri is neither https nor on this machine"));
        }
        self.document(keys).await
    }

    async fn document(&self, place: &str) -> Result<Value, String> {
        let failed = |error: reqwest::Error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(inner) = source {
                text = format!("{text}: {inner}");
                source = inner.source();
            }
            text
        };
        let place = Url::parse(place).map_err(|error| format!("{place} is no address: {error}"))?;
        let mut answer = self.http.get(place.clone()).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(format!("{place} answered {}", answer.status()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > MAX_DOCUMENT {
                return Err(format!("{place} answered more than {MAX_DOCUMENT} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{place} answered no JSON: {error}"))
    }
}
