//! Counters and histograms; without the feature `metrics` these functions are empty.

#[cfg(feature = "metrics")]
pub use self::facade::describe;
#[cfg(feature = "metrics")]
pub(super) use self::facade::{
    failed_over, logged_in, proxied, replayed, request, served_locally, tunnel_ended, tunnel_opened,
};
#[cfg(not(feature = "metrics"))]
pub(super) use self::nothing::{
    failed_over, logged_in, proxied, replayed, request, served_locally, tunnel_ended, tunnel_opened,
};

#[cfg(feature = "metrics")]
mod facade {
    use std::time::Duration;

    use metrics::{
        Key, Label, Level, Metadata, Unit, counter, describe_counter, describe_gauge,
        describe_histogram, gauge, histogram,
    };

    use crate::directory::ServerName;

    /// Tells the installed recorder unit and meaning of each metric. Call it once, after installing the recorder.
    pub fn describe() {
        describe_counter!(
            REQUESTS,
            Unit::Count,
            "requests by outcome, and for refused ones by the step that failed"
        );
        describe_histogram!(
            REQUEST_SECONDS,
            Unit::Seconds,
            "time to the head of the answer, by outcome"
        );
        describe_counter!(LOGINS, Unit::Count, "proxy logins by second CAS and result");
        describe_counter!(
            REPLAYS,
            Unit::Count,
            "requests sent a second time, by second CAS"
        );
        describe_counter!(
            FAILOVERS,
            Unit::Count,
            "candidates given up for the next one"
        );
        describe_counter!(TUNNELS_OPENED, Unit::Count, "tunnels begun by a 101");
        describe_gauge!(TUNNELS_OPEN, Unit::Count, "tunnels that are open now");
        describe_counter!(TUNNELS_ENDED, Unit::Count, "tunnels ended, by reason");
    }

    pub(in crate::telemetry) fn served_locally(elapsed: Duration) {
        static KEYS: Keys = Keys::new(&LABELS);
        static LABELS: [Label; 2] = labels("local");
        KEYS.count(elapsed);
    }

    /// The same for the outcome that comes next in number.
    pub(in crate::telemetry) fn proxied(elapsed: Duration) {
        static KEYS: Keys = Keys::new(&LABELS);
        static LABELS: [Label; 2] = labels("proxied");
        KEYS.count(elapsed);
    }

    /// What counts requests of one outcome, and measures them: hashed by the compiler, where the macros do so each time.
    struct Keys {
        requests: Key,
        seconds: Key,
    }

    impl Keys {
        const fn new(labels: &'static [Label; 2]) -> Self {
            let (outcome, _) = labels.split_at(1);
            Self {
                requests: Key::from_static_parts(REQUESTS, labels),
                seconds: Key::from_static_parts(REQUEST_SECONDS, outcome),
            }
        }

        fn count(&self, elapsed: Duration) {
            static METADATA: Metadata<'_> =
                Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
            metrics::with_recorder(|recorder| {
                recorder
                    .register_counter(&self.requests, &METADATA)
                    .increment(1);
                recorder
                    .register_histogram(&self.seconds, &METADATA)
                    .record(elapsed);
            });
        }
    }

    const fn labels(outcome: &'static str) -> [Label; 2] {
        [
            Label::from_static_parts("outcome", outcome),
            Label::from_static_parts("phase", "none"),
        ]
    }

    pub(in crate::telemetry) fn request(
        outcome: &'static str,
        phase: &'static str,
        elapsed: Duration,
    ) {
        counter!(REQUESTS, "outcome" => outcome, "phase" => phase).increment(1);
        histogram!(REQUEST_SECONDS, "outcome" => outcome).record(elapsed);
    }

    pub(in crate::telemetry) fn logged_in(server: &ServerName, result: &'static str) {
        counter!(LOGINS, "server" => label(server), "result" => result).increment(1);
    }

    pub(in crate::telemetry) fn replayed(server: &ServerName) {
        counter!(REPLAYS, "server" => label(server)).increment(1);
    }

    pub(in crate::telemetry) fn failed_over(server: &ServerName) {
        counter!(FAILOVERS, "server" => label(server)).increment(1);
    }

    pub(in crate::telemetry) fn tunnel_opened() {
        counter!(TUNNELS_OPENED).increment(1);
        gauge!(TUNNELS_OPEN).increment(1.0);
    }

    pub(in crate::telemetry) fn tunnel_ended(reason: &'static str) {
        counter!(TUNNELS_ENDED, "reason" => reason).increment(1);
        gauge!(TUNNELS_OPEN).decrement(1.0);
    }

    /// Server names come from the directory, never from a client, so there are no more labels than servers.
    fn label(server: &ServerName) -> String {
        server.as_str().to_owned()
    }

    const REQUESTS: &str = "cas_proxy_requests_total";
    const REQUEST_SECONDS: &str = "cas_proxy_request_seconds";
    const LOGINS: &str = "cas_proxy_logins_total";
    const REPLAYS: &str = "cas_proxy_replays_total";
    const FAILOVERS: &str = "cas_proxy_failovers_total";
    const TUNNELS_OPENED: &str = "cas_proxy_tunnels_opened_total";
    const TUNNELS_OPEN: &str = "cas_proxy_tunnels_open";
    const TUNNELS_ENDED: &str = "cas_proxy_tunnels_ended_total";
}

#[cfg(not(feature = "metrics"))]
mod nothing {
    use std::time::Duration;

    use crate::directory::ServerName;

    pub(in crate::telemetry) fn served_locally(_: Duration) {}
    pub(in crate::telemetry) fn proxied(_: Duration) {}
    pub(in crate::telemetry) fn request(_: &'static str, _: &'static str, _: Duration) {}
    pub(in crate::telemetry) fn logged_in(_: &ServerName, _: &'static str) {}
    pub(in crate::telemetry) fn replayed(_: &ServerName) {}
    pub(in crate::telemetry) fn failed_over(_: &ServerName) {}
    pub(in crate::telemetry) fn tunnel_opened() {}
    pub(in crate::telemetry) fn tunnel_ended(_: &'static str) {}
}
