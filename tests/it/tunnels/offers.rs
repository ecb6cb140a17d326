//! Who may offer what to whom.

use http_body_util::BodyExt;
use hyper::{client::conn::http2, ext::Protocol};

use super::*;
use crate::support::{Peer, first_cas as scripted, site::Authority, wire::OK};

/// What the second CAS is told by a client that sends `head`, once the client has been answered.
async fn told(layer: impl FnOnce(CasProxyLayer) -> CasProxyLayer, head: &str) -> String {
    let mut line = Line::set_up(layer);
    line.client.answer(head).await;
    let mut hop = line.dallas.accept().await;
    let told = hop.head().await;
    hop.answer(OK).await;
    let head = line.client.head().await;
    assert!(head.contains(" 200 OK\r\n"), "{head}");
    told
}

//= src/docs/protocol.md#upgrade-offer
#[tokio::test(start_paused = true)]
async fn only_a_get_without_a_body_takes_along_an_offer_that_is_allowed() {
    let usual: fn(CasProxyLayer) -> CasProxyLayer = |layer| layer;
    let none: fn(CasProxyLayer) -> CasProxyLayer = |layer| layer.upgrades::<&str>([]).unwrap();
    let other: fn(CasProxyLayer) -> CasProxyLayer =
        |layer| layer.upgrades(["Mail-Push/1"]).unwrap();
    let push = ASK.replace("websocket\r\n", "mail-push/1\r\n");
    let posted = "connection: upgrade\r\ncontent-length: 2\r\n";
    let rows = [
        (usual, ASK.to_owned(), true),
        (usual, ASK.replace("websocket\r\n", "WebSocket\r\n"), true),
        (none, ASK.to_owned(), false),
        (other, ASK.to_owned(), false),
        (other, push.clone(), true),
        (usual, push, false),
        (usual, ASK.replace("websocket\r\n", "h2c\r\n"), false),
        (
            usual,
            ASK.replace("websocket\r\n", "websocket, h2c\r\n"),
            false,
        ),
        (
            usual,
            ASK.replace("websocket\r\n", "websocket\r\nupgrade: websocket\r\n"),
            false,
        ),
        (usual, ASK.replace(", Upgrade", ""), false),
        (usual, ASK.replace("HTTP/1.1", "HTTP/1.0"), false),
        (usual, ASK.replace("GET", "DELETE"), false),
        (usual, ASK.replace("GET", "POST"), false),
        (
            usual,
            ASK.replace("connection: keep-alive, Upgrade\r\n", posted) + "ab",
            false,
        ),
    ];
    for (layer, head, offered) in rows {
        let told = told(layer, &head).await;
        assert_eq!(
            told.to_lowercase().contains("upgrade"),
            offered,
            "{head}{told}"
        );
    }
}

#[test]
fn a_version_of_http_is_never_allowed() {
    let layer = scripted(&Peer::default(), &["dallas"]);
    for protocol in [
        "h2c",
        "H2C",
        "h2",
        "HTTP/2.0",
        "http",
        "h3",
        "",
        "web socket",
        "a,b",
        "a\r\nb",
    ] {
        assert!(
            layer.clone().upgrades(["websocket", protocol]).is_err(),
            "{protocol}"
        );
    }
}

//= src/docs/protocol.md#header-client-never
#[tokio::test(start_paused = true)]
async fn an_upgrade_says_who_its_user_is_as_any_request_does() {
    let forged = "x-owa-proxysid: S-1-5-21-1-2-3-500\r\nx_owa_proxysid: S-1-5-21-1-2-3-500\r\n\
         X-CommonAccessToken: 1\r\nproxy-authorization: Basic eDp5\r\ncookie: cadata=secret; a=b\r\n\r\n";
    let head = ASK.replace("\r\n\r\n", &format!("\r\n{forged}"));
    let told = told(|layer| layer, &head).await;
    assert!(
        told.contains(&format!("\r\nx-owa-proxysid: {}\r\n", user(2).user())),
        "{told}"
    );
    for gone in [
        "-500",
        "x_owa",
        "commonaccess",
        "proxy-authorization",
        "cadata",
    ] {
        assert!(!told.contains(gone), "{gone} in {told}");
    }
    for kept in [
        "sec-websocket-key: dGhl",
        "sec-websocket-version: 13",
        "cookie: a=b",
        "via: 1.1 seattle",
    ] {
        assert!(told.contains(kept), "no {kept} in {told}");
    }
}

/// Nothing that comes from a client makes the second CAS take it for another's.
//= src/docs/protocol.md#identity-order
#[tokio::test]
async fn a_second_cas_opens_no_tunnel_for_whoever_is_no_cas() {
    let dallas = Dallas::new(Setup::plain()).await;
    let refused = async |head: String| {
        let stream = TcpStream::connect(dallas.site.address).await.unwrap();
        let mut client = Hop::new(stream);
        client.answer(&head).await;
        client.head().await
    };
    let answer = refused(ASK.to_owned()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let headers = "\r\nx-owa-proxyuri: https://mail.contoso.com/owa\r\nx-owa-proxyversion: 8.3.83.6\r\n\
         x-owa-proxysid: S-1-5-21-1-2-3-500\r\n\r\n";
    let answer = refused(ASK.replace("\r\n\r\n", headers)).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(dallas.seen.lock().unwrap().is_empty());
}

/// The mailbox of user 1 is here.
#[tokio::test]
async fn an_upgrade_of_a_user_of_this_site_is_the_inner_services() {
    let dallas = Dallas::new(Setup::plain()).await;
    let layer = dallas.first_cas().upgrades::<&str>([]).unwrap();
    let front = front(&layer).await;
    let mut socket = open(&front, "/owa/here").await.unwrap();
    socket.send(Message::text("here")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("here"));
    // A tunnel of the inner service is no matter of ours.
    assert_eq!(layer.drain(std::time::Duration::from_secs(10)).await, 0);
    socket.send(Message::text("still")).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::text("still")
    );
    assert_eq!(dallas.site.connections(), 0);
}

//= src/docs/protocol.md#upgrade-offer
#[tokio::test]
async fn by_tls_an_upgrade_has_http_1_where_other_requests_have_http_2() {
    let authority = Authority::new();
    for (protocols, opens) in [
        (&["h2", "http/1.1"][..], true),
        (&["http/1.1"], true),
        (&[], true),
        (&["h2"], false),
    ] {
        let setup = Setup::tls(&authority.certificate(), protocols);
        let dallas = Dallas::new(setup).await;
        let layer = dallas.first_cas().outbound(authority.client().build());
        let front = front(&layer).await;
        match open(&front, "/owa/ws").await {
            Ok(mut socket) => {
                assert!(opens, "{protocols:?}");
                socket.send(Message::text("a")).await.unwrap();
                assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("a"));
            }
            Err(tungstenite::Error::Http(answer)) => {
                assert!(!opens, "{protocols:?}");
                assert_eq!(answer.status(), 502);
            }
            Err(other) => panic!("{other}"),
        }
        // That a server speaks no HTTP/1.1 is nothing against its health.
        let mut client = Hop::new(TcpStream::connect(front.address).await.unwrap());
        client.answer("GET /owa/ HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
}

/// RFC 8441: a WebSocket over HTTP/2 asks by CONNECT, which is not built.
#[tokio::test]
async fn an_extended_connect_is_answered_501() {
    let dallas = Dallas::new(Setup::plain()).await;
    let stack = stack(&dallas.first_cas());
    let (near, far) = duplex(64 * 1024);
    tokio::spawn(async move {
        let service = hyper::service::service_fn(move |request| stack.clone().oneshot(request));
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http2().enable_connect_protocol();
        let _ = http.serve_connection(TokioIo::new(far), service).await;
    });
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(near))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mail = Request::get("https://mail.contoso.com/owa/").body(Empty::<Bytes>::new());
    // The server has now said that it takes such a CONNECT.
    let answer = sender.send_request(mail.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let connect = Request::connect("https://mail.contoso.com/owa/ws")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::new());
    let answer = sender.send_request(connect.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 501);
    let page = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(
        String::from_utf8_lossy(&page).contains("\"status\":501"),
        "{page:?}"
    );
    // What the client of HTTP/2 says of `Upgrade` in a GET is no offer.
    let ask = Request::get("https://mail.contoso.com/owa/ws").header("upgrade", "websocket");
    let answer = sender
        .send_request(ask.body(Empty::new()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}
