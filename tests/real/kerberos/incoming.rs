//! Our second CAS: curl as a first CAS, and tokens it must not take.

use std::{net::SocketAddr, process::Command, sync::Arc};

use bytes::Bytes;
use cas_proxy::{
    csc::Sid,
    second_cas::{ChannelBinding, MachineAccounts, SecondCasLayer},
    wire::negotiate,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use libgssapi::{
    context::{ClientCtx, CtxFlags},
    credential::{Cred, CredUsage},
    name::Name,
    oid::{GSS_MECH_KRB5, GSS_NT_KRB5_PRINCIPAL, OidSet},
};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    company::{SERVICE, listen, second_cas},
    support::EXCHANGE_2007,
    surroundings::{SAMBA, SEATTLE, Surroundings, account},
};

/// Asks our second CAS for a ping with curl, as the account of these surroundings; status and head.
fn curl(internal: &str, arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-s", "-i", "--max-time", "120"])
        .args(arguments)
        .arg(format!("{internal}/ping.owa"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap().to_lowercase();
    // The last head, where a challenge came first.
    let head = text.split("http/1.1 ").last().unwrap().to_owned();
    (head[..3].parse().unwrap(), head)
}

fn curl_gets(test: &str, surroundings: Surroundings, expected: u16) {
    surroundings.run(&format!("incoming::{test}"), || async move {
        let internal = listen(second_cas(), |_| ()).await;
        tokio::task::spawn_blocking(move || {
            let (status, head) = curl(&internal, &["--negotiate", "-u", ":"]);
            assert_eq!(status, expected, "{head}");
            assert_eq!(
                head.contains("x-owa-version: 8.3.83.6"),
                expected == 242,
                "{head}"
            );
            let (status, refused) = curl(&internal, &[]);
            assert_eq!(status, 401);
            assert!(
                refused.contains("www-authenticate: negotiate\r\n"),
                "{refused}"
            );
            if expected == 401 {
                assert_eq!(without_date(&head), without_date(&refused));
            }
            let basic = curl(&internal, &["--basic", "-u", "SEATTLE$:secret"]);
            assert_eq!(without_date(&basic.1), without_date(&refused));
        })
        .await
        .unwrap();
    });
}

fn without_date(head: &str) -> Vec<&str> {
    head.lines()
        .filter(|line| !line.starts_with("date:"))
        .collect()
}

//= src/docs/protocol.md#login-caller
#[test]
#[ignore = "needs a Kerberos realm"]
fn curl_as_the_first_cas_is_answered() {
    curl_gets("curl_as_the_first_cas_is_answered", SEATTLE, 242);
}

//= src/docs/protocol.md#login-caller
#[test]
#[ignore = "needs a Kerberos realm of samba"]
fn curl_as_the_first_cas_is_answered_with_a_ticket_of_active_directory() {
    let test = "curl_as_the_first_cas_is_answered_with_a_ticket_of_active_directory";
    curl_gets(test, SAMBA, 242);
}

#[test]
#[ignore = "needs a Kerberos realm of samba"]
fn curl_as_the_second_cas_itself_is_told_nothing_by_active_directory_either() {
    let test = "curl_as_the_second_cas_itself_is_told_nothing_by_active_directory_either";
    curl_gets(test, SAMBA.client_keytab("dallas.keytab"), 401);
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn curl_as_another_machine_is_told_nothing() {
    let stranger = SEATTLE.client_keytab("stranger.keytab");
    curl_gets("curl_as_another_machine_is_told_nothing", stranger, 401);
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn curl_as_the_second_cas_itself_is_told_nothing() {
    let own = SEATTLE.client_keytab("dallas.keytab");
    curl_gets("curl_as_the_second_cas_itself_is_told_nothing", own, 401);
}

/// A token of SEATTLE$ for `service`.
fn token(service: &str, binding: Option<&[u8]>) -> HeaderValue {
    let kerberos = OidSet::singleton(GSS_MECH_KRB5).unwrap();
    let tickets = Cred::acquire(None, None, CredUsage::Initiate, Some(&kerberos)).unwrap();
    let target = Name::new(service.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)).unwrap();
    let mut context = ClientCtx::new(
        Some(tickets),
        target,
        CtxFlags::GSS_C_MUTUAL_FLAG,
        Some(GSS_MECH_KRB5),
    );
    negotiate::authorization(&context.step(None, binding).unwrap().unwrap())
}

/// A ping with these `Authorization` lines on a connection with this binding.
async fn ping(
    layer: &SecondCasLayer,
    shown: &[HeaderValue],
    hash: Option<&[u8]>,
) -> Response<Bytes> {
    let mut request = Request::get("/owa/ping.owa")
        .header(header::HOST, "localhost")
        .body(Full::<Bytes>::default())
        .unwrap();
    for line in shown {
        request
            .headers_mut()
            .append(header::AUTHORIZATION, line.clone());
    }
    if let Some(hash) = hash {
        request
            .extensions_mut()
            .insert(ChannelBinding::tls_server_end_point(hash));
    }
    let never = service_fn(|_| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("not reached"))
    });
    let (parts, body) = layer
        .layer(never)
        .oneshot(request)
        .await
        .unwrap()
        .into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

/// What a refusal looks like, whatever it is for.
async fn refusal(layer: &SecondCasLayer) -> (StatusCode, HeaderMap, Bytes) {
    all(ping(layer, &[], None).await)
}

fn all(answer: Response<Bytes>) -> (StatusCode, HeaderMap, Bytes) {
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, body)
}

//= src/docs/protocol.md#login-caller
#[test]
#[ignore = "needs a Kerberos realm"]
fn every_refusal_looks_the_same() {
    SEATTLE.run("incoming::every_refusal_looks_the_same", || async {
        let layer = second_cas();
        let refused = refusal(&layer).await;
        assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.1[header::WWW_AUTHENTICATE], "Negotiate");

        let good = token(SERVICE, None);
        let answer = ping(&layer, std::slice::from_ref(&good), None).await;
        assert_eq!(answer.status().as_u16(), 242);
        assert!(matches!(negotiate::reply(answer.headers()), Ok(Some(_))));

        let line = |text: &'static str| HeaderValue::from_static(text);
        for shown in [
            // Seen before.
            vec![good],
            // For another service, whose key is in the keytab all the same.
            vec![token("HTTP/elsewhere", None)],
            vec![token(SERVICE, None), token(SERVICE, None)],
            vec![line(
                "Negotiate TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw==",
            )],
            vec![line(
                "NTLM TlRMTVNTUAABAAAAB4IIogAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw==",
            )],
            vec![line("Negotiate")],
            vec![line("Negotiate YGAGBisGAQUFAg==")],
            vec![line("Basic U0VBVFRMRSQ6c2VjcmV0")],
            vec![damaged(&token(SERVICE, None))],
        ] {
            assert_eq!(all(ping(&layer, &shown, None).await), refused, "{shown:?}");
        }
    });
}

/// The same with a bit changed in the authenticator, at the end.
fn damaged(token: &HeaderValue) -> HeaderValue {
    let mut bytes = token.as_bytes().to_vec();
    let at = bytes.len() - 20;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    HeaderValue::from_bytes(&bytes).unwrap()
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn a_token_bound_to_another_connection_is_refused() {
    SEATTLE.run(
        "incoming::a_token_bound_to_another_connection_is_refused",
        || async {
            let bound = |hash: &str| {
                token(
                    SERVICE,
                    Some(format!("tls-server-end-point:{hash}").as_bytes()),
                )
            };
            let callers = || {
                MachineAccounts::serving(SERVICE, &account("dallas"))
                    .unwrap()
                    .trust(&account("seattle"))
                    .unwrap()
            };
            let lenient = second_cas();
            let strict = SecondCasLayer::new(callers().require_channel_binding())
                .version(EXCHANGE_2007.parse().unwrap());
            let refused = refusal(&lenient).await;
            for (layer, shown, connection, taken) in [
                (&lenient, bound("ours"), Some("ours"), true),
                (&lenient, bound("theirs"), Some("ours"), false),
                (&lenient, token(SERVICE, None), Some("ours"), true),
                (&strict, bound("ours"), Some("ours"), true),
                (&strict, bound("theirs"), Some("ours"), false),
                (&strict, token(SERVICE, None), Some("ours"), false),
                (&strict, bound("ours"), None, false),
            ] {
                let answer = ping(layer, &[shown], connection.map(str::as_bytes)).await;
                if taken {
                    assert_eq!(answer.status().as_u16(), 242);
                } else {
                    assert_eq!(all(answer), refused);
                }
            }
        },
    );
}

//= src/docs/protocol.md#login-caller
#[test]
#[ignore = "needs a Kerberos realm"]
fn a_member_of_a_named_group_is_trusted_and_the_same_refusal_meets_all_others() {
    SEATTLE.run(
        "incoming::a_member_of_a_named_group_is_trusted_and_the_same_refusal_meets_all_others",
        || async {
            let group = |rid: u32| Sid::from_parts(5, &[21, 1, 2, 3, rid]).unwrap();
            // SEATTLE$ is in the groups that the directory says, unless it can't be asked.
            let serving = |said: Option<u32>| {
                let lookup = move |account: String, realm: String| async move {
                    assert_eq!((&*account, &*realm), ("SEATTLE$", "FOURTHCOFFEE.TEST"));
                    let said = said.ok_or("it is down")?;
                    Ok(vec![group(515), group(said)])
                };
                let callers = MachineAccounts::serving(SERVICE, &account("dallas")).unwrap();
                let callers = callers.trust_members([group(1200)], lookup).unwrap();
                SecondCasLayer::new(callers).version(EXCHANGE_2007.parse().unwrap())
            };
            let refused = refusal(&serving(None)).await;
            for (said, taken) in [(Some(1200), true), (Some(1201), false), (None, false)] {
                let answer = ping(&serving(said), &[token(SERVICE, None)], None).await;
                if taken {
                    assert_eq!(answer.status().as_u16(), 242);
                } else {
                    assert_eq!(all(answer), refused, "{said:?}");
                }
            }
        },
    );
}

/// A second CAS with a certificate of its own that takes bound tokens alone; its address and the certificate.
async fn listen_with_tls(layer: SecondCasLayer) -> (SocketAddr, CertificateDer<'static>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let binding = ChannelBinding::of_certificate(&certificate).unwrap();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into());
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = layer.layer(service_fn(|_| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("not reached"))
    }));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            let (service, binding) = (service.clone(), binding.clone());
            let service = service.map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(binding.clone());
                request
            });
            let served = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
                .await;
            served.unwrap();
        }
    });
    (address, certificate)
}

/// A ping with this `Authorization` over TLS of its own; the status.
async fn ping_over_tls(server: &(SocketAddr, CertificateDer<'static>), shown: HeaderValue) -> u16 {
    let (address, certificate) = server;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/owa/ping.owa")
        .header(header::HOST, "localhost")
        .header(header::AUTHORIZATION, shown)
        .body(Full::<Bytes>::default());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    answer.status().as_u16()
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn a_token_serves_on_tls_with_the_server_it_was_made_for_alone() {
    SEATTLE.run(
        "incoming::a_token_serves_on_tls_with_the_server_it_was_made_for_alone",
        || async {
            let strict = || {
                let callers = MachineAccounts::serving(SERVICE, &account("dallas")).unwrap();
                let callers = callers.trust(&account("seattle")).unwrap();
                SecondCasLayer::new(callers.require_channel_binding())
                    .version(EXCHANGE_2007.parse().unwrap())
            };
            // Both have the key of the service, and a certificate that the client trusts.
            let meant = listen_with_tls(strict()).await;
            let in_between = listen_with_tls(strict()).await;
            let bound = || {
                let hash = Sha256::digest(&meant.1);
                let binding = [b"tls-server-end-point:".as_slice(), &hash].concat();
                token(SERVICE, Some(&binding))
            };
            assert_eq!(ping_over_tls(&meant, bound()).await, 242);
            assert_eq!(ping_over_tls(&in_between, bound()).await, 401);
            assert_eq!(ping_over_tls(&meant, token(SERVICE, None)).await, 401);
        },
    );
}

#[test]
#[ignore = "needs a Kerberos realm"]
fn what_can_not_work_is_found_when_it_is_set_up() {
    SEATTLE.run(
        "incoming::what_can_not_work_is_found_when_it_is_set_up",
        || async {
            let check = |made: Result<MachineAccounts, _>, words: &str| {
                let said =
                    Result::<_, cas_proxy::second_cas::NotUsable>::unwrap_err(made).to_string();
                assert!(said.contains(words), "{said}");
            };
            let good = || MachineAccounts::serving(SERVICE, &account("dallas")).unwrap();
            check(
                MachineAccounts::serving("HTTP/nowhere@FOURTHCOFFEE.TEST", &account("dallas")),
                "no key for HTTP/nowhere",
            );
            check(
                MachineAccounts::serving("HTTP/localhost", &account("dallas")),
                "ACCOUNT@REALM",
            );
            check(good().trust("SEATTLE$"), "ACCOUNT@REALM");
            check(good().trust("dallas$@FOURTHCOFFEE.TEST"), "own account");
        },
    );
}
