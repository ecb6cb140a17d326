use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

fn uri(text: &str) -> Uri {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is no URI"))
}

fn kind(path: &str) -> Result<Kind, BadPath> {
    classify(&Scope::default(), &uri(path)).map(|path| path.kind())
}

#[track_caller]
fn check(expected: Result<Kind, BadPath>, paths: &[&str]) {
    for path in paths {
        assert_eq!(kind(path), expected, "{path}");
    }
}

#[test]
//= src/docs/protocol.md#scope
fn whole_segments_in_any_case_are_ours() {
    let ours = [
        "/owa",
        "/OWA/",
        "/owa?x",
        "/Exchange/anna/Inbox",
        "/exchweb/x",
        "/public/",
        "https://evil/owa/",
        "http://a:b@evil:8080/owa/?x",
        // Servers that merge slashes see `/owa/`.
        "//owa/x",
        "/owa//x//",
    ];
    check(Ok(Kind::Mailbox), &ours);
    let others = [
        "/",
        "/owax",
        "/owa-x/",
        "/owa.x",
        "/x/owa",
        "/ecp/owa/",
        "/x?/owa",
        "//",
        "/owa%",
        "/x/%2e/y",
        "/x/../y",
        "/x%5cy",
        "*",
        "https://owa",
        "https://owa/x",
    ];
    check(Ok(Kind::OutOfScope), &others);
    let connect = Uri::builder().authority("mail:443").build().unwrap();
    assert_eq!(
        classify(&Scope::default(), &connect).unwrap().kind(),
        Kind::OutOfScope
    );
}

#[test]
//= src/docs/protocol.md#scope
fn the_scope_is_settable() {
    let scope = Scope::new(["/webmail"]).unwrap();
    let kind = |path| classify(&scope, &uri(path)).map(|path| (path.kind(), path.is_owa()));
    assert_eq!(kind("/owa/ping.owa"), Ok((Kind::OutOfScope, false)));
    assert_eq!(kind("/WebMail/ping.owa"), Ok((Kind::Ping, false)));
    assert_eq!(kind("/webmail/auth/"), Ok((Kind::Mailbox, false)));
    assert_eq!(kind("/%77ebmail/"), Err(BadPath::Ambiguous));
}

#[test]
//= src/docs/protocol.md#scope
//= src/docs/protocol.md#path-normal
fn a_root_in_disguise_is_refused() {
    let disguised = [
        "/%6fwa/",
        "/owa%2f",
        "/owa%2fx",
        "/owa%252fx",
        "/%2fowa/x",
        "/%2e/owa/",
        "/x/../owa/",
        "/x/%2e%2e/owa",
        "/x/..%2fowa",
        "/x/%252e%252e/exchange/",
        "/x/..;/owa/",
        "/x%5cowa",
        "/;x/owa/",
        "/owa;x/",
        "/owa./",
        "/owa%20/",
        "/owa%00/",
        "/owa%3fx",
        "/owa:80/",
        "/%6fwa%u002f",
        "/owa%u002fx",
        "/%25256fwa/ping.owa",
    ];
    for path in disguised {
        assert!(kind(path).is_err(), "{path}");
    }
}

#[test]
//= src/docs/protocol.md#path-normal
fn paths_that_mean_two_things_are_refused() {
    let rows: [(BadPath, &[&str]); 6] = [
        (
            BadPath::DotSegment,
            &[
                "/owa/.",
                "/owa/..",
                "/owa/../x",
                "/owa/%2e/",
                "/owa/%2E%2e/x",
                "/owa/.%2e/x",
                "/owa/%252e%252E/",
                "/owa/x%2f..%2fy",
                "/owa/..;/x",
                "/owa/%2e%2e;x=1/",
                "/exchange/anna/.../x",
                "/owa/..%20/x",
                "/owa/..%252f",
                "/owa/%25%32e/",
            ],
        ),
        (
            BadPath::Backslash,
            &["/owa/x\\y", "/owa/%5cx", "/owa/%255Cx"],
        ),
        (
            BadPath::Control,
            &[
                "/owa/%00",
                "/owa/x%0d%0ay",
                "/owa/%7f",
                "/owa/%2500",
                "/owa/%1f",
            ],
        ),
        (
            BadPath::NonAscii,
            &[
                "/owa/ä",
                "/owa/%c0%ae%c0%ae/",
                "/owa/%fc",
                "/owa/%e0%80%af",
                "/owa/%c2%85",
                "/owa/%c3",
                "/owa/%c3/%a4",
                "/owa/%ed%a0%80",
                "/owa/%f4%90%80%80",
                "/owa/%25c0%25af",
                "/owa/%25u00e4",
            ],
        ),
        (
            BadPath::Escape,
            &[
                "/owa/%",
                "/owa/%2",
                "/owa/%zz",
                "/owa/100%/x",
                "/owa/%u0041",
            ],
        ),
        (
            BadPath::Ambiguous,
            &[
                "/owa/%61uth/",
                "/owa/auth;x/",
                "/owa/auth./",
                "/owa/auth%2flogon.aspx",
                "/owa/8%2e1.240.5/x",
                "/owa/%2561uth/",
                "/owa/languageselection.aspx:x",
                // The second name to some, the third to others.
                "/owa/;x/auth/logon.aspx",
                "/owa/%3Bx/auth/logon.aspx",
                "/owa/%20/8.1.240.5/x",
                "/owa/x/%253Ax/languageselection.aspx",
                "/owa/%20/auth/logon.aspx",
                "/owa/:/8.1.240.5/x.gif",
                "/owa/%23%40contoso.com/",
                "/owa/;/anna@contoso.com/",
                "/owa/anna@contoso.com/;/languageselection.aspx",
            ],
        ),
    ];
    for (bad, paths) in rows {
        check(Err(bad), paths);
    }
}

#[test]
//= src/docs/protocol.md#path-normal
//= src/docs/protocol.md#copy-path
fn other_bytes_are_left_alone() {
    check(
        Ok(Kind::Mailbox),
        &[
            "/owa/a+b/",
            "/exchange/anna/Entw%C3%BCrfe/%E5%8F%97%E4%BF%A1/",
            "/exchange/anna/Inbox/100%25%20sure.EML",
            "/exchange/anna/Inbox/a%2Fb.EML",
            "/exchange/anna/Inbox/_xF8FF_;x.EML",
            "/exchange/anna/%23x/%3Fx.EML",
            "/owa/x/y/%23z",
            "/exchange/anna/Inbox/%23123%20ticket.EML",
            "/owa/x/y/;z",
            "/exchange/anna/..x/x../.x",
            "/owa/x%252525",
            "/owa/%25252e%25252e/",
            "/owa/?a=/../%00\\",
            "/owa/ev.owa",
        ],
    );
}

#[test]
//= src/docs/protocol.md#static-local
fn what_every_server_has_stays_here() {
    check(
        Ok(Kind::StaticLocal),
        &[
            "/owa/auth",
            "/owa/auth/logon.aspx?url=x",
            "/OWA/Auth/x/y.gif",
            "/owa/languageselection.aspx",
            "/owa/LanguageSelection.aspx?x",
            "/owa/anna@contoso.com/languageselection.aspx",
            "/owa/anna%40contoso.com/languageselection.aspx",
            "/owa/8.1/x.gif",
            "/owa/8.1.240/x.gif",
            "/owa/8.1.240.5/themes/base/x.gif",
            "//owa//auth/",
        ],
    );
    check(
        Ok(Kind::Mailbox),
        &[
            "/owa/authx/",
            "/owa/x/auth/",
            "/exchange/auth/",
            "/owa/8/x",
            "/owa/8.1.240.5.1/x",
            "/owa/8..1/x",
            "/owa/v8.1/x",
            "/owa/x/y/languageselection.aspx",
            "/exchange/languageselection.aspx",
        ],
    );
}

#[test]
//= src/docs/protocol.md#path-normal
//= src/docs/protocol.md#login-caller
fn internal_names_are_known_however_spelled() {
    check(
        Ok(Kind::ProxyLogon),
        &[
            "/owa/proxyLogon.owa",
            "/OWA/PROXYLOGON.OWA",
            "/owa/anna@contoso.com/proxyLogon.owa",
            "/owa/anna%40contoso.com/proxy%4Cogon.owa",
            "/exchange/proxyLogon.owa",
            "/owa//proxyLogon.owa",
            "/owa/proxyLogon.owa/",
            "/owa/proxyLogon.owa/x",
            "/owa/x/y/proxyLogon.owa",
            "/owa/proxyLogon.owa;x=1",
            "/owa/proxyLogon.owa.",
            "/owa/proxyLogon.owa%20",
            "/owa/proxyLogon.owa::$DATA",
            "/owa/proxyLogon%2eowa",
            "/owa/proxyLogon%252eowa",
            "/owa/x%2fproxyLogon.owa",
            "/owa/x%252fproxyLogon.owa",
            "/owa/%25252570roxyLogon.owa",
            "/owa/auth/proxyLogon.owa",
            "https://evil/owa/proxyLogon.owa?x",
        ],
    );
    check(
        Ok(Kind::Ping),
        &[
            "/owa/ping.owa",
            "/public/Ping.owa",
            "/owa/ping.owa%3fx",
            "/owa/p%2569ng.owa",
        ],
    );
    check(
        Ok(Kind::Mailbox),
        &[
            "/owa/xping.owa",
            "/owa/ping.owax",
            "/owa/ping",
            "/owa/?ping.owa",
            "/owa/pingowa",
        ],
    );
    check(Ok(Kind::OutOfScope), &["/ping.owa", "/ecp/proxyLogon.owa"]);
    for path in [
        "/owa%2fproxyLogon.owa",
        "/owa%u002fping.owa",
        "/owa/proxyLogon%u002eowa",
        "/owa/ping.owa%00.gif",
    ] {
        assert!(kind(path).is_err(), "{path}");
    }
    let padded = format!("/owa/ping.owa{}", ".".repeat(200));
    check(Ok(Kind::Ping), &[&padded]);
    check(Ok(Kind::Mailbox), &[&format!("{padded}x")]);
}

#[test]
//= src/docs/protocol.md#decide-explicit-logon
fn a_segment_with_an_at_sign_names_the_mailbox() {
    let explicit = |path: &str| {
        let uri = uri(path);
        classify(&Scope::default(), &uri).map(|path| {
            let address = path.explicit_logon()?.to_string();
            Some((path.explicit_segment()?.to_owned(), address))
        })
    };
    for (path, segment, address) in [
        (
            "/owa/anna@contoso.com",
            "anna@contoso.com",
            "anna@contoso.com",
        ),
        (
            "/owa/anna%40contoso.com/?x",
            "anna%40contoso.com",
            "anna@contoso.com",
        ),
        (
            "//owa//Anna@contoso.com/x",
            "Anna@contoso.com",
            "Anna@contoso.com",
        ),
        (
            "/owa/a+b@contoso.com/ping.owa",
            "a+b@contoso.com",
            "a+b@contoso.com",
        ),
        (
            "/owa/anna@contoso.com/x%252525",
            "anna@contoso.com",
            "anna@contoso.com",
        ),
    ] {
        assert_eq!(
            explicit(path),
            Ok(Some((segment.into(), address.into()))),
            "{path}"
        );
    }
    for path in [
        "/owa/",
        "/owa/x/anna@contoso.com",
        "/exchange/anna@contoso.com/",
        "/x/a@b",
        "/owa?a@b",
        "/owa/%2540",
    ] {
        assert!(!matches!(explicit(path), Ok(Some(_))), "{path}");
    }
    let long = format!("/owa/{}@contoso.com/", "a".repeat(300));
    assert!(matches!(explicit(&long), Ok(Some(_))));
    check(
        Ok(Kind::StaticLocal),
        &[&format!("/owa/8.{}", "1".repeat(99))],
    );
    for path in [
        "/owa/@/",
        "/owa/anna@contoso.com%2fx/",
        "/owa/%2f/anna@contoso.com/",
        "/owa/anna@/",
        "/owa/a@b@c/",
        "/owa/an%20na@contoso.com/",
        "/owa/%253Cx@contoso.com/",
        "/owa/a%2540b@contoso.com/",
    ] {
        assert_eq!(explicit(path), Err(BadPath::ExplicitLogon), "{path}");
    }
    for path in [
        "/owa/anna%2540contoso.com/",
        "/owa/;x/anna@contoso.com/",
        "/owa/anna@contoso.com;x/",
        "/owa/anna@contoso.com:x/",
        "/owa/anna%40contoso.com./",
        "/owa/x;@/",
        "/owa/an%2fna@contoso.com/",
        "/owa/;x/anna@contoso.com/",
        "/owa/:anna@contoso.com/bob@contoso.com/",
        "/owa/%3Banna@contoso.com/bob@contoso.com/",
    ] {
        assert_eq!(explicit(path), Err(BadPath::Ambiguous), "{path}");
    }
}

#[test]
//= src/docs/protocol.md#header-webpart
fn a_web_part_says_so_in_its_query() {
    for (path, expected) in [
        ("/owa/?cmd=contents", true),
        ("/owa/?CMD=Contents&f=inbox", true),
        ("/owa/?f=inbox&cmd=contents", true),
        ("/owa/?%63md=content%73", true),
        ("/owa/", false),
        ("/owa/?", false),
        ("/owa/?cmd=contentsx", false),
        ("/owa/?xcmd=contents", false),
        ("/owa/?cmd", false),
        ("/owa/cmd=contents", false),
        ("/owa/?q=cmd=contents", false),
    ] {
        let uri = uri(path);
        assert_eq!(
            classify(&Scope::default(), &uri).unwrap().is_web_part(),
            expected,
            "{path}"
        );
    }
}

#[test]
//= src/docs/protocol.md#login-request
//= src/docs/protocol.md#ping-request
//= src/docs/protocol.md#status-442
fn paths_of_our_own_requests() {
    let internal: InternalUrl = "https://dallas/OWA/".parse().unwrap();
    let explicit = Some("anna%40contoso.com");
    assert_eq!(login_path(&internal, None).unwrap(), "/OWA/proxyLogon.owa");
    assert_eq!(
        login_path(&internal, explicit).unwrap(),
        "/OWA/anna%40contoso.com/proxyLogon.owa"
    );
    assert_eq!(ping_path(&internal, None).unwrap(), "/OWA/ping.owa");
    assert_eq!(
        ping_path(&internal, explicit).unwrap(),
        "/OWA/anna%40contoso.com/ping.owa"
    );
    assert_eq!(language_path(None).unwrap(), "/owa/languageselection.aspx");
    assert_eq!(
        language_path(explicit).unwrap(),
        "/owa/anna%40contoso.com/languageselection.aspx"
    );
    for segment in [
        "", "anna", "..", "a/@", "a@b?x", "a@b#x", "\\@", "a@b\n", "a @b",
    ] {
        assert_eq!(
            login_path(&internal, Some(segment)),
            Err(BadPath::ExplicitLogon),
            "{segment:?}"
        );
        assert_eq!(
            language_path(Some(segment)),
            Err(BadPath::ExplicitLogon),
            "{segment:?}"
        );
    }
}

#[test]
//= src/docs/protocol.md#static-local
//= src/docs/protocol.md#status-442
fn the_language_page_cannot_loop() {
    for segment in [None, Some("anna@contoso.com"), Some("a%40b")] {
        let path = language_path(segment).unwrap();
        check(Ok(Kind::StaticLocal), &[path.to_str().unwrap()]);
    }
}

#[test]
//= src/docs/protocol.md#decide-legacy
//= src/docs/protocol.md#copy-path
fn only_the_root_changes_for_a_back_end() {
    for (target, expected) in [
        ("/owa", "/exchange"),
        ("/OWA/", "/exchange/"),
        ("/owa?cmd=/owa", "/exchange?cmd=/owa"),
        ("/owa/owa/%2F+%20@/?x=%", "/exchange/owa/%2F+%20@/?x=%"),
        ("//owa/x", "//exchange/x"),
        ("/owax", "/owax"),
        ("/Exchange/anna", "/Exchange/anna"),
        ("/public/owa", "/public/owa"),
        ("/", "/"),
        ("*", "*"),
    ] {
        let target: PathAndQuery = target.parse().unwrap();
        assert_eq!(to_back_end_path(&target).unwrap(), expected);
    }
    let long: PathAndQuery = format!("/owa/{}", "x".repeat(65_525)).parse().unwrap();
    assert_eq!(to_back_end_path(&long), Err(BadPath::TooLong));
}

/// Paths glued together from what attacks are made of.
fn tricky_path() -> impl Strategy<Value = String> {
    let parts = select(vec![
        "/",
        "/owa",
        "/OWA/",
        "/exchange/",
        "owa",
        "proxyLogon.owa",
        "PING.owa",
        "ping",
        ".owa",
        ".",
        "..",
        "%2e",
        "%252e",
        "%2f",
        "%252F",
        "%5c",
        "\\",
        ";",
        ";x=1",
        ":",
        "%00",
        "%20",
        "%70",
        "%2570",
        "%",
        "%25",
        "25",
        "2e",
        "a@b",
        "%40",
        "auth",
        "/auth/",
        "8.1.240.5",
        "languageselection.aspx",
        "%3f",
        "%23",
        "%u002f",
        "x",
        "ä",
        "%c0%ae",
    ]);
    vec(parts, 0..10).prop_map(|parts| format!("/{}", parts.concat()))
}

fn classified(path: &str) -> Option<Result<Kind, BadPath>> {
    let uri: Uri = path.parse().ok()?;
    Some(classify(&Scope::default(), &uri).map(|path| path.kind()))
}

fn decoded(path: &str) -> String {
    String::from_utf8_lossy(&decode(path.as_bytes())).into_owned()
}

/// Escapes the letters of `path` in as many layers as the dice say.
fn escape(path: &str, dice: &[u8]) -> String {
    let layers = |(at, byte): (usize, u8)| match dice.get(at).copied().unwrap_or(0) {
        0 => char::from(byte).to_string(),
        layers => format!("%{}{byte:02x}", "25".repeat(usize::from(layers) - 1)),
    };
    path.bytes().enumerate().map(layers).collect()
}

/// The names that the most liberal server imaginable sees in a path that it decodes `times` times.
fn names_to_a_liberal_reader(path: &str, times: usize) -> Vec<String> {
    let form = (0..times)
        .fold(path.to_owned(), |form, _| decoded(&form))
        .to_ascii_lowercase();
    let mut names = Vec::new();
    for segment in form.split(['/', '\\']) {
        let name = segment
            .split([';', ':', '?', '#', '\0'])
            .next()
            .unwrap_or_default();
        match name.trim_end_matches(' ') {
            ".." => drop(names.pop()),
            name => match name.trim_end_matches(['.', ' ']) {
                "" => {}
                name => names.push(name.to_owned()),
            },
        }
    }
    names
}

fn is_internal(names: &[String]) -> bool {
    let is_internal = |name: &String| matches!(name.as_str(), "ping.owa" | "proxylogon.owa");
    names
        .first()
        .is_some_and(|root| Scope::default().contains_root(root))
        && names.iter().skip(1).any(is_internal)
}

fn is_internal_or_refused(verdict: Result<Kind, BadPath>) -> bool {
    matches!(verdict, Ok(Kind::ProxyLogon | Kind::Ping) | Err(_))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    //= src/docs/protocol.md#path-normal
    fn no_server_sees_an_internal_name_that_we_did_not(path in tricky_path()) {
        if let Some(verdict) = classified(&path) {
            for times in 0..=2 {
                if is_internal(&names_to_a_liberal_reader(&path, times)) {
                    prop_assert!(is_internal_or_refused(verdict), "{}: {:?}", path, verdict);
                }
            }
        }
    }

    #[test]
    //= src/docs/protocol.md#path-normal
    fn decoding_brings_no_internal_name_to_light(path in tricky_path(), dice in vec(0..3_u8, 0..40)) {
        let path = escape(&path, &dice).replacen("%2f", "/", 1);
        if let (Some(verdict), Some(of_decoded)) = (classified(&path), classified(&decoded(&path)))
            && matches!(of_decoded, Ok(Kind::ProxyLogon | Kind::Ping))
        {
            prop_assert!(is_internal_or_refused(verdict), "{}: {:?}", path, verdict);
        }
    }

    #[test]
    //= src/docs/protocol.md#path-normal
    //= src/docs/protocol.md#login-caller
    fn layers_of_escapes_hide_nothing(
        name in select(vec!["proxyLogon.owa", "ping.OWA", "anna@contoso.com/ping.owa"]),
        dice in vec(0..6_u8, 0..30),
    ) {
        let path = format!("/owa/{}", escape(name, &dice));
        prop_assert!(is_internal_or_refused(kind(&path)), "{}", path);
    }

    #[test]
    //= src/docs/protocol.md#path-normal
    //= src/docs/protocol.md#static-local
    fn what_passes_means_one_thing(path in tricky_path()) {
        if let Some(Ok(Kind::Mailbox | Kind::StaticLocal)) = classified(&path) {
            let mut form = path.split('?').next().unwrap().to_owned();
            for _ in 0..=2 {
                prop_assert!(form.split('/').all(|segment| !matches!(segment, "." | "..")), "{}", path);
                prop_assert!(!form.contains(|c: char| c == '\\' || c.is_control()), "{}", path);
                form = decoded(&form);
            }
        }
    }

    #[test]
    //= src/docs/protocol.md#decide-explicit-logon
    fn every_server_sees_the_same_mailbox(path in tricky_path()) {
        if let Ok(uri) = path.parse::<Uri>()
            && let Ok(verdict) = classify(&Scope::default(), &uri)
        {
            for times in 1..=2 {
                let names = names_to_a_liberal_reader(uri.path(), times);
                let user = names.get(1).filter(|user| names[0] == "owa" && user.contains('@'));
                let explicit = verdict.explicit_logon().map(|address| address.to_string().to_ascii_lowercase());
                prop_assert_eq!(explicit.as_ref(), user, "{}", path);
            }
        }
    }

    /// Most servers cut nothing from a name. What they find is what those find who do.
    #[test]
    //= src/docs/protocol.md#static-local
    //= src/docs/protocol.md#decide-explicit-logon
    fn a_literal_server_sees_the_same_places(path in tricky_path()) {
        if let Ok(uri) = path.parse::<Uri>()
            && let Ok(verdict) = classify(&Scope::default(), &uri)
        {
            for times in 0..=2 {
                let form = (0..times).fold(uri.path().to_owned(), |form, _| decoded(&form)).to_ascii_lowercase();
                let names: Vec<_> = form.split('/').filter(|name| !name.is_empty()).collect();
                let at = |place: usize| names.get(place).copied().unwrap_or_default();
                if verdict.kind() == Kind::StaticLocal {
                    let is_version = at(1).split('.').all(|number| number.parse::<u64>().is_ok());
                    let is_language = [at(1), at(2)].contains(&"languageselection.aspx");
                    prop_assert!(at(1) == "auth" || is_version || is_language, "{}", path);
                }
                if times > 0 && at(0) == "owa" {
                    let explicit = verdict.explicit_logon().map(|address| address.to_string().to_ascii_lowercase());
                    let user = Some(at(1)).filter(|user| user.contains('@')).map(str::to_owned);
                    prop_assert_eq!(explicit, user, "{}", path);
                }
            }
        }
    }

    #[test]
    //= src/docs/protocol.md#copy-path
    fn any_uri_is_classified(text in "[/?%a-zA-Z0-9.;@:\\\\é\u{0}-\u{7f}]{0,60}") {
        if let Ok(uri) = text.parse::<Uri>() {
            let scope = Scope::default();
            let ours = uri.path().split('/').find(|segment| !segment.is_empty()).is_some_and(|root| scope.contains_root(root));
            if let Ok(path) = classify(&scope, &uri) {
                prop_assert_eq!(path.kind() != Kind::OutOfScope, ours);
            }
            if let Some(target) = uri.path_and_query() {
                prop_assert!(to_back_end_path(target).is_ok());
            }
        }
    }
}
