//! How an outbound service tells that the second hop wants the body.

use std::{fmt, sync::Arc};

use super::{health::ServerState, replay::Gate};

/// Among the extensions of a request that says `Expect: 100-continue`: to be told of `100 Continue`.
///
/// Until then the request's body gives nothing. The built-in client tells; an outbound service of your own may
/// take this out of the extensions and do so, too. If nobody does, the body is given after
/// [`wait_for_continue`](crate::first_cas::Timeouts::wait_for_continue).
#[derive(Clone)]
pub struct OnContinue {
    gate: Arc<Gate>,
    server: Arc<ServerState>,
}

impl OnContinue {
    pub(crate) fn new(gate: Gate, server: Arc<ServerState>) -> Self {
        Self {
            gate: Arc::new(gate),
            server,
        }
    }

    /// The second hop said `100 Continue`: its body may flow.
    pub fn said(&self) {
        self.server.said_continue();
        self.gate.open();
    }
}

impl fmt::Debug for OnContinue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnContinue")
    }
}
