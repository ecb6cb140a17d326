//! What a request and its answer lose and gain on their way through the first CAS, byte by byte, against what the two
//! ends would have told each other directly. More of it by hand:
//!
//! ```sh
//! CAS_PROXY_DIFFERENCES=100000 cargo test --release --test it differential -- --nocapture
//! ```

use std::{collections::BTreeMap, sync::Arc};

use cas_proxy::{directory::MailboxKey, first_cas::CasProxyLayer, lookup::Answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{
    EXCHANGE_2007,
    browser::connect,
    dice::{Dice, how_many},
    here, mailbox,
    pipes::Pipes,
};

/// What may differ, and who says so: a name (`*` for the rest of it), whether it may be lost, gained or changed.
const DOCUMENTED: &[(&str, &[Change], &str)] = {
    use Change::*;
    &[
        ("host", &[Changed], "copy-request"),
        ("authorization", &[Lost], "copy-request"),
        ("proxy-authorization", &[Lost], "copy-request"),
        ("connection", &[Lost], "copy-request"),
        ("keep-alive", &[Lost], "copy-request"),
        ("proxy-connection", &[Lost], "copy-request"),
        ("upgrade", &[Lost], "copy-request"),
        ("te", &[Lost, Changed], "copy-request"),
        ("x-named", &[Lost], "copy-request"),
        ("x-forwarded-for", &[Lost], "copy-request"),
        ("x-forwarded-proto", &[Changed, Gained], "copy-request"),
        ("x-forwarded-host", &[Changed, Gained], "copy-request"),
        ("forwarded", &[Changed, Gained], "copy-request"),
        ("cookie", &[Lost, Changed], "cookies"),
        ("via", &[Changed, Gained], "header-via"),
        ("x-owa-proxyuri", &[Gained], "header-uri"),
        ("x-owa-proxyversion", &[Gained], "header-version"),
        ("x-owa-proxysid", &[Changed, Gained], "header-sid"),
        ("x-owa-proxywebpart", &[Gained], "header-webpart"),
        ("x-owa-explicitlogonuser", &[Gained], "header-explicit"),
        ("x_owa_proxysid", &[Lost], "header-client-never"),
        ("msexch*", &[Lost], "header-client-never"),
        ("x-beresource", &[Lost], "header-client-never"),
        ("x-logontype", &[Lost], "header-client-never"),
    ]
};

/// The same for answers.
const DOCUMENTED_OF_ANSWERS: &[(&str, &[Change], &str)] = {
    use Change::*;
    &[
        ("server", &[Lost], "copy-response"),
        ("x-powered-by", &[Lost], "copy-response"),
        ("x-aspnet-version", &[Lost], "copy-response"),
        ("www-authenticate", &[Lost], "copy-response"),
        ("x-owa-proxysid", &[Lost], "copy-response"),
        ("connection", &[Lost], "copy-response"),
        ("keep-alive", &[Lost], "copy-response"),
        ("x-named", &[Lost], "copy-response"),
        ("set-cookie", &[Changed], "cookies"),
        ("location", &[Changed], "location"),
        ("content-location", &[Changed], "location"),
        ("via", &[Changed, Gained], "header-via"),
        // Whoever has a clock says the time where it is missing.
        ("date", &[Gained], "RFC 9110 section 6.6.1"),
    ]
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Lost,
    Gained,
    Changed,
}

type Lines = BTreeMap<String, Vec<String>>;

/// The first line, and the lines of each name.
fn parsed(head: &str) -> (String, Lines) {
    let mut lines = head.trim_end().split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let mut all = Lines::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let values = all.entry(name.to_ascii_lowercase()).or_default();
        values.push(value.trim().to_owned());
    }
    (first, all)
}

fn changes(direct: &Lines, through: &Lines) -> Vec<(String, Change)> {
    let lost = direct.keys().filter(|name| !through.contains_key(*name));
    let lost = lost.map(|name| (name.clone(), Change::Lost));
    let others = through.iter().filter_map(|(name, values)| {
        let change = match direct.get(name) {
            None => Change::Gained,
            Some(same) if same == values => return None,
            Some(_) => Change::Changed,
        };
        Some((name.clone(), change))
    });
    lost.chain(others).collect()
}

fn is_documented(list: &[(&str, &[Change], &str)], name: &str, change: Change) -> bool {
    list.iter().any(|(pattern, changes, _)| {
        let fits = match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        };
        fits && changes.contains(&change)
    })
}

fn target(dice: &mut Dice) -> String {
    const SIGNS: &[u8] = b"abcXYZ019-._~!$&'()*+,;=:@";
    let mut target = "/owa/".to_owned();
    if dice.one_in(6) {
        target += "bob@contoso.com/";
    }
    for _ in 0..dice.below(20) {
        match dice.below(8) {
            0 if dice.one_in(20) => target += &format!("%{:02X}", dice.below(256)),
            0 | 1 => target += dice.pick(ESCAPES),
            2 => target.push('/'),
            _ => target.push(char::from(dice.pick(SIGNS))),
        }
    }
    if dice.one_in(2) {
        target.push('?');
        if dice.one_in(4) {
            target += "cmd=contents&";
        }
        for _ in 0..dice.below(20) {
            match dice.below(6) {
                0 => target += &format!("%{:02x}", dice.below(256)),
                1 => target.push(dice.pick(&['/', '?', '"', '{', '}'])),
                _ => target.push(char::from(dice.pick(SIGNS))),
            }
        }
    }
    target
}

const ESCAPES: &[&str] = &[
    "%20",
    "%2B",
    "%2b",
    "%3f",
    "%3F",
    "%40",
    "%26",
    "%C3%A4",
    "%c3%a4",
    "%E2%82%AC",
    "%41",
    "%7e",
];

/// Lines of a head: some that mean something to somebody, and some that mean nothing.
fn lines(dice: &mut Dice, special: &[&str]) -> String {
    let mut lines = String::new();
    for _ in 0..dice.below(6) {
        if dice.one_in(2) {
            lines += dice.pick(special);
        } else {
            lines += dice.pick(&["X-Made-Up-", "accept-", "Zz", "content-Q"]);
            for _ in 0..dice.below(3) {
                lines.push(char::from(b'a' + dice.below(26) as u8));
            }
            lines += ": ";
            for _ in 0..dice.below(20) {
                lines.push(char::from(0x21 + dice.below(0x5e) as u8));
            }
        }
        lines += "\r\n";
    }
    lines
}

const REQUESTS: &[&str] = &[
    "Authorization: Basic eDp5",
    "Proxy-Authorization: Basic eDp5",
    "Connection: X-Named, keep-alive",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Connection: Upgrade",
    // Of a protocol that is not allowed; one that is has a connection of its own.
    "Upgrade: chat/1",
    "TE: trailers, deflate;q=0.5",
    "TE: gzip",
    "X-Named: 1",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: gopher",
    "X-Forwarded-Host: evil.example",
    "Forwarded: for=192.0.2.1",
    "Cookie: a=1; cadata=2",
    "Cookie: sessionid=3",
    "Cookie: b=4",
    "Via: 1.1 elsewhere",
    "X-OWA-ProxySid: S-1-5-18",
    "X_OWA_ProxySid: S-1-5-18",
    "msExchLogonMailbox: x",
    "X-BEResource: evil.example",
    "X-LogonType: 1",
    "Accept-Encoding: gzip, br",
    "Range: bytes=0-1",
    "If-Modified-Since: Wed, 01 Jan 2031 00:00:00 GMT",
    "Origin: https://evil.example",
    "User-Agent: a/1 (b; c)",
];

const ANSWERS: &[&str] = &[
    "Server: IIS/7.0",
    "X-Powered-By: ASP.NET",
    "X-AspNet-Version: 2.0.50727",
    "WWW-Authenticate: Negotiate",
    "X-OWA-ProxySid: S-1-5-18",
    "Connection: X-Named",
    "Keep-Alive: timeout=5",
    "X-Named: 1",
    "Set-Cookie: a=1; Domain=dallas.corp; path=/",
    "Set-Cookie: b=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT",
    "Location: http://dallas.corp/owa/?x",
    "Location: https://elsewhere.example/",
    "Content-Location: http://dallas.corp/owa/y",
    "Via: 1.1 elsewhere",
    "Date: Wed, 01 Jan 2031 00:00:00 GMT",
    "ETag: \"x\"",
    "Vary: Cookie",
    "Cache-Control: no-store, x=\"a,b\"",
    "X-OWA-Version: 8.3.83.6",
];

/// Reads an answer's head and its body of four bytes.
async fn answer(client: &mut DuplexStream) -> Option<String> {
    let mut answer = Vec::new();
    loop {
        if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(answer[..end + 4].to_vec()).unwrap();
            let (_, lines) = parsed(&head);
            let length: usize = lines["content-length"][0].parse().unwrap();
            if answer.len() >= end + 4 + length {
                return Some(head);
            }
        }
        if client.read_buf(&mut answer).await.unwrap() == 0 {
            return None;
        }
    }
}

fn layer(pipes: &Pipes) -> CasProxyLayer {
    let mut policy = cas_proxy::decision::Policy::default();
    policy.allow_proxying_without_ssl = true;
    let dallas = |_: MailboxKey| async {
        Ok(Answer::Found(Arc::new(mailbox(
            "mbx",
            "Dallas",
            EXCHANGE_2007,
        ))))
    };
    CasProxyLayer::with_outbound(here(), Pipes::topology(&["dallas"]), dallas, pipes.client())
        .external_url(&"https://mail.contoso.com/owa".parse().unwrap())
        .policy(policy)
}

fn is_version_folder(segment: &str) -> bool {
    segment.contains('.')
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

//= src/docs/protocol.md#copy-path
//= src/docs/protocol.md#copy-request
//= src/docs/protocol.md#copy-response
#[tokio::test(start_paused = true)]
async fn nothing_differs_from_a_direct_request_but_what_is_documented() {
    let first = how_many("CAS_PROXY_SEED", 20_070_910) as u64;
    let requests = how_many("CAS_PROXY_DIFFERENCES", 10_000);
    let pipes = Pipes::new();
    let layer = layer(&pipes);
    let (mut client, mut hop) = (connect(&layer, 2), None);
    let mut seen = [BTreeMap::<(String, Change), usize>::new(), BTreeMap::new()];
    let mut refused = 0;
    for number in 0..requests {
        let seed = first + number as u64;
        let dice = &mut Dice::new(seed);
        let target = target(dice);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: mail.contoso.com\r\n{}\r\n",
            lines(dice, REQUESTS)
        );
        let said = format!(
            "HTTP/1.1 {} Said\r\n{}Content-Length: 4\r\n\r\n",
            dice.pick(&[200, 200, 302, 404, 500]),
            lines(dice, ANSWERS)
        );
        let context =
            || format!("CAS_PROXY_SEED={seed} CAS_PROXY_DIFFERENCES=1: {request:?}, {said:?}");
        client.write_all(request.as_bytes()).await.unwrap();
        let kept = hop.take();
        let serving = async {
            let mut line = match kept {
                Some(line) => line,
                None => pipes.accept().await,
            };
            let head = match line.next_head().await {
                Some(head) => head,
                // It had been closed meanwhile.
                None => {
                    line = pipes.accept().await;
                    line.head().await
                }
            };
            line.answer(&said).await;
            line.answer("mail").await;
            (line, head)
        };
        let mut serving = std::pin::pin!(serving);
        let (arrived, answered) = tokio::select! {
            biased;
            (line, head) = &mut serving => {
                hop = Some(line);
                (head, answer(&mut client).await)
            }
            // Refused here, dot segments and control characters, or served here: static folders of a version.
            answered = answer(&mut client) => {
                let answered = answered.unwrap_or_default();
                let is_static = is_version_folder(target.split('/').nth(2).unwrap_or_default());
                let as_expected = answered.starts_with("HTTP/1.1 400 ")
                    || is_static && answered.starts_with("HTTP/1.1 200 ");
                assert!(as_expected, "{answered}, {}", context());
                refused += 1;
                client = connect(&layer, 2);
                continue;
            }
        };
        let answered = answered.unwrap_or_else(|| panic!("no answer, {}", context()));
        let ways = [
            (&request, &arrived, DOCUMENTED),
            (&said, &answered, DOCUMENTED_OF_ANSWERS),
        ];
        for (way, (direct, through, list)) in ways.into_iter().enumerate() {
            let ((line, direct), (arrived, through)) = (parsed(direct), parsed(through));
            // Of an answer, the reason is the hop's own.
            let kept = if way == 0 {
                line.len()
            } else {
                "HTTP/1.1 200".len()
            };
            assert_eq!(arrived.get(..kept), line.get(..kept), "{}", context());
            for (name, change) in changes(&direct, &through) {
                assert!(
                    is_documented(list, &name, change),
                    "{name} is {change:?}: {direct:?} and {through:?}, {}",
                    context()
                );
                *seen[way].entry((name, change)).or_default() += 1;
            }
        }
        if answered.contains("connection: close") {
            client = connect(&layer, 2);
        }
    }
    println!("{requests} requests, {refused} of them refused; differences: {seen:?}");
    assert!(refused < requests / 2, "most are compared");
    if requests >= 1000 {
        for (list, seen) in [DOCUMENTED, DOCUMENTED_OF_ANSWERS].iter().zip(&seen) {
            for (pattern, changes, id) in *list {
                for change in *changes {
                    let is = |(name, seen): &(String, Change)| {
                        seen == change && name.starts_with(pattern.trim_end_matches('*'))
                    };
                    assert!(seen.keys().any(is), "{id}: {pattern} is never {change:?}");
                }
            }
        }
    }
}
