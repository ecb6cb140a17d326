//! Every outcome of the decision, from what a real directory says; `through_the_layer` has them as users see them.

use std::time::Duration;

use cas_proxy::{
    decision::{Decision, Here, Policy, Question, decide},
    directory::{MailboxKey, SiteName, TopologySource},
    lookup::{Answer, Cached, MailboxLookup, active_directory::DirectoryErrorKind},
};

use super::{Administrator, BASE, address, database, here, kind, samba, sid_of};

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#decide-lookup
//= src/docs/protocol.md#decide-local
//= src/docs/protocol.md#decide-proxy
//= src/docs/protocol.md#decide-redirect
//= src/docs/protocol.md#decide-legacy
//= src/docs/protocol.md#decide-none-responding
//= src/docs/protocol.md#decide-none-configured
//= src/docs/protocol.md#decide-no-mailbox
async fn every_outcome_comes_from_real_data() {
    let directory = samba().await;
    let topology = directory.topology();
    let seattle = SiteName::new("Seattle").unwrap();
    let here = Here::new(here(), seattle, "8.1.240.6".parse().unwrap());
    for (user, expected) in [
        ("anna", "served here"),
        ("bert", "proxied to DAL-CAS-01, DAL-CAS-02"),
        (
            "clara",
            "redirected to https://mail.london.fourthcoffee.test/owa",
        ),
        ("dora", "sent to http://old-mbx-03.fourthcoffee.test"),
        ("emil", "refused: NotResponding"),
        ("finn", "refused: NotConfigured"),
        ("gus", "refused: NoMailbox"),
        ("hana", "proxied to DAL-CAS-01, DAL-CAS-02"),
    ] {
        let key = match user {
            // Whose account is in another forest.
            "hana" => {
                let sid = "S-1-5-21-1111111111-2222222222-333333333-1107";
                MailboxKey::Sid(sid.parse().unwrap())
            }
            user => sid_of(&directory, user).await,
        };
        let mailbox = match directory.locate(key).await.unwrap() {
            Answer::Found(mailbox) => Some(mailbox),
            Answer::NotFound => None,
            Answer::Ambiguous => panic!("{user}"),
        };
        let question = Question::about(mailbox.as_deref());
        let decision = match decide(&here, &Policy::default(), &topology, &question) {
            Decision::ServeLocally => "served here".to_owned(),
            Decision::Redirect { url, .. } => format!("redirected to {}", url.as_str()),
            Decision::ProxyToBackEnd(back_end) => format!("sent to {}", back_end.url().origin()),
            Decision::Refuse(why) => format!("refused: {why:?}"),
            Decision::Proxy(candidates) => {
                let names: Vec<&str> = candidates.iter().map(|cas| cas.name().as_str()).collect();
                format!("proxied to {}", names.join(", "))
            }
        };
        assert_eq!(decision, expected, "{user}");
        // The address leads to the same place as the user.
        let by_address = directory.locate(address(&format!("{user}@fourthcoffee.test")));
        let expected = mailbox.map_or(Answer::NotFound, Answer::Found);
        assert_eq!(by_address.await.unwrap(), expected, "{user}");
    }
}

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#decide-lookup
async fn found_not_found_ambiguous_and_unknown_are_four_things() {
    let directory = samba().await;
    for (text, expected) in [
        ("bertram@fourthcoffee.test", "DAL-MBX-01"),
        ("BERTRAM@FourthCoffee.TEST", "DAL-MBX-01"),
        ("info@fourthcoffee.test", "ambiguous"),
        ("nobody@fourthcoffee.test", "not found"),
        ("jan@fourthcoffee.test", "UnknownServer"),
        // Neither wildcards nor operators of a filter.
        ("*@fourthcoffee.test", "not found"),
        ("bert*@fourthcoffee.test", "not found"),
        ("bert@fourthcoffee.test)(cn=*", "not found"),
        ("x@fourthcoffee.test)(|(cn=*", "not found"),
        ("!(cn=x)@fourthcoffee.test", "not found"),
    ] {
        let found = match directory.locate(address(text)).await {
            Ok(Answer::Found(mailbox)) => mailbox.server().to_string(),
            Ok(Answer::NotFound) => "not found".to_owned(),
            Ok(Answer::Ambiguous) => "ambiguous".to_owned(),
            Err(error) => format!("{:?}", kind(&error)),
        };
        assert_eq!(found, expected, "{text}");
    }
    for sid in ["S-1-5-18", "S-1-5-10", "S-1-5-21-1-2-3-9999"] {
        let key = MailboxKey::Sid(sid.parse().unwrap());
        assert_eq!(
            directory.locate(key).await.unwrap(),
            Answer::NotFound,
            "{sid}"
        );
    }
    // That the server is unknown is asked for again, but not for everybody who is on it.
    let age = directory.topology_age().age;
    let error = directory
        .locate(address("jan@fourthcoffee.test"))
        .await
        .unwrap_err();
    assert_eq!(kind(&error), DirectoryErrorKind::UnknownServer);
    assert!(directory.topology_age().age >= age);
}

#[tokio::test]
#[ignore = "needs samba"]
async fn a_mailbox_that_moves_is_found_after_invalidation_and_after_its_time() {
    let mut administrator = Administrator::sign_in().await;
    let mia = format!("CN=mia,CN=Users,{BASE}");
    administrator
        .replace(&mia, "homeMDB", &database("SEA-MBX-01"))
        .await;
    let directory = samba().await;
    let cached = Cached::builder(directory.clone())
        .time_to_live(Duration::from_secs(60))
        .build();
    let key = sid_of(&directory, "mia").await;
    let server = async || match cached.locate(key.clone()).await.unwrap() {
        Answer::Found(mailbox) => mailbox.server().to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(server().await, "SEA-MBX-01");

    // The legacy name of the server stays behind, as it does while a mailbox moves.
    administrator
        .replace(&mia, "homeMDB", &database("DAL-MBX-01"))
        .await;
    assert_eq!(server().await, "SEA-MBX-01", "remembered");
    cached.invalidate(&key);
    assert_eq!(server().await, "DAL-MBX-01");

    administrator
        .replace(&mia, "homeMDB", &database("SEA-MBX-01"))
        .await;
    assert_eq!(server().await, "DAL-MBX-01", "remembered");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(67)).await;
    tokio::time::resume();
    assert_eq!(server().await, "SEA-MBX-01");
}

#[tokio::test]
#[ignore = "needs samba"]
//= src/docs/protocol.md#decide-lookup
async fn a_mailbox_of_ones_own_comes_before_one_that_is_linked() {
    let mut administrator = Administrator::sign_in().await;
    let directory = samba().await;
    let sales = format!("CN=sales,CN=Users,{BASE}");
    for (user, expected) in [("ivan", "SEA-MBX-01"), ("nils", "LON-MBX-01")] {
        let key = sid_of(&directory, user).await;
        let MailboxKey::Sid(sid) = &key else {
            panic!("{key:?}")
        };
        administrator
            .replace(&sales, "msExchMasterAccountSid", &sid.to_string())
            .await;
        let found = directory.locate(key).await.unwrap();
        assert!(
            matches!(&found, Answer::Found(mailbox) if mailbox.server().as_str() == expected),
            "{user}: {found:?}"
        );
    }
}
