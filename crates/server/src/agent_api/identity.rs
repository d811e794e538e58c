//! Who calls at the agents' door: the client certificate of the connection, and the agent it belongs to.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use sealift_pki::Thumbprint;
use sealift_protocol::AgentId;

use super::wire::Refusal;
use crate::agents::{Directory, Identity, Status};
use crate::floor::Floor;

/// The client certificate of a connection, verified by TLS against the agents' authority.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(pub(crate) Thumbprint);

/// The thumbprint of the connection's client certificate, where it has one.
pub(super) fn peer(request: &HttpRequest) -> Option<Thumbprint> {
    request.conn_data::<PeerCertificate>().map(|peer| peer.0)
}

/// An approved agent, known by its client certificate.
#[derive(Debug, Clone)]
pub(super) struct ApprovedAgent {
    pub(super) id: AgentId,
    /// What is remembered of it.
    pub(super) identity: Identity,
}

impl FromRequest for ApprovedAgent {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let peer = peer(request);
        let floor = request.app_data::<Data<Floor>>().cloned();
        let directory = request.app_data::<Data<Directory>>().cloned();
        Box::pin(async move {
            let refuse = |status, reason: &str| Err(Refusal::new(status, reason));
            let Some(thumbprint) = peer else {
                return refuse(StatusCode::UNAUTHORIZED, "a call without a client certificate");
            };
            let (Some(floor), Some(directory)) = (floor, directory) else {
                return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the agents' door is not set up");
            };
            let identity = directory.identify(&floor.database.main, &thumbprint, floor.now()).await?;
            let Some(identity) = identity else {
                return refuse(StatusCode::UNAUTHORIZED, "the client certificate belongs to no agent");
            };
            if identity.status != Status::Approved {
                return refuse(StatusCode::FORBIDDEN, "the agent is not approved");
            }
            directory.seen(identity.agent_id, &thumbprint, floor.now());
            Ok(Self { id: identity.agent_id, identity })
        })
    }
}
