//! What hyper sees of a connection, and how requests and responses are translated for it.

use super::connection::Wire;
use super::*;

/// The wire as hyper sees it. Reading never waits; writing does, within the response's deadline.
pub(super) struct Line<'w, 'a>(pub(super) &'w RefCell<Wire<'a>>);

impl hyper::rt::Read for Line<'_, '_> {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let count = into.remaining().min(wire.shown - wire.start);
        if count == 0 {
            wire.hungry = true;
            return Poll::Pending;
        }
        let start = wire.start;
        into.put_slice(&wire.inbox[start..start + count]);
        wire.start += count;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Line<'_, '_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.borrow_mut().send(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().sending = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // `Wire::leave` closes, once it knows what was left unread.
        Poll::Ready(Ok(()))
    }
}

/// What hyper calls for each request: waits for the body, runs the handler, hands back its answer.
pub(super) async fn answer(
    engine: &Engine,
    connection: &Connection,
    wire: &RefCell<Wire<'_>>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Whole>, Infallible> {
    let (head, body) = request.into_parts();
    let is_head = head.method == hyper::Method::HEAD;
    let response = match collect(wire, body).await {
        Ok(body) => {
            wire.borrow_mut().known = true;
            if wire.borrow().enter(Phase::Handling) {
                let request = translate(
                    &head.method,
                    &head.uri,
                    &head.headers,
                    body,
                    connection.peer,
                );
                catch_unwind(AssertUnwindSafe(|| (engine.handler)(request))).unwrap_or_else(|_| {
                    tracing::error!(peer = %connection.peer, "a handler panicked");
                    engine.refused(PANICKED)
                })
            } else {
                // Shown out while the last bytes arrived: nobody is there to read the answer.
                wire.borrow_mut().refusal = Some(FULL);
                Response::new(FULL.status)
            }
        }
        Err(refusal) => {
            wire.borrow_mut().refusal = Some(refusal);
            engine.refused(refusal)
        }
    };
    let mut wire = wire.borrow_mut();
    wire.owing = false;
    connection.enter(Phase::Answering, wire.known, monotonic());
    let close = wire.refusal.is_some() || engine.is_closing();
    Ok(render(response, is_head, close))
}

/// The whole body, or why there will be none.
async fn collect(wire: &RefCell<Wire<'_>>, mut body: Incoming) -> Result<Vec<u8>, Refusal> {
    let mut whole = Vec::new();
    loop {
        let frame = std::future::poll_fn(|context| {
            if let Some(refusal) = wire.borrow().refusal {
                return Poll::Ready(Err(refusal));
            }
            if body.is_end_stream() {
                return Poll::Ready(Ok(None));
            }
            Pin::new(&mut body).poll_frame(context).map(Ok)
        })
        .await?;
        match frame {
            None => return Ok(whole),
            Some(Err(_)) => return Err(BROKEN_BODY),
            // Framing has counted every byte already. Trailers are nobody's business.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    whole.extend_from_slice(&data);
                }
            }
        }
    }
}

pub(super) fn translate(
    method: &hyper::Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Vec<u8>,
    peer: IpAddr,
) -> Request {
    let mut request = Request::new(Method::from_name(method.as_str()), uri.path());
    request.query = uri.query().map(str::to_owned);
    request.peer = peer;
    request.body = body;
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    request.reserve_headers(headers.len(), headers.iter().map(bytes).sum());
    for (name, value) in headers {
        request.push_header(name.as_str().as_bytes(), value.as_bytes());
    }
    request
}

pub(super) fn render(response: Response, is_head: bool, close: bool) -> hyper::Response<Whole> {
    let status = status(&response);
    let (fields, body) = response.into_parts();
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = body.len();
    let mut rendered =
        hyper::Response::new(Whole((length > 0 && !bodiless).then(|| Bytes::from(body))));
    *rendered.status_mut() = status;
    let headers = rendered.headers_mut();
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
    if is_head && length == 0 && !bodiless {
        // RFC 9110 §9.3.2: the same fields as for GET. hyper writes this one only where it
        // writes the body, or knows how long it would be.
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    rendered
}

pub(super) fn status(response: &Response) -> StatusCode {
    match response.status {
        200..=599 => StatusCode::from_u16(response.status),
        _ => Ok(StatusCode::INTERNAL_SERVER_ERROR),
    }
    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The name of a field that a handler may set.
pub(super) fn field_name(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING)
}

/// A response as bytes, for the acceptor, where no engine runs. It closes the connection.
pub(super) fn plain(response: Response) -> Vec<u8> {
    let status = status(&response);
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
    bytes.extend_from_slice(response.body());
    bytes
}

/// A response body in one piece, so that head and body leave in one write.
pub(super) struct Whole(Option<Bytes>);

impl hyper::body::Body for Whole {
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
