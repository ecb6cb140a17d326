use http::header::{COOKIE, HOST, VIA};
use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::wire::connection::names_in;

type Lines = [(&'static str, &'static str)];

fn headers(lines: &Lines) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(name.parse::<HeaderName>().unwrap(), value);
    }
    headers
}

fn via() -> Via {
    Via::new("cas").unwrap()
}

fn prepare(
    version: Version,
    headers: &mut HeaderMap,
    trusted: bool,
) -> Result<Prepared, BadRequest> {
    let client = Client {
        peer: Some("192.0.2.1:4711".parse().unwrap()),
        https: true,
        trusted,
    };
    prepare_request(
        &Method::POST,
        &Uri::from_static("/owa/"),
        version,
        headers,
        &via(),
        &client,
    )
}

/// What is left of a request's own headers, its host given and our account of the client taken away.
fn sent_on(lines: &Lines) -> Result<(HeaderMap, Prepared), BadRequest> {
    let mut headers = headers(lines);
    headers.insert(HOST, HeaderValue::from_static("mail"));
    let prepared = prepare(Version::HTTP_11, &mut headers, false)?;
    for (name, expected) in [
        ("via", "1.1 cas"),
        ("forwarded", "for=192.0.2.1;host=mail;proto=https"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "mail"),
    ] {
        assert_eq!(headers.remove(name).unwrap(), expected);
    }
    Ok((headers, prepared))
}

#[track_caller]
fn check(lines: &Lines, expected: &Lines) {
    let (left, _) = sent_on(lines).unwrap();
    assert_eq!(left, headers(expected), "{lines:?}");
}

#[track_caller]
fn refused(error: BadRequest, lines: &Lines) {
    assert_eq!(sent_on(lines).unwrap_err(), error, "{lines:?}");
    assert_eq!(error.status(), 400);
}

#[test]
//= src/docs/protocol.md#copy-request
fn headers_of_the_message_go_on_and_those_of_the_hop_stay() {
    let message = [
        ("accept-encoding", "gzip"),
        ("accept", "a"),
        ("accept", "b"),
        ("cookie", "a=1"),
        ("range", "bytes=0-1"),
        ("if-modified-since", "Mon, 10 Sep 2007 10:00:00 GMT"),
        ("trailer", "checksum"),
        ("x-any", "\u{e4}"),
        ("content-length", "5"),
    ];
    check(&message, &message);
    check(
        &[
            ("connection", "close"),
            ("keep-alive", "300"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("proxy-authenticate", "Basic"),
            ("authorization", "Basic x"),
            ("expect", "100-continue"),
            ("upgrade", "websocket"),
            ("http2-settings", "x"),
            ("te", "gzip"),
            ("accept", "a"),
        ],
        &[("accept", "a")],
    );
}

#[test]
//= src/docs/protocol.md#copy-request
fn every_connection_line_is_read() {
    check(
        &[
            ("connection", "x-one ,, Keep-Alive"),
            ("connection", "\tX-TWO"),
            ("connection", "close;x, \u{e4}, a b"),
            ("x-one", "1"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("trailer", "x"),
            ("x-three", "3"),
        ],
        &[("trailer", "x"), ("x-three", "3")],
    );
    check(
        &[
            ("connection", "connection, trailer"),
            ("trailer", "x"),
            ("a", "1"),
        ],
        &[("a", "1")],
    );
}

#[test]
//= src/docs/protocol.md#copy-request
fn nobody_nominates_a_protected_header() {
    for name in [
        "host",
        "Cookie",
        "authorization",
        "content-length",
        "Content-Type",
        "x-forwarded-for",
        "X_Forwarded_Host",
        "forwarded",
        "via",
        "x-owa-proxysid",
        "X-OWA-Canary",
        "x_owa_proxysid",
        "msExchLogonMailbox",
        "origin",
        "sec-fetch-site",
        "if-none-match",
        "signature-input",
    ] {
        let mut headers = headers(&[("host", "mail"), ("connection", "close")]);
        headers.append(
            CONNECTION,
            HeaderValue::try_from(format!("x-a, {name}")).unwrap(),
        );
        let error = prepare(Version::HTTP_11, &mut headers, true).unwrap_err();
        assert_eq!(error, BadRequest::Connection, "{name}");
    }
}

#[test]
//= src/docs/protocol.md#copy-request
fn trailers_may_be_asked_for_and_nothing_else() {
    check(
        &[("te", "trailers"), ("connection", "te")],
        &[("te", "trailers")],
    );
    check(&[("te", "gzip;q=0.5, Trailers")], &[("te", "trailers")]);
    check(
        &[("te", "deflate"), ("te", "trailers")],
        &[("te", "trailers")],
    );
    check(&[("te", "trailersx")], &[]);
}

#[test]
//= src/docs/protocol.md#copy-request
fn a_body_can_be_framed_anew() {
    let (mut left, prepared) =
        sent_on(&[("transfer-encoding", "chunked"), ("content-length", "5")]).unwrap();
    assert_eq!(prepared.framing, Framing::Chunked);
    assert!(left.is_empty());
    prepared.frame(&mut left, Version::HTTP_2);
    assert!(left.is_empty());
    prepared.frame(&mut left, Version::HTTP_11);
    assert_eq!(left, headers(&[("transfer-encoding", "chunked")]));
}

#[test]
//= src/docs/protocol.md#copy-request
fn an_upgrade_is_handed_out_and_not_passed_on() {
    for (connection, upgrade, expected) in [
        ("upgrade", "websocket", true),
        ("keep-alive, Upgrade", "WebSocket", true),
        ("keep-alive", "websocket", false),
        ("upgrade", "h2c", false),
        ("upgrade, http2-settings", "H2C", false),
        ("upgrade", "websocket, h2c", false),
        ("upgrade", "h2c ", false),
        ("upgrade", "HTTP/2.0", false),
        ("upgrade", "web socket", false),
        ("upgrade", "", false),
    ] {
        let (left, prepared) =
            sent_on(&[("connection", connection), ("upgrade", upgrade)]).unwrap();
        assert!(left.is_empty());
        assert_eq!(
            prepared.upgrade.is_some(),
            expected,
            "{connection}: {upgrade}"
        );
    }
    let lines = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
    ];
    let (mut left, prepared) = sent_on(&lines).unwrap();
    prepared.frame(&mut left, Version::HTTP_11);
    assert_eq!(
        left,
        headers(&[
            ("connection", "te, upgrade"),
            ("upgrade", "websocket"),
            ("te", "trailers")
        ])
    );

    let mut old = headers(&[
        ("host", "mail"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
    ]);
    assert_eq!(
        prepare(Version::HTTP_10, &mut old, false).unwrap().upgrade,
        None
    );
}

#[test]
//= src/docs/protocol.md#copy-request
fn te_is_nominated_for_the_next_hop() {
    let (mut left, prepared) = sent_on(&[("te", "trailers")]).unwrap();
    prepared.frame(&mut left, Version::HTTP_11);
    assert_eq!(left, headers(&[("te", "trailers"), ("connection", "te")]));
}

#[test]
//= src/docs/protocol.md#copy-request
fn requests_of_two_minds_are_refused() {
    refused(
        BadRequest::Authorization,
        &[
            ("authorization", "Basic alice"),
            ("authorization", "Basic bob"),
        ],
    );
    refused(
        BadRequest::ContentLength,
        &[("content-length", "5"), ("content-length", "6")],
    );
    refused(BadRequest::ContentLength, &[("content-length", "+5")]);
    refused(
        BadRequest::TransferEncoding,
        &[("transfer-encoding", "gzip, chunked")],
    );
    refused(
        BadRequest::TransferEncoding,
        &[
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ],
    );
    for lines in [
        &[][..],
        &[("host", "a"), ("host", "a")],
        &[("host", "a@b")],
        &[("host", "")],
    ] {
        let refused = prepare(Version::HTTP_11, &mut headers(lines), false);
        assert_eq!(refused, Err(BadRequest::Host), "{lines:?}");
    }
    for (method, lines) in [
        (Method::CONNECT, &[("host", "mail")][..]),
        (Method::TRACE, &[("host", "mail")]),
        (Method::TRACE, &[]),
    ] {
        let mut headers = headers(lines);
        let uri = Uri::from_static("/owa/");
        let refused = prepare_request(
            &method,
            &uri,
            Version::HTTP_11,
            &mut headers,
            &via(),
            &Client::default(),
        );
        assert_eq!(refused, Err(BadRequest::Method));
    }
    assert_eq!(BadRequest::Method.status(), 501);
}

#[test]
//= src/docs/protocol.md#copy-request
fn cookie_crumbs_are_joined() {
    check(
        &[
            ("cookie", "a=1"),
            ("cookie", "b=\"2\";"),
            ("cookie", "\u{e4}"),
        ],
        &[("cookie", "a=1; b=\"2\";; \u{e4}")],
    );
    let mut sensitive = headers(&[("host", "mail"), ("cookie", "a=1")]);
    let mut crumb = HeaderValue::from_static("b=2");
    crumb.set_sensitive(true);
    sensitive.append(COOKIE, crumb);
    prepare(Version::HTTP_2, &mut sensitive, false).unwrap();
    assert_eq!(sensitive[COOKIE], "a=1; b=2");
    assert!(sensitive[COOKIE].is_sensitive());
}

#[test]
//= src/docs/protocol.md#copy-request
fn a_client_gives_no_account_of_itself() {
    let forged: &Lines = &[
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x_forwarded_for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-user", "admin"),
        ("forwarded", "for=127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-original-url", "/owa/ping.owa"),
    ];
    check(forged, &[]);

    let mut trusted = headers(forged);
    trusted.insert(HOST, HeaderValue::from_static("mail"));
    prepare(Version::HTTP_11, &mut trusted, true).unwrap();
    let last = trusted
        .get_all("x-forwarded-for")
        .iter()
        .next_back()
        .unwrap();
    assert_eq!(last, "192.0.2.1");
    assert_eq!(trusted["x-forwarded-user"], "admin");
    assert_eq!(trusted["x-real-ip"], "127.0.0.1");
}

#[test]
//= src/docs/protocol.md#header-via
fn the_way_is_appended_in_both_directions() {
    let mut request = headers(&[("host", "mail"), ("via", "1.0 fred")]);
    prepare(Version::HTTP_2, &mut request, false).unwrap();
    assert_eq!(
        request.get_all(VIA).iter().collect::<Vec<_>>(),
        ["1.0 fred", "2 cas"]
    );
    let mut response = headers(&[("via", "1.1 dallas")]);
    answer(&Method::GET, 200, &mut response).unwrap();
    assert_eq!(
        response.get_all(VIA).iter().collect::<Vec<_>>(),
        ["1.1 dallas", "1.1 cas"]
    );
}

fn answer(method: &Method, status: u16, headers: &mut HeaderMap) -> Result<Prepared, BadResponse> {
    let status = StatusCode::from_u16(status).unwrap();
    prepare_response(method, status, Version::HTTP_11, headers, &via())
}

#[track_caller]
fn check_answer(method: &Method, status: u16, lines: &Lines, expected: &Lines) -> Prepared {
    let mut left = headers(lines);
    let prepared = answer(method, status, &mut left).unwrap();
    left.remove(VIA);
    assert_eq!(left, headers(expected), "{method} {status} {lines:?}");
    prepared
}

#[test]
//= src/docs/protocol.md#copy-response
fn clients_see_no_hop_and_no_second_cas() {
    check_answer(
        &Method::GET,
        200,
        &[
            ("connection", "close, x-one"),
            ("connection", "X-Two"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("keep-alive", "300"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("www-authenticate", "Negotiate"),
            ("www-authenticate", "NTLM"),
            ("x-owa-proxyuri", "https://mail/owa"),
            ("x_owa_proxysid", "S-1-5-18"),
            ("server", "Microsoft-IIS/6.0"),
            ("x-powered-by", "ASP.NET"),
            ("x-aspnet-version", "2.0.50727"),
            ("alt-svc", "h3=\":443\""),
            ("x-owa-version", "8.1.240.5"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("trailer", "x"),
            ("date", "Mon, 10 Sep 2007 10:00:00 GMT"),
        ],
        &[
            ("x-owa-version", "8.1.240.5"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("trailer", "x"),
            ("date", "Mon, 10 Sep 2007 10:00:00 GMT"),
        ],
    );
}

#[test]
//= src/docs/protocol.md#copy-response
fn an_answer_has_one_length_or_none() {
    let length: &Lines = &[("content-length", "5")];
    let rows = [
        (Method::GET, 200, length, Framing::Length(5)),
        (Method::HEAD, 200, length, Framing::Undeclared),
        (Method::GET, 304, length, Framing::Undeclared),
        (Method::GET, 204, &[], Framing::Undeclared),
        (Method::GET, 101, &[], Framing::Undeclared),
    ];
    for (method, status, expected, framing) in rows {
        assert_eq!(
            check_answer(&method, status, length, expected).framing,
            framing
        );
    }
    let chunked: &Lines = &[("transfer-encoding", "chunked"), ("content-length", "5")];
    assert_eq!(
        check_answer(&Method::GET, 200, chunked, &[]).framing,
        Framing::Chunked
    );
    assert_eq!(
        check_answer(&Method::HEAD, 200, chunked, &[]).framing,
        Framing::Undeclared
    );
    check_answer(
        &Method::GET,
        200,
        &[("connection", "content-length"), ("content-length", "5")],
        length,
    );
    for lines in [
        &[("content-length", "5"), ("content-length", "6")][..],
        &[("content-length", "x")],
        &[("transfer-encoding", "gzip, chunked")],
    ] {
        assert_eq!(
            answer(&Method::GET, 200, &mut headers(lines)),
            Err(BadResponse::Framing),
            "{lines:?}"
        );
    }
}

#[test]
//= src/docs/protocol.md#copy-response
fn a_change_of_protocol_is_handed_out() {
    let lines = &[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "x"),
    ];
    let prepared = check_answer(&Method::GET, 101, lines, &[("sec-websocket-accept", "x")]);
    assert_eq!(prepared.upgrade.unwrap(), "websocket");
}

#[test]
//= src/docs/protocol.md#header-client-never
//= src/docs/protocol.md#copy-request
fn trailers_change_nothing_that_was_decided() {
    let mut trailers = headers(&[
        ("x-owa-proxysid", "S-1-5-18"),
        ("x_logontype", "0"),
        ("host", "evil"),
        ("cookie", "a=1"),
        ("authorization", "Basic x"),
        ("content-length", "5"),
        ("content-type", "text/html"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("x-forwarded-for", "127.0.0.1"),
        ("set-cookie", "a=1"),
        ("location", "https://evil.example/"),
        ("www-authenticate", "Basic"),
        ("cache-control", "public"),
        ("grpc-status", "0"),
        ("checksum", "1"),
    ]);
    prepare_trailers(&mut trailers);
    assert_eq!(
        trailers,
        headers(&[("grpc-status", "0"), ("checksum", "1")])
    );
}

proptest! {
    #[test]
    //= src/docs/protocol.md#copy-request
    fn whatever_is_sent_nothing_of_the_hop_gets_through(
        lines in vec(
            (
                select(vec![
                    "connection", "te", "transfer-encoding", "content-length", "host", "upgrade", "cookie", "x-a", "x-b",
                    "authorization", "keep-alive", "x-forwarded-for", "forwarded", "via", "expect", "trailer",
                ]),
                prop_oneof![
                    select(vec!["x-a", "X-B, close", "te", "trailers", "chunked", "5", "mail", "upgrade", "websocket", "", ","])
                        .prop_map(|text| text.as_bytes().to_vec()),
                    vec(b' '..=b'\xff', 0..12),
                ],
            ),
            0..12,
        ),
        version in select(vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]),
        trusted: bool,
    ) {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("mail"));
        for (name, value) in &lines {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(*name, value);
            }
        }
        let before = headers.clone();
        let mut answered = headers.clone();
        if prepare(version, &mut headers, trusted).is_ok() {
            for gone in ["connection", "transfer-encoding", "upgrade", "host", "authorization", "keep-alive", "expect"] {
                prop_assert!(!headers.contains_key(gone), "{}", gone);
            }
            prop_assert!(headers.get("te").is_none_or(|te| te == "trailers"));
            prop_assert!(headers.get_all("content-length").iter().count() <= 1);
            prop_assert!(headers.get_all("cookie").iter().count() <= 1);
            for name in before.get_all("connection").iter().flat_map(names_in) {
                let name = std::str::from_utf8(name).unwrap_or_default();
                prop_assert!(name.eq_ignore_ascii_case("te") || !headers.contains_key(name), "{}", name);
            }
        }
        if answer(&Method::GET, 200, &mut answered).is_ok() {
            for gone in ["connection", "transfer-encoding", "upgrade", "keep-alive", "te"] {
                prop_assert!(!answered.contains_key(gone), "{}", gone);
            }
            prop_assert!(answered.get_all("content-length").iter().count() <= 1);
        }
    }
}
