//! Tunnels: how many are open, and how they end.

use super::measure;

/// A tunnel that is open, and counted so until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenTunnel {
    end: TunnelEnd,
}

impl OpenTunnel {
    /// One more.
    pub(crate) fn new() -> Self {
        measure::tunnel_opened();
        Self {
            end: TunnelEnd::CutOff,
        }
    }

    /// It ends of its own accord.
    pub(crate) fn ended(mut self, end: TunnelEnd) {
        self.end = end;
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        measure::tunnel_ended(self.end.label());
    }
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TunnelEnd {
    /// Both sides have said that they send no more.
    Closed,
    /// One of them broke off.
    Broken,
    /// Nothing moved for the idle time-out.
    Idle,
    /// It was told to end.
    Drained,
    /// A side was gone before the first byte, most likely the client without its 101.
    NeverUsed,
    /// The task that carried it is no more.
    CutOff,
}

impl TunnelEnd {
    const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Idle => "idle",
            Self::Drained => "drained",
            Self::NeverUsed => "never_used",
            Self::CutOff => "cut_off",
        }
    }
}
