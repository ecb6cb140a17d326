//! Credentials that take a while, and that judge the answer.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use cas_proxy::{
    outbound::credentials::{
        Authentication, Credentials, CredentialsError, Proof, Unauthenticated,
    },
    telemetry::{Event, Outcome},
};
use http::{HeaderValue, Response, header};

use crate::support::*;

/// Shows a number with each request, and wants it back with the answer.
#[derive(Clone, Default)]
struct Numbered(Arc<AtomicUsize>);

impl Credentials for Numbered {
    fn authenticate(&self, _: &mut Unauthenticated<'_>) -> Authentication {
        let number = HeaderValue::from(self.0.fetch_add(1, Ordering::SeqCst));
        Authentication::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            let shown = vec![(header::AUTHORIZATION, number.clone())];
            Ok(Proof::new(shown).checking_answer(move |answer| {
                match answer.get(header::WWW_AUTHENTICATE) {
                    Some(shown) if *shown == number => Ok(()),
                    _ => Err(CredentialsError::new("that is another number")),
                }
            }))
        }))
    }
}

fn numbered(code: u16, number: &'static str) -> Response<String> {
    let mut answer = answer(code, "mail of Dallas");
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(number));
    answer
}

/// What user 2 gets, and what the reason is if it is a refusal.
async fn asking(answers: Vec<Response<String>>) -> (u16, String, Vec<String>) {
    let peer = Peer::answering(answers);
    let layer = first_cas(&peer, &["dallas"]).credentials(Numbered::default());
    // What the client says there has nothing to do with what this CAS says.
    let mut request = get(2, "/owa/");
    let basic = HeaderValue::from_static("Basic YTpi");
    request.headers_mut().insert(header::AUTHORIZATION, basic);
    let answer = through(&layer, request).await;
    assert!(!answer.headers().contains_key(header::WWW_AUTHENTICATE));
    let said = match answer.extensions().get() {
        Some(Outcome::Refused(failure)) => {
            assert_eq!(failure.event(), Some(Event::AuthenticationFailed));
            failure.to_string()
        }
        _ => String::from_utf8(answer.body().to_vec()).unwrap(),
    };
    let shown = |seen: &Seen| {
        assert_eq!(seen.headers.get_all("authorization").iter().count(), 1);
        seen.headers["authorization"].to_str().unwrap().to_owned()
    };
    (
        answer.status().as_u16(),
        said,
        peer.seen().iter().map(shown).collect(),
    )
}

//= src/docs/protocol.md#login-caller
#[tokio::test]
async fn every_request_gets_credentials_of_its_own() {
    let answers = vec![numbered(441, "0"), numbered(241, "1"), numbered(200, "2")];
    let (status, said, shown) = asking(answers).await;
    assert_eq!((status, said.as_str()), (200, "mail of Dallas"));
    assert_eq!(shown, ["0", "1", "2"]);
}

//= src/docs/protocol.md#hop-kerberos
#[tokio::test]
async fn an_answer_that_fails_the_check_is_not_used() {
    for (answers, requests) in [
        (vec![numbered(200, "7")], 1),
        (vec![answer(200, "mail of somebody")], 1),
        (vec![numbered(441, "7")], 1),
        (vec![numbered(441, "0"), numbered(241, "0")], 2),
        (
            vec![numbered(441, "0"), numbered(241, "1"), numbered(200, "1")],
            3,
        ),
    ] {
        let (status, said, shown) = asking(answers).await;
        assert_eq!(status, 502);
        assert!(
            said.contains("dallas") && said.ends_with("that is another number"),
            "{said}"
        );
        assert_eq!(said.matches("another number").count(), 1, "{said}");
        assert_eq!(shown.len(), requests);
    }
}

#[tokio::test]
async fn a_401_is_explained_and_not_checked() {
    for (offered, said_expected) in [
        ("Negotiate", "did not accept this server's credentials"),
        ("NTLM", "offers only NTLM"),
        ("NTLM, Basic realm=\"x\"", "offers only NTLM, Basic"),
        (
            "Basic realm=\"x\"",
            "lacks Integrated Windows authentication",
        ),
        ("", "offers no way to authenticate"),
    ] {
        let (status, said, _) = asking(vec![numbered(401, offered)]).await;
        assert_eq!(status, 502);
        assert!(said.contains(said_expected), "{said}");
    }
}
