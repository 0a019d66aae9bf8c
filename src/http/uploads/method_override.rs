//! The header `X-HTTP-Method-Override` of tus 1.0.0.

use hyper::{Method, Request};

use super::super::error::ApiError;
use super::tus::METHOD_OVERRIDE;

/// Replaces the method of a request for an upload by that of the header `X-HTTP-Method-Override`: some clients can send only GET
/// and POST. Tus 1.0.0 requires that the server then ignores the method of the request.
///
/// # Errors
/// 400 if the header is not a method.
pub(in super::super) fn override_method(head: &mut Request<()>) -> Result<(), ApiError> {
    let Some(method) = head.headers().get(METHOD_OVERRIDE) else {
        return Ok(());
    };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| {
        ApiError::BadRequest("The header X-HTTP-Method-Override must be a method".into())
    })?;
    *head.method_mut() = method;
    Ok(())
}
