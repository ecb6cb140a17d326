//! Log-on and mailbox, and the second CAS around them, as the gateway stacks them.

use std::{convert::Infallible, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cas_proxy::{
    csc::ClientSecurityContext,
    decision::Here,
    directory::{MailboxKey, ServerName, SiteName, Topology},
    first_cas::CasProxyLayer,
    lookup::{Answer, InMemory, MailboxLookup},
    second_cas::{SecondCasLayer, danger::StaticCredential, unless_proxied},
};
use http::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, Service, ServiceExt as _};

use super::{
    LEAST,
    config::Config,
    directory::{Lookup, topology},
    load,
    mailbox::Mailbox,
    sign_in::SignIn,
};

const ANNA: &str = "S-1-5-21-1004336348-1177238915-682003330-1001";

fn users() -> Config {
    load(&format!(
        "{LEAST}
[[cas]]
name = \"dallas\"
site = \"Dallas\"
internal_url = \"http://127.0.0.1:9001/owa\"
[[back_end]]
name = \"legacy1\"
url = \"http://127.0.0.1:9003\"
[[back_end]]
name = \"no-url\"
[[user]]
name = \"anna\"
password = \"secret:with colon\"
sid = \"{ANNA}\"
address = \"anna@fourthcoffee.com\"
mailbox = {{ server = \"chicago\", site = \"Dallas\", version = \"8.1.240.5\" }}
[[user]]
name = \"bert\"
password = \"pässword\"
sid = \"S-1-5-21-1-2-3-1002\"
directory = \"down\"
[[user]]
name = \"carl\"
password = \"\"
sid = \"S-1-5-21-1-2-3-1003\"
"
    ))
    .unwrap()
}

fn sign_in() -> SignIn {
    let users = users().user;
    SignIn::new(users.iter().map(|user| {
        let context = user.context().unwrap();
        (user.name.as_str(), user.password.expose(), context)
    }))
}

fn mailbox() -> Mailbox {
    Mailbox::new(
        &ServerName::new("dallas").unwrap(),
        &SiteName::new("Dallas").unwrap(),
    )
}

fn request(method: Method, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(target)
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// Status, `Content-Length` and body.
async fn answer<S, B, R>(service: &S, request: Request<B>) -> (StatusCode, u64, String)
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let length = parts
        .headers
        .get(CONTENT_LENGTH)
        .map_or(0, |length| length.to_str().unwrap().parse().unwrap());
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status,
        length,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn the_mailbox_says_who_and_where() {
    let line = "served-by=dallas site=Dallas user=- via=-\n";
    let get = request(Method::GET, "/owa/")
        .body(Full::<Bytes>::default())
        .unwrap();
    assert_eq!(
        answer(&mailbox(), get).await,
        (StatusCode::OK, line.len() as u64, line.to_owned())
    );
    let head = request(Method::HEAD, "/owa/")
        .body(Full::<Bytes>::default())
        .unwrap();
    assert_eq!(
        answer(&mailbox(), head).await,
        (StatusCode::OK, line.len() as u64, String::new())
    );

    let context = ClientSecurityContext::builder(ANNA.parse().unwrap(), "Basic", "anna")
        .build()
        .unwrap();
    let get = request(Method::GET, "/owa/")
        .extension(context)
        .body(Full::<Bytes>::default())
        .unwrap();
    let line = format!("served-by=dallas site=Dallas user={ANNA} via=-\n");
    assert_eq!(answer(&mailbox(), get).await.2, line);
}

#[tokio::test]
async fn the_mailbox_tells_what_it_was_sent() {
    for method in [Method::POST, Method::PUT] {
        let upload = request(method, "/owa/")
            .body(Full::new(Bytes::from_static(b"abc")))
            .unwrap();
        let (status, length, text) = answer(&mailbox(), upload).await;
        assert_eq!((status, length), (StatusCode::OK, text.len() as u64));
        assert_eq!(
            text.lines().nth(1).unwrap(),
            "body-length=3 body-sha256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
    let broken = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"a"))),
        Err("gone"),
    ]);
    let upload = request(Method::POST, "/owa/")
        .body(StreamBody::new(broken))
        .unwrap();
    assert_eq!(answer(&mailbox(), upload).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_mailbox_sends_as_many_bytes_as_asked() {
    for bytes in [0, 1, 9, 42, 43, 16 * 1024, 16 * 1024 + 43, 1_000_000] {
        for target in [
            format!("/owa/?bytes={bytes}"),
            format!("/owa/?ae=Item&bytes={bytes}&x=1"),
        ] {
            let get = request(Method::GET, &target)
                .body(Full::<Bytes>::default())
                .unwrap();
            let (status, length, text) = answer(&mailbox(), get).await;
            assert_eq!(
                (status, length, text.len() as u64),
                (StatusCode::OK, bytes, bytes),
                "{target}"
            );
            assert!(
                text.is_empty()
                    || "served-by=dallas ".starts_with(&text)
                    || text.starts_with("served-by=dallas ")
            );
        }
        let head = request(Method::HEAD, &format!("/owa/?bytes={bytes}"))
            .body(Full::<Bytes>::default())
            .unwrap();
        assert_eq!(
            answer(&mailbox(), head).await,
            (StatusCode::OK, bytes, String::new())
        );
    }
    let get = request(Method::GET, "/owa/?bytes=many")
        .body(Full::<Bytes>::default())
        .unwrap();
    assert!(answer(&mailbox(), get).await.2.ends_with("via=-\n"));
}

#[tokio::test]
async fn only_name_and_password_sign_in() {
    let service = sign_in().layer(mailbox());
    let check = async |lines: &[String], user: Option<&str>| {
        let mut get = request(Method::GET, "/owa/");
        for line in lines {
            get = get.header(AUTHORIZATION, line);
        }
        let answer = service
            .clone()
            .oneshot(get.body(Full::<Bytes>::default()).unwrap())
            .await
            .unwrap();
        let status = if user.is_some() {
            StatusCode::OK
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(answer.status(), status, "{lines:?}");
        let challenge = answer.headers().get(WWW_AUTHENTICATE).is_some();
        assert_eq!(challenge, user.is_none(), "{lines:?}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        if let Some(user) = user {
            assert!(
                String::from_utf8_lossy(&body).contains(&format!(" user={user} ")),
                "{lines:?}"
            );
        }
    };
    check(&[basic("anna", "secret:with colon")], Some(ANNA)).await;
    check(
        &[basic("anna", "secret:with colon").replace("Basic ", "basic ")],
        Some(ANNA),
    )
    .await;
    check(&[basic("bert", "pässword")], Some("S-1-5-21-1-2-3-1002")).await;
    check(&[basic("carl", "")], Some("S-1-5-21-1-2-3-1003")).await;
    for wrong in [
        basic("anna", "secret"),
        basic("anna", ""),
        basic("Anna", "secret:with colon"),
        basic("nobody", ""),
        basic("", ""),
        basic("anna", "secret:with colon").replace("Basic", "Bearer"),
        "Basic".to_owned(),
        "Basic !!!".to_owned(),
        format!("Basic {}", STANDARD.encode("anna")),
        format!("Basic {}", STANDARD.encode([0xff, b':', 0xfe])),
    ] {
        check(&[wrong], None).await;
    }
    check(&[], None).await;
    // Two users at once are none, whoever comes first.
    check(
        &[basic("anna", "secret:with colon"), basic("carl", "")],
        None,
    )
    .await;
    check(
        &[
            basic("anna", "secret:with colon"),
            basic("anna", "secret:with colon"),
        ],
        None,
    )
    .await;
}

//= src/docs/protocol.md#scope
//= src/docs/protocol.md#static-local
//= src/docs/protocol.md#login-caller
#[tokio::test]
async fn only_mailboxes_need_a_log_on_and_what_is_refused_is_refused_to_anyone() {
    let here = Here::new(
        "seattle".parse().unwrap(),
        "Seattle".parse().unwrap(),
        "8.3.83.6".parse().unwrap(),
    );
    let topology = Arc::new(Topology::builder().build().unwrap());
    let first_cas = CasProxyLayer::new(here, topology, InMemory::new());
    let service = sign_in().layer(first_cas.layer(mailbox()));
    for (target, status) in [
        ("/owa/auth/logon.aspx", StatusCode::OK),
        ("/owa/8.3.83.6/themes/base/logon.css", StatusCode::OK),
        ("/elsewhere", StatusCode::OK),
        ("/owa/", StatusCode::UNAUTHORIZED),
        ("/owa/proxyLogon.owa", StatusCode::FORBIDDEN),
        ("/owa/ping%2eowa", StatusCode::FORBIDDEN),
        ("/owa/auth/%2e%2e/", StatusCode::BAD_REQUEST),
    ] {
        let get = request(Method::GET, target)
            .header("host", "mail.fourthcoffee.com")
            .body(Full::<Bytes>::default())
            .unwrap();
        assert_eq!(answer(&service, get).await.0, status, "{target}");
    }
}

#[tokio::test]
async fn a_websocket_of_another_origin_is_not_opened_with_a_users_password() {
    let service = sign_in().layer(mailbox());
    for (origin, upgrade, expected) in [
        ("https://mail.contoso.com", true, StatusCode::OK),
        ("https://MAIL.contoso.com", true, StatusCode::OK),
        ("https://evil.example", true, StatusCode::FORBIDDEN),
        (
            "https://mail.contoso.com.evil.example",
            true,
            StatusCode::FORBIDDEN,
        ),
        ("https://mail.contoso.com:8443", true, StatusCode::FORBIDDEN),
        ("null", true, StatusCode::FORBIDDEN),
        ("https://evil.example", false, StatusCode::OK),
    ] {
        let mut get = request(Method::GET, "/owa/")
            .header("host", "mail.contoso.com")
            .header("origin", origin)
            .header(AUTHORIZATION, basic("anna", "secret:with colon"));
        if upgrade {
            get = get
                .header("connection", "upgrade")
                .header("upgrade", "websocket");
        }
        let get = get.body(Full::<Bytes>::default()).unwrap();
        let answer = service.clone().oneshot(get).await.unwrap();
        assert_eq!(answer.status(), expected, "{origin}");
    }
}

#[tokio::test]
async fn the_challenge_is_a_page_for_people() {
    let service = sign_in().layer(mailbox());
    let get = request(Method::GET, "/owa/")
        .header(ACCEPT, "text/html")
        .body(Full::<Bytes>::default())
        .unwrap();
    let page = service.oneshot(get).await.unwrap();
    assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(
        page.headers()[WWW_AUTHENTICATE],
        "Basic realm=\"Outlook Web Access\", charset=\"UTF-8\""
    );
}

#[tokio::test]
async fn a_user_of_another_cas_is_not_asked_for_a_password() {
    let second_cas = SecondCasLayer::new(StaticCredential::basic("seattle", "lab"));
    let service = second_cas.layer(unless_proxied(sign_in()).layer(mailbox()));
    let proxied = |method: Method, target: &str| {
        request(method, target)
            .header("host", "dallas")
            .header(AUTHORIZATION, basic("seattle", "lab"))
            .header("x-owa-proxyuri", "https://mail.fourthcoffee.com/owa")
            .header("x-owa-proxyversion", "8.3.83.6")
            .header("x-owa-proxysid", ANNA)
    };
    let get = || {
        proxied(Method::GET, "/owa/")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let status = async |request| {
        let answer = service.clone().oneshot(request).await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status(get()).await, 441);
    let login = proxied(Method::POST, "/owa/proxyLogon.owa")
        .header(CONTENT_TYPE, "text/xml; charset=utf-8")
        .body(Full::from(format!(
            "<r at=\"Basic\" ln=\"anna\"><s>{ANNA}</s></r>"
        )))
        .unwrap();
    assert_eq!(status(login).await, 241);
    let answered = service.clone().oneshot(get()).await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK);
    let body = answered.into_body().collect().await.unwrap().to_bytes();
    let line =
        format!("served-by=dallas site=Dallas user={ANNA} via=https://mail.fourthcoffee.com/owa\n");
    assert_eq!(body, line);

    let direct = request(Method::GET, "/owa/")
        .header("host", "dallas")
        .body(Full::<Bytes>::default())
        .unwrap();
    assert_eq!(status(direct).await, 401);
}

#[tokio::test]
async fn the_directory_is_the_configuration() {
    let config = users();
    let topology = topology(&config).unwrap();
    let name = |name| ServerName::new(name).unwrap();
    assert_eq!(topology.client_access_servers().len(), 2);
    assert_eq!(
        topology
            .client_access_server(&name("dallas"))
            .unwrap()
            .version(),
        config.server.version
    );
    assert!(topology.back_end(&name("legacy1")).is_some());
    assert!(topology.back_end(&name("no-url")).is_none());

    let lookup = Lookup::new(&config);
    let anna = MailboxKey::Sid(ANNA.parse().unwrap());
    let address = MailboxKey::Address("anna@fourthcoffee.com".parse().unwrap());
    let bert = MailboxKey::Sid("S-1-5-21-1-2-3-1002".parse().unwrap());
    let carl = MailboxKey::Sid("S-1-5-21-1-2-3-1003".parse().unwrap());
    for key in [anna, address] {
        let Some(Answer::Found(found)) = lookup.peek(&key) else {
            panic!("{key:?}")
        };
        assert_eq!(found.site().unwrap().as_str(), "Dallas");
        assert_eq!(found.version().to_string(), "8.1.240.5");
    }
    assert_eq!(lookup.peek(&carl), Some(Answer::NotFound));
    assert_eq!(lookup.peek(&bert), None);
    assert!(lookup.locate(bert).await.is_err());
    assert_eq!(lookup.locate(carl).await.unwrap(), Answer::NotFound);
}
