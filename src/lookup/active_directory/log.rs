//! What the operator reads of the directory. Event 57: it could not be asked.

use std::{error::Error, time::Duration};

use super::error::DirectoryError;

/// A domain controller failed, and rests.
pub(super) fn failed(error: &DirectoryError, rest: Duration) {
    // Escaped: an error of the directory may repeat what somebody sent.
    let source = error.source().map(ToString::to_string);
    let source = source.as_ref().map(tracing::field::debug);
    tracing::warn!(target: TARGET, event_id = DIRECTORY_LOOKUP_FAILED, source, ?rest, "failed to {error}");
}

/// A domain controller that failed answers again.
pub(super) fn recovered(controller: &str) {
    tracing::info!(target: TARGET, "{controller} answers again");
}

/// The topology could not be read; the last one holds.
pub(super) fn not_refreshed(error: &DirectoryError, age: Duration) {
    let source = error.source().map(ToString::to_string);
    let source = source.as_ref().map(tracing::field::debug);
    tracing::warn!(
        target: TARGET, event_id = DIRECTORY_LOOKUP_FAILED, source, age_seconds = age.as_secs(),
        "the topology stays as it was, failed to {error}"
    );
}

/// Something odd in the directory that was not there before.
pub(super) fn found(event_id: Option<u16>, finding: &str) {
    tracing::warn!(target: TARGET, event_id, finding = ?finding, "the directory has something odd in it");
}

/// Something odd that is gone.
pub(super) fn mended(finding: &str) {
    tracing::info!(target: TARGET, finding = ?finding, "the directory is no longer odd in this");
}

const TARGET: &str = "cas_proxy";
const DIRECTORY_LOOKUP_FAILED: u16 = 57;
