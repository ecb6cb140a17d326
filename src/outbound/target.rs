//! Where a request goes.

use http::{
    Uri,
    uri::{Authority, Parts, PathAndQuery},
};

use super::BoxError;
use crate::directory::Origin;

/// The URL of `target` at `origin`, compared with it once more: nothing a client sent may have moved it.
//= src/docs/protocol.md#hop-target
pub(crate) fn absolute(origin: &Origin, target: PathAndQuery) -> Result<Uri, BoxError> {
    let mut parts = Parts::default();
    parts.scheme = Some(origin.scheme().clone());
    parts.authority = Some(origin.authority().clone());
    parts.path_and_query = Some(target);
    let uri = Uri::from_parts(parts)?;
    // Scheme, host and port at once: the authority holds nothing else.
    if uri.scheme() != Some(origin.scheme())
        || uri.authority().map(Authority::as_str) != Some(origin.authority().as_str())
    {
        return Err("the URL built is not at the server that was chosen".into());
    }
    Ok(uri)
}
