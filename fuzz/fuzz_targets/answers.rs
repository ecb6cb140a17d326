//! Any bytes from a second CAS, through the client and the first CAS: what a browser gets is one whole answer, and no
//! more of the other server than it may know.
//!
//! The first byte says what is asked for. A line `%%` ends what the second CAS says to one request.
#![no_main]

#[allow(dead_code, reason = "shared, and not all of it is of use here")]
#[path = "../../tests/it/support/company.rs"]
mod company;

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cas_proxy::{
    decision::Policy,
    directory::{ClientAccessServer, Origin, Topology},
    first_cas::CasProxyLayer,
    outbound::Client,
};
use cas_proxy_fuzz::{check_for_browsers, converse, run};
use company::{here, lookup, name, site, user};
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tower::{Layer, ServiceBuilder, service_fn};

fuzz_target!(|input: &[u8]| {
    let Some((choice, said)) = input.split_first() else {
        return;
    };
    let method = METHODS[usize::from(*choice) % METHODS.len()];
    let (answer, ended) = run(ask(method, said));
    assert!(ended, "a request without an end");
    check_whole(&answer, method);
});

/// One request of a user whose mailbox is in Dallas. Gives the answer, and whether the connection came to its end.
async fn ask(method: &str, said: &[u8]) -> (Vec<u8>, bool) {
    let said: VecDeque<Vec<u8>> = pieces(said).map(<[u8]>::to_vec).collect();
    let said = Arc::new(Mutex::new(said));
    let dial = move |_: &Origin| {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(second_cas(far, Arc::clone(&said)));
        std::future::ready(Ok::<_, io::Error>(near))
    };
    let dallas = ClientAccessServer::new(
        name("dallas"),
        site("Dallas"),
        company::EXCHANGE_2007.parse().unwrap(),
    )
    .with_internal_url("http://dallas.corp/owa")
    .with_integrated_windows_authentication();
    let topology = Topology::builder()
        .client_access_server(dallas)
        .build()
        .unwrap();
    let mut policy = Policy::default();
    policy.allow_proxying_without_ssl = true;
    let client = Client::builder().dial(dial).build();
    let first = CasProxyLayer::with_outbound(here(), Arc::new(topology), lookup(), client)
        .external_url(&"https://mail.contoso.com/owa".parse().unwrap())
        .policy(policy);
    let mailbox = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"not here"))))
    });
    let signed_in = ServiceBuilder::new()
        .map_request(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(user(2));
            request
        })
        .service(first.layer(mailbox));
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let serving = http1::Builder::new()
        .serve_connection(TokioIo::new(theirs), TowerToHyperService::new(signed_in));
    let serving = tokio::spawn(serving);
    let body = if method == "POST" {
        "content-length: 3\r\n\r\nabc"
    } else {
        "\r\n"
    };
    let request =
        format!("{method} /owa/ HTTP/1.1\r\nhost: mail.contoso.com\r\nconnection: close\r\n{body}");
    let answer = converse(ours, request.as_bytes()).await;
    (answer, serving.is_finished())
}

/// Says the next piece once there is a request, and goes away when there is none.
async fn second_cas(mut stream: DuplexStream, said: Arc<Mutex<VecDeque<Vec<u8>>>>) {
    loop {
        let mut read = Vec::new();
        while !read.windows(4).any(|part| part == b"\r\n\r\n") {
            if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                return;
            }
        }
        let Some(piece) = said.lock().unwrap().pop_front() else {
            return;
        };
        if stream.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// One answer, and no byte behind it; or none, if the body broke off before anything was sent.
fn check_whole(answer: &[u8], method: &str) {
    if answer.is_empty() {
        return;
    }
    let end = answer
        .windows(4)
        .position(|part| part == b"\r\n\r\n")
        .expect("a whole head");
    let (head, body) = (&answer[..end], &answer[end + 4..]);
    check_for_browsers(head);
    let mut lines = head
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix(b"HTTP/1.1 "))
        .expect("a status line");
    let status: u16 = std::str::from_utf8(&status[..3]).unwrap().parse().unwrap();
    assert!(
        status >= 200 && ![241, 242, 441, 442].contains(&status),
        "{status}"
    );
    let (mut lengths, mut chunked) = (Vec::new(), 0);
    for line in lines {
        assert!(!line.contains(&b'\r') && !line.contains(&0));
        let colon = line
            .iter()
            .position(|&byte| byte == b':')
            .expect("a header");
        let (name, value) = (
            line[..colon].to_ascii_lowercase(),
            line[colon + 1..].trim_ascii(),
        );
        match name.as_slice() {
            b"content-length" => {
                lengths.push(std::str::from_utf8(value).unwrap().parse::<u64>().unwrap())
            }
            b"transfer-encoding" => {
                assert_eq!(value, b"chunked");
                chunked += 1;
            }
            b"keep-alive" | b"proxy-connection" | b"upgrade" | b"te" => panic!("of one hop"),
            _ => {}
        }
    }
    assert!(lengths.len() + chunked <= 1, "two framings");
    if method == "HEAD" || status == 204 || status == 304 {
        assert!(body.is_empty(), "a body where none is");
    } else if chunked == 1 {
        check_chunks(body);
    } else if let [length] = lengths.as_slice() {
        assert!(body.len() as u64 <= *length);
    }
}

/// Nothing stands behind the last chunk; an answer that broke off may lack it.
fn check_chunks(mut body: &[u8]) {
    while let Some(end) = body.windows(2).position(|part| part == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        body = &body[end + 2..];
        if size == 0 {
            let trailers = body.windows(2).position(|part| part == b"\r\n");
            assert!(body.ends_with(b"\r\n") && trailers.is_some());
            return;
        }
        if body.len() < size + 2 {
            return;
        }
        assert_eq!(&body[size..size + 2], b"\r\n");
        body = &body[size + 2..];
    }
}

fn pieces(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(said);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.windows(3).position(|part| part == b"%%\n");
        rest = end.map(|end| &text[end + 3..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PROPFIND"];
