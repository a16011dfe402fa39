//! Requests and answers through hyper: one connection served to its end.

use std::borrow::Cow;
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::service::service_fn;
use hyper::{HeaderMap, StatusCode};

use super::RunningServer;
use super::connection::Connection;
use super::transport::{HyperIo, Refused, Transport};
use crate::http::error::{HttpCode, Refusal};
use crate::http::request::Request;
use crate::http::response::Response;

/// Polls of the engine without a byte moved before it counts as stuck. It needs two or three.
const MAX_IDLE_POLLS: u32 = 100;

/// The connection is refused, or was evicted for another.
pub(super) const OVERLOADED: Refusal = Refusal::new(
    HttpCode::Overloaded,
    "All connections are in use. Try again in a moment.",
);
const UNREADABLE_BODY: Refusal = Refusal::new(
    HttpCode::MalformedRequest,
    "The request's body could not be read.",
);
const PANICKED: Refusal = Refusal::new(
    HttpCode::ServerError,
    "The server could not answer this request. The cause is in its log.",
);

/// Serves one connection to its end.
pub(super) fn serve(server: &RunningServer, connection: &Connection, inbox: &mut [u8]) {
    let transport = RefCell::new(Transport::new(server, connection, inbox));
    {
        let service = service_fn(|request| answer(server, connection, &transport, request));
        let mut engine = pin!(server.http.serve_connection(HyperIo(&transport), service));
        let mut context = Context::from_waker(Waker::noop());
        let mut idle_polls = 0;
        loop {
            match engine.as_mut().poll(&mut context) {
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(error)) => {
                    tracing::debug!(peer = %connection.peer, %error, "connection failed");
                    break;
                }
                Poll::Pending => {}
            }
            let mut transport = transport.borrow_mut();
            if transport.take_wants_bytes() {
                idle_polls = 0;
                if !transport.feed() {
                    break;
                }
            } else {
                idle_polls += 1;
                if idle_polls > MAX_IDLE_POLLS {
                    tracing::error!("the HTTP engine waits for nothing; connection dropped");
                    break;
                }
            }
        }
    }
    transport.into_inner().close();
}

/// What hyper calls for each request: waits for the body, runs the handler, returns its answer.
async fn answer(
    server: &RunningServer,
    connection: &Connection,
    transport: &RefCell<Transport<'_>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<FullBody>, Infallible> {
    let (head, body) = request.into_parts();
    let is_head = head.method == hyper::Method::HEAD;
    let response = match collect(transport, body, server.limits.body_bytes).await {
        Ok(body) => {
            if transport.borrow_mut().begin_handling() {
                let request = to_request(head, body, connection.peer);
                catch_unwind(AssertUnwindSafe(|| (server.handler)(request))).unwrap_or_else(|_| {
                    tracing::error!(peer = %connection.peer, "a handler panicked");
                    server.refuse(&PANICKED, None)
                })
            } else {
                // Evicted while the last bytes arrived: the socket is closed, and the client gets no answer.
                transport.borrow_mut().refuse_body(OVERLOADED);
                Response::new(OVERLOADED.code.status().as_u16())
            }
        }
        Err(Refused::Head(refusal, request)) => server.refuse(&refusal, request.as_ref()),
        Err(Refused::Body(refusal)) => {
            let request = to_request(head, Vec::new(), connection.peer);
            server.refuse(&refusal, Some(&request))
        }
    };
    let is_last = transport.borrow_mut().begin_answering();
    Ok(to_hyper(response, is_head, is_last))
}

/// The whole body, or why the request is refused.
async fn collect(
    transport: &RefCell<Transport<'_>>,
    mut body: Incoming,
    limit: usize,
) -> Result<Vec<u8>, Refused> {
    // Room for all of it at once: a buffer that grows leaves memory of twice its size behind. Framing has held a declared
    // length to the limit, and memory that is not written to is not taken from the system.
    let room = match body.is_end_stream() {
        true => 0,
        false => body.size_hint().exact().map_or(limit, |length| {
            usize::try_from(length).map_or(limit, |length| length.min(limit))
        }),
    };
    let mut whole = Vec::with_capacity(room);
    loop {
        let frame = std::future::poll_fn(|context| {
            if let Some(refused) = transport.borrow().refused() {
                return Poll::Ready(Err(refused.clone()));
            }
            if body.is_end_stream() {
                return Poll::Ready(Ok(None));
            }
            Pin::new(&mut body).poll_frame(context).map(Ok)
        })
        .await?;
        match frame {
            None => return Ok(whole),
            Some(Err(_)) => return Err(transport.borrow_mut().refuse_body(UNREADABLE_BODY)),
            // Framing has counted every byte already. Trailers are dropped.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    whole.extend_from_slice(&data);
                }
            }
        }
    }
}

fn to_request(head: hyper::http::request::Parts, body: Vec<u8>, peer: IpAddr) -> Request {
    let mut request = Request::new(head.method, head.uri.path());
    request.query = head.uri.query().map(str::to_owned);
    request.peer = peer;
    request.body = body;
    // RFC 9112 §3.2.2: a target with a host replaces the field.
    let host = head.uri.authority().map(Authority::as_str);
    copy_headers(&head.headers, host, &mut request);
    request
}

fn copy_headers(headers: &HeaderMap, host: Option<&str>, request: &mut Request) {
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    request.reserve_headers(headers.len(), headers.iter().map(bytes).sum());
    for (name, value) in headers {
        let value = match host {
            Some(host) if *name == HOST => host.as_bytes(),
            _ => value.as_bytes(),
        };
        request.push_header(name.as_str().as_bytes(), value);
    }
}

fn to_hyper(response: Response, is_head: bool, is_last: bool) -> hyper::Response<FullBody> {
    let status = status(&response);
    let (fields, body) = response.into_parts();
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = body.len();
    let body = (length > 0 && !has_no_body).then(|| Bytes::from(body));
    let mut sent = hyper::Response::new(FullBody(body));
    *sent.status_mut() = status;
    let headers = sent.headers_mut();
    for (name, value) in fields {
        let value = match value {
            Cow::Borrowed(text) => {
                HeaderValue::from_maybe_shared(Bytes::from_static(text.as_bytes()))
            }
            Cow::Owned(text) => HeaderValue::from_maybe_shared(Bytes::from(text)),
        };
        if let (Some(name), Ok(value)) = (field_name(name), value) {
            headers.append(name, value);
        }
    }
    if is_head && length == 0 && !has_no_body {
        // RFC 9110 §9.3.2: the same fields as for GET. hyper writes this one only where it writes the body, or knows how
        // long it would be.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    sent
}

fn status(response: &Response) -> StatusCode {
    match response.status {
        200..=599 => StatusCode::from_u16(response.status),
        _ => Ok(StatusCode::INTERNAL_SERVER_ERROR),
    }
    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The name of a field that a handler may set.
fn field_name(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING)
}

/// A response as bytes, for connections that are refused before hyper has them. It closes the connection.
pub(super) fn to_bytes(response: &Response, is_head: bool) -> Vec<u8> {
    let status = status(response);
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
    for (name, value) in response.headers() {
        if let Some(name) = field_name(name) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str(&format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        response.body().len()
    ));
    let mut bytes = head.into_bytes();
    if !is_head {
        bytes.extend_from_slice(response.body());
    }
    bytes
}

/// A response body in one piece, so that head and body leave in one write.
struct FullBody(Option<Bytes>);

impl hyper::body::Body for FullBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
