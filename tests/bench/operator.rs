//! An operator's automation: an API token, a kept connection, additions of one certificate to many stores.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::Result;
use sealift_protocol::{Secret, StoreId};
use tokio_rustls::TlsConnector;

use crate::connection::{Connection, Door};

/// Who calls the operator API.
#[derive(Clone)]
pub(crate) struct Operator {
    door: Arc<Door>,
    tls: TlsConnector,
    authorization: Secret,
}

impl Operator {
    /// The holder of an API token.
    pub(crate) fn new(door: Arc<Door>, token: &Secret) -> Result<Self> {
        let authorization = Secret::new(format!("authorization: Bearer {}\r\n", token.expose()));
        Ok(Self { tls: door.tls(None)?, door, authorization })
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<OperatorLine> {
        let connection = Connection::open(&self.door, &self.tls).await?;
        Ok(OperatorLine { connection, authorization: self.authorization.clone() })
    }
}

/// A kept connection.
pub(crate) struct OperatorLine {
    connection: Connection,
    authorization: Secret,
}

impl OperatorLine {
    /// `POST /CertificateStores/Certificates/Add`.
    pub(crate) async fn add(&mut self, body: &[u8]) -> Result<()> {
        let line = "POST /CertificateStores/Certificates/Add";
        self.connection.call(line, self.authorization.expose(), body).await?.body()?;
        Ok(())
    }

    /// `GET` of a list.
    pub(crate) async fn read(&mut self, path: &str) -> Result<()> {
        self.connection.call(&format!("GET {path}"), self.authorization.expose(), b"").await?.body()?;
        Ok(())
    }

    /// `GET` of a path that anyone may read.
    pub(crate) async fn get(&mut self, path: &str) -> Result<()> {
        self.connection.call(&format!("GET {path}"), "", b"").await?.body()?;
        Ok(())
    }
}

/// The body of an addition, now, with the private key.
pub(crate) fn addition(certificate: i64, stores: &[StoreId]) -> Vec<u8> {
    let mut body = format!(
        "{{\"CertificateId\":{certificate},\"Schedule\":{{\"Immediate\":true}},\"CertificateStores\":["
    );
    for (place, store) in stores.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing to a text cannot fail.
        let _ = write!(body, "{comma}{{\"CertificateStoreId\":\"{store}\",\"IncludePrivateKey\":true}}");
    }
    body.push_str("]}");
    body.into_bytes()
}
