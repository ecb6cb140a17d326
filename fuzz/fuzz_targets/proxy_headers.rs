//! Uri, Version and Sid come all three, once each, or not at all.
#![no_main]

use cas_proxy::{
    csc::Sid,
    wire::proxy_headers::{self, ProxyHeaders},
};
use cas_proxy_fuzz::{headers, lines};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let headers = headers(text.split(|&byte| byte == b'\n'));
    let count = |name: &HeaderName| headers.get_all(name).iter().count();
    match ProxyHeaders::read(&headers) {
        Ok(None) => assert!(THREE.iter().all(|name| count(name) == 0)),
        Ok(Some(read)) => {
            assert!(THREE.iter().all(|name| count(name) == 1));
            assert!(OTHERS.iter().all(|name| count(name) <= 1));
            check(&headers, &read);
        }
        Err(error) => {
            // Says which, and none of what it held.
            assert!(error.to_string().ends_with(error.header().as_str()));
            let present = THREE.iter().filter(|name| count(name) > 0).count();
            assert!(present > 0 || OTHERS.iter().any(|name| count(name) > 0));
        }
    }
});

fn check(headers: &HeaderMap, read: &ProxyHeaders) {
    let [uri, version, sid] = THREE.map(|name| headers[name].to_str().unwrap());
    // Each has one spelling.
    assert_eq!(read.sid.to_string(), sid);
    assert_eq!(sid.parse::<Sid>(), Ok(read.sid));
    assert_eq!(read.uri, uri);
    assert!(
        version.split('.').count() <= 4
            && version
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
    );
    let host = uri
        .strip_prefix("https://")
        .or_else(|| uri.strip_prefix("http://"));
    let lower = uri.to_ascii_lowercase();
    assert!(
        lower.starts_with("http") && lower.ends_with("/owa"),
        "{uri}"
    );
    if let Some(host) = host {
        assert!(
            !host.contains(['@', '?', '#', '\\', '%', '<', '"', ' ']),
            "{uri}"
        );
        assert_eq!(host.matches('/').count(), 1, "{uri}");
    }

    let explicit = read.explicit_logon.as_ref();
    let explicit = explicit.map(|address| HeaderValue::from_str(address.as_str()).unwrap());
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    let (version, sid) = (value(&read.version.to_string()), value(sid));
    let mut written = HeaderMap::new();
    // What was there before does not matter.
    for name in THREE.iter().chain(&OTHERS) {
        written.append(name, HeaderValue::from_static("x"));
        written.append(name, HeaderValue::from_static("y"));
    }
    proxy_headers::write(
        &mut written,
        &read.uri,
        &version,
        &sid,
        read.web_part,
        explicit.as_ref(),
    );
    assert_eq!(
        ProxyHeaders::read(&written).as_ref(),
        Ok(&Some(read.clone()))
    );
    assert_eq!(lines(&written, &THREE[2]), [sid.as_bytes()]);
    // By itself: the URI may happen to hold the same signs.
    assert!(!format!("{:?}", written[&THREE[2]]).contains(sid.to_str().unwrap()));
}

const THREE: [HeaderName; 3] = [
    HeaderName::from_static("x-owa-proxyuri"),
    HeaderName::from_static("x-owa-proxyversion"),
    HeaderName::from_static("x-owa-proxysid"),
];
const OTHERS: [HeaderName; 2] = [
    HeaderName::from_static("x-owa-proxywebpart"),
    HeaderName::from_static("x-owa-explicitlogonuser"),
];
