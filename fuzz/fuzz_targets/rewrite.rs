//! Only the other side's origin is ever replaced, and no cookie is left for a whole domain.
#![no_main]

use std::net::Ipv6Addr;

use cas_proxy::{
    directory::{InternalUrl, Origin},
    wire::rewrite,
};
use cas_proxy_fuzz::headers;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Some((choice, text)) = text.split_first() else {
        return;
    };
    let second = ORIGINS[usize::from(*choice) % ORIGINS.len()];
    let (second, first) = (origin(second), origin("https://mail.contoso.com"));
    let before = headers(text.split(|&byte| byte == b'\n'));

    let mut after = before.clone();
    rewrite::response(&mut after, &second, &first);
    assert_eq!(before.len(), after.len());
    for ((name, old), (_, new)) in before.iter().zip(&after) {
        let (old, new) = (old.as_bytes(), new.as_bytes());
        match name.as_str() {
            "location" | "content-location" => check_url(old, new, &second, &first),
            "refresh" if old != new => check_within(old, new, &second, &first),
            "set-cookie" => check_cookie(old, new),
            _ => assert_eq!(old, new, "{name}"),
        }
    }
    let mut twice = after.clone();
    rewrite::response(&mut twice, &second, &first);
    assert_eq!(after, twice);

    let mut after = before.clone();
    rewrite::request(&mut after, &first, &second);
    for ((name, old), (_, new)) in before.iter().zip(&after) {
        match name.as_str() {
            "destination" => check_url(old.as_bytes(), new.as_bytes(), &first, &second),
            _ => assert_eq!(old, new, "{name}"),
        }
    }
});

fn check_url(old: &[u8], new: &[u8], from: &Origin, to: &Origin) {
    if old != new {
        let rest = new
            .strip_prefix(shown(to).as_bytes())
            .expect("the origin the reader knows");
        let replaced = old.strip_suffix(rest).expect("every byte behind it");
        check_replaced(replaced, from);
        assert!(matches!(
            rest.first(),
            None | Some(b'/' | b'?' | b'#' | b'"' | b'\'' | b' ')
        ));
    } else if from != to {
        // A URL written in the plainest way is never left.
        let plain = [&shown(from), "/"].concat();
        assert!(!old.to_ascii_lowercase().starts_with(plain.as_bytes()));
    }
}

/// The same, somewhere in the value.
fn check_within(old: &[u8], new: &[u8], from: &Origin, to: &Origin) {
    let to = shown(to);
    let is_it = |at: &usize| {
        let (before, after) = new.split_at(*at);
        after.starts_with(to.as_bytes()) && old.starts_with(before)
    };
    let found = (0..new.len()).filter(is_it).any(|at| {
        let rest = &new[at + to.len()..];
        old.strip_suffix(rest)
            .is_some_and(|start| start.len() >= at && is_replaced(&start[at..], from))
    });
    assert!(found, "{} {}", old.escape_ascii(), new.escape_ascii());
}

#[track_caller]
fn check_replaced(replaced: &[u8], from: &Origin) {
    assert!(is_replaced(replaced, from), "{}", replaced.escape_ascii());
}

/// Whether this is `from` and no other origin: its scheme or none, its host, its port or what goes without saying.
fn is_replaced(replaced: &[u8], from: &Origin) -> bool {
    let text = String::from_utf8_lossy(replaced).to_ascii_lowercase();
    let scheme = [from.scheme().as_str(), ":"].concat();
    let url = text.strip_prefix(&scheme).unwrap_or(&text);
    let Some(authority) = url.strip_prefix("//") else {
        return false;
    };
    let default = if from.is_https() { 443 } else { 80 };
    let behind_bracket = authority.rfind(']').unwrap_or_default();
    let (host, port) = match authority[behind_bracket..].rfind(':') {
        Some(colon) => authority.split_at(behind_bracket + colon),
        None => (authority, ""),
    };
    let is_port = match port.trim_start_matches(':') {
        "" => from.port() == default,
        digits => digits.parse() == Ok(from.port()),
    };
    let address = |text: &str| text.parse::<Ipv6Addr>().ok();
    let is_host = match host.strip_prefix('[') {
        None => host.strip_suffix('.').unwrap_or(host) == from.host(),
        Some(host) => address(host.trim_end_matches(']')) == address(from.host()),
    };
    is_host && is_port
}

fn check_cookie(old: &[u8], new: &[u8]) {
    let pieces = |cookie: &[u8]| -> Vec<Vec<u8>> {
        let pieces = cookie.split(|&byte| byte == b';').enumerate();
        let kept = pieces.filter(|(at, piece)| {
            let name = piece.split(|&byte| byte == b'=').next().unwrap();
            *at == 0 || !name.trim_ascii().eq_ignore_ascii_case(b"domain")
        });
        kept.map(|(_, piece)| piece.to_vec()).collect()
    };
    assert_eq!(
        pieces(new).len(),
        new.split(|&byte| byte == b';').count(),
        "a Domain is left"
    );
    assert_eq!(pieces(old), pieces(new), "nothing else is changed");
}

fn shown(origin: &Origin) -> String {
    [origin.scheme().as_str(), "://", origin.authority().as_str()].concat()
}

fn origin(text: &str) -> Origin {
    let url: InternalUrl = format!("{text}/owa").parse().unwrap();
    url.origin().clone()
}

const ORIGINS: [&str; 4] = [
    "https://dallas.corp",
    "http://dallas.corp:8080",
    "https://dallas.corp:8443",
    "https://[fd00::1]",
];
