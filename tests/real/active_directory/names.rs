//! From names to users and their groups.

use cas_proxy::{
    csc::{ClientSecurityContext, GroupAttributes, Sid},
    lookup::{
        Answer,
        active_directory::{AuthenticatedName, Identity},
    },
};

use super::{Administrator, PASSWORD, name, samba};

#[tokio::test]
#[ignore = "needs samba"]
async fn a_name_becomes_a_user_with_nested_groups() {
    let directory = samba().await;
    let mut administrator = Administrator::sign_in().await;
    let mut users: Vec<ClientSecurityContext> = Vec::new();
    for text in [
        "bert@fourthcoffee.test",
        "BERT@FOURTHCOFFEE.TEST",
        r"FOURTHCOFFEE\bert",
        r"fourthcoffee.test\Bert",
    ] {
        match directory.identify(&name(text)).await.unwrap() {
            Identity::Known(context) => users.push(context),
            other => panic!("{text}: {other:?}"),
        }
        let found = directory.locate_by_name(&name(text)).await.unwrap();
        assert!(
            matches!(&found, Answer::Found(mailbox) if mailbox.server().as_str() == "DAL-MBX-01"),
            "{text}: {found:?}"
        );
    }
    let bert = &users[0];
    assert!(users.iter().all(|user| user.groups() == bert.groups()));
    assert!(users.iter().all(|user| user.user() == bert.user()));
    assert_eq!(users[2].logon_name(), r"FOURTHCOFFEE\bert");

    let groups: Vec<Sid> = bert.groups().iter().map(|group| group.sid).collect();
    for group in ["Baristas", "Kitchen", "Coffee Staff", "Domain Users"] {
        assert!(
            groups.contains(&administrator.group(group).await),
            "{group}"
        );
    }
    for everyones in ["S-1-1-0", "S-1-5-2", "S-1-5-11", "S-1-5-15"] {
        assert!(groups.contains(&everyones.parse().unwrap()), "{everyones}");
    }
    assert!(!groups.contains(&administrator.group("Domain Admins").await));
    let enabled = |attributes| attributes == GroupAttributes::ENABLED_GROUP;
    assert!(bert.groups().iter().all(|group| enabled(group.attributes)));
}

#[tokio::test]
#[ignore = "needs samba"]
async fn a_password_signs_in_its_user_and_nobody_else() {
    let directory = samba().await;
    let bert = directory.identify(&name(r"FOURTHCOFFEE\bert")).await;
    for (text, password, known) in [
        ("bert@fourthcoffee.test", PASSWORD, true),
        (r"FOURTHCOFFEE\bert", PASSWORD, true),
        ("o'hara (1)*@fourthcoffee.test", PASSWORD, true),
        ("bert@fourthcoffee.test", "passw0rd!", false),
        ("bert@fourthcoffee.test", "Passw0rd!\0", false),
        // A bind without a password would pass.
        ("bert@fourthcoffee.test", "", false),
        // A domain controller hangs up on such a bind.
        ("bert@fourthcoffee.test", &"x".repeat(260_000), false),
        ("nobody@fourthcoffee.test", PASSWORD, false),
        // Names that a domain controller takes for a bind, and that are none here.
        ("CN=bert,CN=Users,DC=fourthcoffee,DC=test", PASSWORD, false),
        ("bert", PASSWORD, false),
        ("*@fourthcoffee.test", PASSWORD, false),
        // Disabled, and a machine.
        ("hana@fourthcoffee.test", PASSWORD, false),
        (r"FOURTHCOFFEE\SEA-CAS-01$", PASSWORD, false),
    ] {
        let found = directory.sign_in(text, password).await.unwrap();
        let shown: String = password.chars().take(20).collect();
        assert_eq!(
            matches!(found, Identity::Known(_)),
            known,
            "{text} {shown:?}"
        );
        if text == r"FOURTHCOFFEE\bert" {
            assert_eq!(&found, bert.as_ref().unwrap());
        }
    }
}

#[tokio::test]
#[ignore = "needs samba"]
async fn a_name_is_never_more_than_a_name() {
    let directory = samba().await;
    for (text, known) in [
        // By principal name, and by account name as Kerberos has it.
        ("o'hara (1)*@fourthcoffee.test", true),
        ("ohara1@fourthcoffee.test", true),
        (r"FOURTHCOFFEE\ohara1", true),
        // No principal is called so, and no account.
        (r"FOURTHCOFFEE\o'hara (1)*", false),
        ("*@fourthcoffee.test", false),
        ("b*@fourthcoffee.test", false),
        (r"FOURTHCOFFEE\*", false),
        (r"FOURTHCOFFEE\bert)(cn=*", false),
        (r"*\bert", false),
        ("bert)(objectClass=*@fourthcoffee.test", false),
        ("bert@fourthcoffee.test)(&(cn=*)", false),
        (r"CONTOSO\bert", false),
        ("bert@contoso.com", false),
        // A machine is no user, and neither is an account that is disabled.
        (r"FOURTHCOFFEE\DC1$", false),
        ("hana@fourthcoffee.test", false),
        (r"FOURTHCOFFEE\krbtgt", false),
        (r"FOURTHCOFFEE\Domain Users", false),
    ] {
        let text = AuthenticatedName::new("Basic", text);
        let found = directory.identify(&text.clone().unwrap()).await;
        let is_known = matches!(&found, Ok(Identity::Known(_)));
        assert_eq!(is_known, known, "{found:?}");
        assert!(
            is_known || matches!(found, Ok(Identity::Unknown)),
            "{found:?}"
        );
    }
}
