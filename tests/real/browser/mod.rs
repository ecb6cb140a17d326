//! The pages in a real browser: whatever a user, a directory or a path brought in, no script of theirs runs.
//!
//! A page says that its script ran by fetching from a listener on loopback that counts, and by changing itself.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use cas_proxy::{
    directory::ExternalUrl,
    pages::{Audience, Page, SecondHop, render},
};
use http::{HeaderMap, HeaderValue, Method, Response};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Shows one page at a time, and counts whatever else is asked for.
struct Site {
    url: String,
    others: Arc<AtomicUsize>,
    _server: tokio::task::JoinSet<()>,
}

impl Site {
    /// `page` makes the answer, given the address to which a script would report.
    async fn open(page: impl FnOnce(&str) -> Response<Bytes>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (answer, others) = (written(&page(&url)), Arc::<AtomicUsize>::default());
        let counter = Arc::clone(&others);
        let mut server = tokio::task::JoinSet::new();
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (answer, counter) = (answer.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    let mut head = vec![0; 16 * 1024];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..read]);
                    if head.starts_with("GET / ") {
                        let _ = stream.write_all(&answer).await;
                    } else if !head.starts_with("GET /favicon.ico") && read > 0 {
                        counter.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            url,
            others,
            _server: server,
        }
    }

    /// The document after its scripts have had their time, and how often something else was fetched.
    async fn visit(&self, name: &str) -> (String, usize) {
        let profile = Profile(
            std::env::temp_dir().join(format!("cas-proxy-browser-{}-{name}", std::process::id())),
        );
        let url = self.url.clone();
        let run = move || {
            let mut chromium = Command::new("chromium");
            chromium
                .args(FLAGS)
                .arg(format!("--user-data-dir={}", profile.0.display()))
                .args(["--virtual-time-budget=5000", "--dump-dom"])
                .arg(url);
            (chromium.output().expect("chromium is installed"), profile)
        };
        let (shown, _profile) = tokio::task::spawn_blocking(run).await.unwrap();
        let document = String::from_utf8(shown.stdout).unwrap();
        assert!(
            document.contains("</html>"),
            "{name}: {}",
            String::from_utf8_lossy(&shown.stderr)
        );
        (document, self.others.load(Ordering::SeqCst))
    }
}

/// A folder of its own, gone afterwards.
struct Profile(PathBuf);

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn written(answer: &Response<Bytes>) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\n",
        answer.status().as_u16()
    )
    .into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    bytes.extend(answer.body());
    bytes
}

/// What reports to `url` if any of it is taken for markup.
fn hostile(url: &str) -> String {
    let script = format!("document.title='ran';new Image().src='{url}ran'");
    format!(
        "<script>{script}</script><img src={url}image onerror=\"{script}\"><svg onload=\"{script}\">\
         </title><script>{script}</script>\" onmouseover=\"{script}\" autofocus onfocus=\"{script}\" x='\
         <iframe src=\"{url}frame\"></iframe><link rel=stylesheet href=\"{url}style\"><meta http-equiv=refresh content=\"0;{url}refresh\">\
         <base href=\"{url}base/\"><style>@import '{url}import'</style>"
    )
}

fn audience() -> Audience {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("text/html"));
    Audience::of(&Method::GET, &headers)
        .with_event(40)
        .with_reference(0x00c0_ffee)
}

/// Each piece of a name is cut at its longest, so the hostile text comes in pieces as well.
fn pieces(url: &str) -> Vec<String> {
    let text = hostile(url);
    let starts = text.match_indices('<').map(|(at, _)| at);
    starts
        .map(|at| text[at..].chars().take(300).collect())
        .collect()
}

/// Without our escaping and our policy the check would notice.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_page_without_protection_would_be_found_out() {
    let site = Site::open(|url| {
        let page = format!(
            "<!DOCTYPE html><html><body><p>{}</p></body></html>",
            hostile(url).replace("<meta", "<m")
        );
        let mut answer = Response::new(Bytes::from(page));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        answer.headers_mut().insert("content-type", html);
        answer
    })
    .await;
    let (document, others) = site.visit("control").await;
    assert!(document.contains("<title>ran</title>"), "{document}");
    assert!(others > 0);
}

/// The policy alone would be enough.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn under_our_policy_not_even_markup_would_run_or_fetch() {
    let site = Site::open(|url| {
        let ours = render(&Page::NotResponding, &audience());
        let page = format!(
            "<!DOCTYPE html><html><head><title>t</title></head><body>{}</body></html>",
            hostile(url).replace("<meta", "<m")
        );
        let mut answer = ours.map(|_| Bytes::from(page));
        answer.headers_mut().remove("content-length");
        answer
    })
    .await;
    let (document, others) = site.visit("policy").await;
    assert!(document.contains("<title>t</title>"), "{document}");
    assert_eq!(others, 0, "{document}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_hostile_name_runs_no_script_and_fetches_nothing() {
    for number in 0..pieces("").len() {
        let site = Site::open(|url| {
            let name = pieces(url).swap_remove(number);
            render(&Page::NoMailbox { name }, &audience())
        })
        .await;
        let (document, others) = site.visit(&format!("name-{number}")).await;
        assert!(
            document.contains("There is no such mailbox - "),
            "{document}"
        );
        assert!(!document.contains("<title>ran"), "{document}");
        assert_eq!(others, 0, "{document}");
        for markup in ["<script", "<img", "<svg", "<iframe", "<link", "<base"] {
            assert!(!document.contains(markup), "{document}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn a_hostile_external_url_is_no_url_or_only_a_link() {
    for text in [
        "javascript:document.title='ran'",
        "https://e/\"><script>document.title='ran'</script>",
        "https://e/' onclick='document.title=1",
        "https://e/\r\nx: y",
        "data:text/html,<script>1</script>",
    ] {
        assert!(text.parse::<ExternalUrl>().is_err(), "{text}");
    }
    let site = Site::open(|_| {
        let url = "https://evil.example/owa/&quot;onmouseover=x;<b>%22%3E%3Cscript%3E"
            .replace(['<', '>'], "");
        let url: ExternalUrl = url.parse().unwrap();
        render(&Page::Redirect { url, silent: false }, &audience())
    })
    .await;
    let (document, others) = site.visit("link").await;
    assert!(
        document.contains("<a href=\"https://evil.example/owa/&amp;quot;"),
        "{document}"
    );
    assert!(
        !document.contains("<script") && !document.contains("<b>"),
        "{document}"
    );
    assert_eq!(others, 0);
}

/// Pictures of every kind of page, for people to look at: in the folder that `CAS_PROXY_PICTURES` names, if it does.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium"]
async fn every_page_is_shown_whole() {
    let url: ExternalUrl = "https://denver.contoso.com/owa".parse().unwrap();
    let name = r"CONTOSO\anna".to_owned();
    let pages = [
        ("not-responding", Page::NotResponding),
        ("not-configured", Page::NotConfigured),
        ("no-mailbox", Page::NoMailbox { name }),
        ("sign-in", Page::IdentityMissing),
        ("refused", Page::RefusedCaller),
        ("bad-request", Page::BadRequest),
        ("again", Page::CannotBeGivenAgain),
        ("tls", Page::SecondHop(SecondHop::Tls)),
        ("elsewhere", Page::Redirect { url, silent: false }),
    ];
    let pictures = std::env::var_os("CAS_PROXY_PICTURES").map(PathBuf::from);
    for (name, page) in pages {
        let site = Site::open(|_| render(&page, &audience())).await;
        let (document, others) = site.visit(name).await;
        assert!(
            document.contains("<h1>") && document.contains("Outlook Web Access"),
            "{document}"
        );
        assert_eq!(others, 0, "{name}");
        if let Some(folder) = &pictures {
            let profile = Profile(
                std::env::temp_dir().join(format!("cas-proxy-picture-{}", std::process::id())),
            );
            let mut chromium = Command::new("chromium");
            chromium
                .args(FLAGS)
                .arg(format!("--user-data-dir={}", profile.0.display()))
                .arg("--window-size=900,600")
                .arg(format!(
                    "--screenshot={}",
                    folder.join(name).with_extension("png").display()
                ))
                .arg(&site.url);
            let taken = tokio::task::spawn_blocking(move || chromium.output()).await;
            assert!(taken.unwrap().unwrap().status.success());
        }
    }
}

/// As root and without a screen; nothing but what it is told to fetch.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
];
