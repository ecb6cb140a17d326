//! What holds of every decision, whatever the directory says.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::{CrossSiteRedirect, Decision, Policy, scene::*};
use crate::directory::AuthenticationMethods;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Total: any arguments give an answer. And explaining is deciding.
    #[test]
    fn a_decision_is_made_and_explained(scene in scene()) {
        let (explained, why) = scene.explain();
        prop_assert_eq!(explained, scene.decide());
        let so = format!("so: {explained}");
        prop_assert!(why.to_string().ends_with(&so), "{}", why);
    }

    #[test]
    //= src/docs/protocol.md#decide-one-hop
    fn what_came_from_a_cas_never_leaves(scene in scene()) {
        let stays = matches!(scene.decide(), Decision::ServeLocally | Decision::Refuse(_));
        prop_assert!(stays || !scene.asked.from_cas);
    }

    #[test]
    //= src/docs/protocol.md#decide-proxy
    fn candidates_are_fit_and_of_the_mailboxs_site(scene in scene()) {
        let Decision::Proxy(candidates) = scene.decide() else { return Ok(()) };
        prop_assert!(candidates.len() > 0);
        prop_assert_eq!(candidates.len(), candidates.iter().count());
        let site = scene.mailbox.as_ref().unwrap().site().unwrap();
        prop_assert_ne!(site, &scene.here.site);
        for server in candidates.iter() {
            prop_assert_eq!(server.site(), site);
            prop_assert_ne!(server.name(), &scene.here.name);
            prop_assert!(server.version() <= scene.here.version);
            let methods = server.owa().internal_authentication;
            prop_assert!(methods.contains(AuthenticationMethods::WINDOWS_INTEGRATED));
            let origin = server.owa().proxy_target().unwrap().origin();
            prop_assert!(origin.is_https() || scene.asked.policy.allow_proxying_without_ssl);
            prop_assert!(scene.topology.contains_origin(origin));
            let own = scene.topology.client_access_server(&scene.here.name);
            prop_assert!(!own.is_some_and(|own| own.answers_at(origin)));
        }
    }

    #[test]
    //= src/docs/protocol.md#decide-redirect
    fn a_redirect_leads_to_the_mailboxs_site_and_elsewhere_than_here(scene in scene()) {
        let Decision::Redirect { url, silent } = scene.decide() else { return Ok(()) };
        prop_assert!(!scene.asked.client_host.iter().any(|host| url.same_host(host)));
        prop_assert_ne!(scene.asked.policy.redirect, CrossSiteRedirect::Never);
        prop_assert_eq!(silent, scene.asked.policy.redirect == CrossSiteRedirect::Silent);
        let site = scene.mailbox.as_ref().unwrap().site().unwrap();
        let mut targets = scene.topology.servers_in(site).iter().map(|cas| cas.owa().redirect_target());
        prop_assert!(targets.any(|target| target == Some(url)));
    }

    #[test]
    //= src/docs/protocol.md#decide-legacy
    fn back_ends_serve_2003_mailboxes_and_nothing_else_does(scene in scene()) {
        let legacy = scene.mailbox.as_ref().is_some_and(|mailbox| mailbox.version().is_legacy());
        match scene.decide() {
            Decision::ProxyToBackEnd(server) => {
                prop_assert!(legacy && server.integrated_windows_authentication());
                prop_assert_eq!(server.name(), scene.mailbox.as_ref().unwrap().server());
                prop_assert!(scene.asked.policy.owa_to_back_end || !scene.asked.owa_path);
            }
            Decision::Refuse(_) => {}
            _ => prop_assert!(!legacy),
        }
    }
}

fn scene() -> impl Strategy<Value = Scene> {
    (
        asked(),
        vec(server(), 0..6),
        option::of(back_end_of_any_kind()),
    )
        .prop_map(|(asked, servers, back_end)| {
            let numbered = (0..).zip(servers);
            let servers = numbered.fold(no_cas(), |all, (number, server)| {
                all + server.named(&format!("cas-{number}"))
            });
            asked.among(match back_end {
                Some(back_end) => servers + back_end,
                None => servers,
            })
        })
}

fn asked() -> impl Strategy<Value = Asked> {
    let of = prop_oneof![
        1 => Just(no_mailbox()),
        1 => version().prop_map(|version| mailbox_of_unknown_site().on(version)),
        8 => (site(), version()).prop_map(|(site, version)| mailbox(site).on(version)),
    ];
    let hosts = select(vec![
        "mail",
        "MAIL:443",
        "mail-dallas",
        "seattle",
        "[::1]:0",
        "",
        ":",
    ]);
    let flags = (
        prop::bool::weighted(0.2),
        any::<bool>(),
        prop::bool::weighted(0.9),
    );
    (of, option::of(hosts), flags, policy()).prop_map(
        |(mut asked, host, (from_cas, owa_path, listed), policy)| {
            asked.client_host = host.map(String::from);
            asked.from_cas = from_cas;
            asked.owa_path = owa_path;
            asked.listed = listed;
            asked.under(policy)
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let redirect = select(vec![
        CrossSiteRedirect::Manual,
        CrossSiteRedirect::Silent,
        CrossSiteRedirect::Never,
    ]);
    (any::<bool>(), redirect, any::<bool>()).prop_map(
        |(allow_proxying_without_ssl, redirect, owa_to_back_end)| Policy {
            allow_proxying_without_ssl,
            redirect,
            owa_to_back_end,
        },
    )
}

fn server() -> impl Strategy<Value = Cas> {
    let url = || {
        option::of(prop_oneof![
            4 => any::<Index>().prop_map(|index| index.get(URLS).to_string()),
            1 => ".*",
        ])
    };
    (site(), version(), url(), url(), any::<bool>()).prop_map(
        |(site, version, internal, external, integrated)| {
            let mut server = cas(site).version(version);
            if let Some(url) = &internal {
                server = server.internal_url_is(url);
            }
            if let Some(url) = &external {
                server = server.external_url_is(url);
            }
            if integrated {
                server
            } else {
                server.without_integrated()
            }
        },
    )
}

fn back_end_of_any_kind() -> impl Strategy<Value = Servers> {
    prop_oneof![
        Just(back_end()),
        Just(back_end_without_integrated()),
        Just(back_end_at("https://seattle")),
    ]
}

fn site() -> impl Strategy<Value = &'static str> {
    select(vec!["Seattle", "Dallas", "DALLAS", "Denver"])
}

fn version() -> impl Strategy<Value = &'static str> {
    select(vec![EXCHANGE_2003, EXCHANGE_2007, NEWER, "8.0.685.24"])
}

const URLS: &[&str] = &[
    "https://dallas/owa",
    "http://dallas/owa",
    "https://denver:8443/OWA/",
    "https://mail-dallas/owa",
    "https://mail/owa",
    "https://seattle/owa",
    "https://10.0.0.1/owa",
    "https://dallas/exchange",
    "https://u:p@dallas/owa",
];
