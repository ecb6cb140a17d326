//! The URI that counts.

use http::{Uri, request::Parts};

/// The URI as the client sent it, before a router stripped a prefix: what is judged, signed and sent on is this one.
pub(crate) fn original_uri(parts: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = parts.extensions.get() {
        return uri;
    }
    &parts.uri
}
