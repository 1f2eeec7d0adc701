//! Turns the framework's own errors into problems.

use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError};
use poem::http::{Method, StatusCode, header};
use poem::{Error, IntoResponse, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{
    ContentTypeError, ParseMultipartError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};

use crate::http::problem::{Code, Fault, Problem};
use crate::http::route_table::RouteTable;

/// The response for an error. A problem that a handler returned is passed on unchanged.
pub fn respond(error: Error, routes: &RouteTable, method: &Method, path: &str) -> Response {
    let operation = error.data::<OperationId>().copied();
    let mut response = if error.is_from_response() {
        error.into_response()
    } else {
        problem(&error, routes, method, path).into_response()
    };
    if let Some(operation) = operation {
        response.set_data(operation);
    }
    response
}

fn problem(error: &Error, routes: &RouteTable, method: &Method, path: &str) -> Problem {
    if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
        return parameter(name, reason);
    }
    if let Some(ParsePathError { name, reason }) = error.downcast_ref() {
        // The framework numbers path parameters.
        let index = name.strip_prefix("param").and_then(|index| index.parse().ok());
        return parameter(index.and_then(|index| routes.path_parameter(path, index)).unwrap_or(name), reason);
    }
    if let Some(ParseRequestPayloadError { reason }) = error.downcast_ref() {
        return malformed(reason);
    }
    if let Some(ParseMultipartError { reason }) = error.downcast_ref() {
        return malformed(reason);
    }
    if let Some(error) = error.downcast_ref::<ContentTypeError>() {
        return Problem::new(Code::UnsupportedMediaType, format!("{error}."));
    }
    if error.is::<NotFoundError>() {
        return Problem::new(Code::NotFound, format!("There is no path {path}."));
    }
    if error.is::<MethodNotAllowedError>() {
        let allow = routes.allowed_methods(path);
        let detail = format!("{path} does not support {method}. It allows {allow}.");
        return Problem::new(Code::MethodNotAllowed, detail).header(header::ALLOW, allow);
    }
    if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref() {
        return Problem::new(Code::BodyTooLarge, Code::BodyTooLarge.meaning());
    }
    match error.status() {
        StatusCode::NOT_FOUND => Problem::new(Code::NotFound, format!("There is no path {path}.")),
        StatusCode::UNAUTHORIZED => Problem::new(Code::Unauthenticated, Code::Unauthenticated.meaning()),
        StatusCode::FORBIDDEN => Problem::new(Code::PermissionDenied, Code::PermissionDenied.meaning()),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::BodyTooLarge, Code::BodyTooLarge.meaning()),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(Code::UnsupportedMediaType, Code::UnsupportedMediaType.meaning())
        }
        status if status.is_client_error() => malformed(&error.to_string()),
        _ => Problem::internal(error),
    }
}

fn parameter(name: &str, reason: &str) -> Problem {
    let reason = reason.trim_end_matches('.');
    Problem::new(Code::InvalidParameter, format!("The parameter {name} is invalid: {reason}."))
        .with_errors(vec![Fault::parameter(name, reason)])
}

fn malformed(reason: &str) -> Problem {
    let reason = reason.trim_end_matches('.');
    Problem::new(Code::MalformedBody, format!("The body cannot be read: {reason}."))
        .with_errors(vec![Fault::at("", reason)])
}
