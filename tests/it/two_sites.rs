//! The example `two_sites`: that it plays, and that it would notice if something came out differently.

// Clippy knows tests by their attribute, and takes their helpers for ordinary code.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[path = "../../examples/two_sites/client.rs"]
mod client;
#[path = "../../examples/two_sites/company.rs"]
mod company;
#[path = "../../examples/two_sites/mailbox.rs"]
mod mailbox;
#[path = "../../examples/two_sites/recorder.rs"]
mod recorder;
#[path = "../../examples/two_sites/report.rs"]
pub(crate) mod report;
#[path = "../../examples/two_sites/script.rs"]
mod script;
#[path = "../../examples/two_sites/servers.rs"]
mod servers;

use crate::gateway::{server, sign_in};
use tokio::sync::mpsc;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) async fn play() -> Vec<script::Visit> {
    let (log, mut exchanges) = mpsc::unbounded_channel();
    let company = servers::open(log).await.unwrap();
    script::play(&company, &mut exchanges).await.unwrap()
}

#[tokio::test]
async fn every_outcome_is_as_it_should_be() {
    let visits = play().await;
    let report = report::write(&visits);
    assert!(
        report.ends_with("\n12 requests, each outcome as it should be\n"),
        "{report}"
    );
    // All that goes from hop to hop, and nothing twice.
    assert_eq!(report.matches("< HTTP/1.1 441").count(), 1, "{report}");
    assert_eq!(report.matches("< HTTP/1.1 241").count(), 1, "{report}");
    assert_eq!(report.matches("< HTTP/1.1 200").count(), 2, "{report}");
}

#[tokio::test]
async fn an_outcome_that_is_another_is_told() {
    let mut visits = play().await;
    visits[0].status = 500;
    visits[1].decision = "served here".to_owned();
    visits[2].hops = "seattle > dallas 441 200".to_owned();
    visits[3].page = "somebody else's mail".to_owned();
    let wrong: Vec<usize> = visits.iter().map(|visit| visit.wrong().len()).collect();
    assert_eq!(wrong, [1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    let report = report::write(&visits);
    assert_eq!(report.matches("WRONG: ").count(), 6, "{report}");
    assert!(!report.contains("as it should be"), "{report}");
    assert!(
        report.contains("WRONG: anna /owa/: status is \"500\", expected \"200\""),
        "{report}"
    );
}
