//! Request bodies: bounded, read leniently, refused with the name of the member that is wrong.

use actix_web::dev::Payload;
use actix_web::web::{Bytes, Data};
use actix_web::{FromRequest, HttpRequest, http::StatusCode};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::problem::{Code, Failure, MALFORMED};
use super::{lenient_json, problem};

/// The body is over the limit.
const TOO_LARGE: Code = Code(0xA010_0004);

/// Largest body that the operator API reads, in bytes; set once per application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// A JSON body, read as the operator contract says (chapter 1.10): member names in any case, unknown members
/// and trailing bytes ignored, null and empty text as not given.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<Data<BodyLimit>>().map_or(1024 * 1024, |limit| limit.0);
        let bytes = read(request, payload, limit);
        Box::pin(async move { parse(&bytes.await?).map(Self) })
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> impl Future<Output = Result<Bytes, Failure>> + use<> {
    use actix_web::http::header::CONTENT_LENGTH;
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let payload = payload.take();
    async move {
        let too_large = || {
            let message = format!("the body is larger than the limit of {limit} bytes; split the call");
            Failure::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE, message)
        };
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        match actix_web::body::to_bytes_limited(PayloadBody(payload), limit).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(malformed(format!("the body could not be read: {error}"))),
            Err(_) => Err(too_large()),
        }
    }
}

/// Parses a body that was read before.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    lenient_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
}

fn malformed(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, MALFORMED, problem::shortened(&message))
}

struct PayloadBody(Payload);

impl actix_web::body::MessageBody for PayloadBody {
    type Error = actix_web::error::PayloadError;

    fn size(&self) -> actix_web::body::BodySize {
        actix_web::body::BodySize::Stream
    }

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Bytes, Self::Error>>> {
        futures_util::Stream::poll_next(std::pin::Pin::new(&mut self.0), context)
    }
}
