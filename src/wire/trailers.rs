//! What comes behind a body, and after every check has passed.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::hop_by_hop::prepare_trailers;

pin_project! {
    /// A body without trailers that would change who its message is from, whom it is for or where it ends.
    ///
    /// `CasProxyLayer` and `SecondCasLayer` clean the trailers of whatever they send on. A request that is served here
    /// keeps the body it came with, and its trailers with that. Services that merge trailers into headers, or pass
    /// bodies on to servers that do, have it wrapped before anything else sees it:
    ///
    /// ```
    /// use bytes::Bytes;
    /// use cas_proxy::wire::trailers::CleanTrailers;
    /// use http::{HeaderMap, HeaderValue, Request, Response};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = ServiceBuilder::new()
    ///     .map_request(|request: Request<_>| request.map(CleanTrailers::new))
    ///     // .layer(second_cas).layer(sign_in).layer(first_cas)
    ///     .service(service_fn(|request: Request<CleanTrailers<_>>| async {
    ///         Ok::<_, std::convert::Infallible>(Response::new(request.into_body()))
    ///     }));
    ///
    /// let mut trailers = HeaderMap::new();
    /// trailers.insert("x-owa-proxysid", HeaderValue::from_static("S-1-5-18"));
    /// trailers.insert("checksum", HeaderValue::from_static("1"));
    /// let body = Full::new(Bytes::from("mail")).with_trailers(async { Some(Ok(trailers)) });
    ///
    /// let seen = server.oneshot(Request::new(body)).await?.into_body().collect().await?;
    /// assert!(seen.trailers().is_some_and(|left| left.len() == 1 && left.contains_key("checksum")));
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Clone, Copy, Debug, Default)]
    pub struct CleanTrailers<B> {
        #[pin]
        body: B,
    }
}

impl<B> CleanTrailers<B> {
    /// Wraps a body.
    pub fn new(body: B) -> Self {
        Self { body }
    }
}

impl<B: Body> Body for CleanTrailers<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = self.project().body.poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map(clean)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Trailers as [`prepare_trailers`] leaves them; data as it is.
pub(crate) fn clean<D>(frame: Frame<D>) -> Frame<D> {
    //= src/docs/protocol.md#header-client-never
    match frame.into_trailers() {
        Ok(mut trailers) => {
            prepare_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(data) => data,
    }
}
