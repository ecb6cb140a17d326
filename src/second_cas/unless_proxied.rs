//! Lets the users of a verified CAS past the layer that signs users in.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::oneshot::Oneshot;
use crate::wire::mark::FromCas;

/// Applies a layer, such as the one that signs users in, to all requests but those a verified CAS sent for one of its
/// users, which [`SecondCasLayer`](super::SecondCasLayer) has let in and marked. No header can bring that about.
///
/// ```
/// use cas_proxy::second_cas::{SecondCasLayer, danger::StaticCredential, unless_proxied};
/// use http::{Request, Response, StatusCode};
/// use std::convert::Infallible;
/// use tower::{Layer, Service, ServiceExt, layer::layer_fn, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mail = service_fn(|_: Request<String>| async { Ok::<_, Infallible>(Response::new(String::new())) });
/// // Signs nobody in, to keep the example short.
/// let sign_in = layer_fn(|_mail| {
///     service_fn(|_: Request<String>| async {
///         let mut answer = Response::new(String::new());
///         *answer.status_mut() = StatusCode::UNAUTHORIZED;
///         Ok::<_, Infallible>(answer)
///     })
/// });
/// let mut server = SecondCasLayer::new(StaticCredential::basic("lab", "secret"))
///     .layer(unless_proxied(sign_in).layer(mail));
///
/// let answer = server.ready().await?.call(Request::new(String::new())).await?;
/// assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
/// # Ok(())
/// # }
/// ```
pub fn unless_proxied<L>(layer: L) -> UnlessProxiedLayer<L> {
    UnlessProxiedLayer { layer }
}

/// Made by [`unless_proxied`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a layer does nothing until it is given a service"]
pub struct UnlessProxiedLayer<L> {
    layer: L,
}

impl<L: Layer<S>, S: Clone> Layer<S> for UnlessProxiedLayer<L> {
    type Service = UnlessProxied<L::Service, S>;

    fn layer(&self, inner: S) -> Self::Service {
        UnlessProxied {
            layered: self.layer.layer(inner.clone()),
            inner,
        }
    }
}

/// A service with and without a layer; made by [`unless_proxied`].
///
/// Always ready. It clones the one of the two it needs for a request, and readies that clone.
#[derive(Clone, Copy, Debug)]
pub struct UnlessProxied<A, S> {
    layered: A,
    inner: S,
}

impl<A, S, B, AB, SB> Service<Request<B>> for UnlessProxied<A, S>
where
    A: Service<Request<B>, Response = Response<AB>> + Clone,
    S: Service<Request<B>, Response = Response<SB>> + Clone,
    A::Error: From<S::Error>,
{
    type Response = Response<EitherBody<AB, SB>>;
    type Error = A::Error;
    type Future = EitherFuture<A, S, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let route = if request.extensions().get::<FromCas>().is_some() {
            Route::Inner {
                response: Oneshot::new(self.inner.clone(), request),
            }
        } else {
            Route::Layered {
                response: Oneshot::new(self.layered.clone(), request),
            }
        };
        EitherFuture { route }
    }
}

pin_project! {
    /// Response of an [`UnlessProxied`].
    pub struct EitherFuture<A, S, B>
    where
        A: Service<Request<B>>,
        S: Service<Request<B>>,
    {
        #[pin]
        route: Route<A, S, B>,
    }
}

pin_project! {
    #[project = RouteProjection]
    enum Route<A, S, B>
    where
        A: Service<Request<B>>,
        S: Service<Request<B>>,
    {
        Layered { #[pin] response: Oneshot<A, Request<B>> },
        Inner { #[pin] response: Oneshot<S, Request<B>> },
    }
}

impl<A, S, B, AB, SB> Future for EitherFuture<A, S, B>
where
    A: Service<Request<B>, Response = Response<AB>>,
    S: Service<Request<B>, Response = Response<SB>>,
    A::Error: From<S::Error>,
{
    type Output = Result<Response<EitherBody<AB, SB>>, A::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().route.project() {
            RouteProjection::Layered { response } => response.poll(cx).map_ok(|response| {
                response.map(|body| EitherBody {
                    side: Side::Layered { body },
                })
            }),
            RouteProjection::Inner { response } => {
                let response = response.poll(cx).map_err(A::Error::from);
                response.map_ok(|response| {
                    response.map(|body| EitherBody {
                        side: Side::Inner { body },
                    })
                })
            }
        }
    }
}

impl<A, S, B> std::fmt::Debug for EitherFuture<A, S, B>
where
    A: Service<Request<B>>,
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EitherFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// Body of an [`UnlessProxied`]'s response: of the service with the layer, or of that without.
    #[derive(Debug)]
    pub struct EitherBody<AB, SB> {
        #[pin]
        side: Side<AB, SB>,
    }
}

pin_project! {
    #[project = SideProjection]
    #[derive(Debug)]
    enum Side<AB, SB> {
        Layered { #[pin] body: AB },
        Inner { #[pin] body: SB },
    }
}

impl<AB: Default, SB> Default for EitherBody<AB, SB> {
    fn default() -> Self {
        Self {
            side: Side::Layered {
                body: AB::default(),
            },
        }
    }
}

impl<AB, SB> Body for EitherBody<AB, SB>
where
    AB: Body,
    SB: Body<Data = AB::Data>,
    AB::Error: Into<BoxError>,
    SB::Error: Into<BoxError>,
{
    type Data = AB::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<AB::Data>, BoxError>>> {
        match self.project().side.project() {
            SideProjection::Layered { body } => body.poll_frame(cx).map_err(Into::into),
            SideProjection::Inner { body } => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.side {
            Side::Layered { body } => body.is_end_stream(),
            Side::Inner { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.side {
            Side::Layered { body } => body.size_hint(),
            Side::Inner { body } => body.size_hint(),
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
