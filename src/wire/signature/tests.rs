//! Both directions together: the RFC's vector, round trips, changed bits, and another implementation's opinion.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::Mac;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, request::Parts};
use proptest::prelude::*;

use super::{
    base,
    fields::{Components, Input, parse_signature},
    *,
};
use crate::wire::names::is_identity_name;

const NOW: u64 = 1_700_000_000;
const HOST: &str = "dallas.fourthcoffee.com";
const SECRET: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

fn key() -> SharedKey {
    SharedKey::new("chicago", &SECRET).unwrap()
}

/// A proxy login as a first CAS sends it, signed.
fn login() -> Parts {
    signed(
        Request::post("/owa/anna@fourthcoffee.com/proxyLogon.owa?a=%2F&b")
            .header("host", HOST)
            .header("user-agent", "anything")
            .header("x-owa-proxyuri", "https://mail.contoso.com/owa")
            .header("x-owa-proxyversion", "8.1.240.5")
            .header("x-owa-proxysid", "S-1-5-21-1-2-3-1105")
            .header("x-owa-proxywebpart", "1")
            .header("x-owa-explicitlogonuser", "anna@fourthcoffee.com")
            .header("content-digest", content_digest::of(b"body")),
    )
}

fn ping() -> Parts {
    signed(Request::get("/owa/ping.owa").header("host", HOST))
}

fn signed(request: http::request::Builder) -> Parts {
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let target = Target::new(&parts.method, HOST, &parts.uri);
    let signed = key()
        .sign(&target, &parts.headers, NOW, *b"sixteen bytes ok")
        .unwrap();
    signed.insert_into(&mut parts.headers);
    parts
}

fn verify_at(parts: &Parts, key: &SharedKey, now: u64) -> Result<(), SignatureError> {
    let own = [
        OwnAuthority::new(HOST).unwrap(),
        OwnAuthority::new("cas.fourthcoffee.com").unwrap(),
    ];
    let target = Target::received(parts, &own)?;
    Presented::read(&parts.headers)?
        .ok_or(SignatureError::Incomplete)?
        .verify(key, &target, now)
}

fn verify(parts: &Parts) -> Result<(), SignatureError> {
    verify_at(parts, &key(), NOW)
}

#[test]
fn rfc_9421_appendix_b_2_5() {
    let secret =
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let key = SharedKey::new("test-shared-secret", &STANDARD.decode(secret).unwrap()).unwrap();
    let input = r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let (parts, ()) = Request::post("/foo?param=Value&Pet=dog")
        .header("host", "example.com")
        .header("date", "Tue, 20 Apr 2021 02:07:55 GMT")
        .header("content-type", "application/json")
        .header("content-length", "18")
        .header("signature-input", input)
        .header(
            "signature",
            "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
        )
        .body(())
        .unwrap()
        .into_parts();
    let target = Target::new(&parts.method, "example.com", &parts.uri);
    let mut components = Components::default();
    assert!(
        ["date", "@authority", "content-type"]
            .into_iter()
            .all(|name| components.push(name))
    );
    let params = input.strip_prefix("sig-b25=").unwrap();
    let mut mac = key.start();
    base::write(
        &target,
        &parts.headers,
        &components,
        params.as_bytes(),
        |piece| mac.update(piece),
    )
    .unwrap();
    let signature =
        parse_signature(parts.headers["signature"].to_str().unwrap(), "sig-b25").unwrap();
    assert!(mac.verify_slice(&signature).is_ok());
    // Correct as it is, it is not enough for us: no nonce, no expiry.
    assert_eq!(
        Presented::read(&parts.headers).unwrap_err(),
        SignatureError::Malformed
    );
}

#[test]
fn what_we_sign_we_accept() {
    for parts in [login(), ping()] {
        assert_eq!(verify(&parts), Ok(()));
    }
    let parts = login();
    let presented = Presented::read(&parts.headers).unwrap().unwrap();
    assert_eq!(presented.key_id(), "chicago");
    assert_eq!(
        (presented.created(), presented.expires()),
        (NOW, NOW + VALIDITY_SECONDS)
    );
    assert_eq!(presented.nonce(), STANDARD.encode(b"sixteen bytes ok"));
    assert_eq!(
        presented.body_digest(),
        Ok(Some(content_digest::sha256(b"body")))
    );
}

#[test]
fn the_headers_look_like_this() {
    assert_eq!(
        ping().headers["signature-input"],
        "cas=(\"@method\" \"@authority\" \"@path\" \"@query\");created=1700000000;expires=1700000060;\
         nonce=\"c2l4dGVlbiBieXRlcyBvaw==\";alg=\"hmac-sha256\";keyid=\"chicago\""
    );
}

#[test]
fn a_request_without_a_signature_has_none() {
    assert!(Presented::read(&HeaderMap::new()).unwrap().is_none());
}

#[test]
fn time_limits_hold_to_the_second() {
    let rows = [
        (
            NOW - MAX_SKEW_SECONDS - 1,
            Err(SignatureError::FromTheFuture),
        ),
        (NOW - MAX_SKEW_SECONDS, Ok(())),
        (NOW + VALIDITY_SECONDS + MAX_SKEW_SECONDS, Ok(())),
        (
            NOW + VALIDITY_SECONDS + MAX_SKEW_SECONDS + 1,
            Err(SignatureError::Expired),
        ),
        (0, Err(SignatureError::FromTheFuture)),
        (u64::MAX, Err(SignatureError::Expired)),
    ];
    for (now, expected) in rows {
        assert_eq!(verify_at(&login(), &key(), now), expected, "{now}");
    }
}

#[test]
fn a_signature_may_not_claim_to_live_for_long() {
    let check = |created: u64, expires: u64, expected| {
        let parts = signed_by_hand(|params| {
            params
                .replace("created=1700000000", &format!("created={created}"))
                .replace("expires=1700000060", &format!("expires={expires}"))
        });
        assert_eq!(verify(&parts), expected, "{created} {expires}");
    };
    check(NOW, NOW, Ok(()));
    check(NOW, NOW + MAX_LIFETIME_SECONDS, Ok(()));
    check(
        NOW,
        NOW + MAX_LIFETIME_SECONDS + 1,
        Err(SignatureError::LifetimeOutOfBounds),
    );
    check(
        NOW,
        999_999_999_999_999,
        Err(SignatureError::LifetimeOutOfBounds),
    );
    check(NOW, NOW - 1, Err(SignatureError::LifetimeOutOfBounds));
}

#[test]
fn each_mandatory_component_has_to_be_covered() {
    for component in base::MANDATORY {
        let parts =
            signed_by_hand(|params| params.replace(&format!("\"{component}\""), "\"host\""));
        assert_eq!(
            verify(&parts),
            Err(SignatureError::ComponentNotCovered),
            "{component}"
        );
    }
}

#[test]
fn covering_more_than_we_ask_for_is_fine() {
    let parts = signed_by_hand(|params| params.replace("\"@query\"", "\"@query\" \"user-agent\""));
    assert_eq!(verify(&parts), Ok(()));
}

#[test]
fn an_identity_header_that_is_not_covered_is_refused_whatever_its_spelling() {
    for name in [
        "x-owa-proxysid",
        "X-OWA-ProxyWebPart",
        "x-owa-explicitlogonuser",
        "x_owa_proxysid",
        "x-owa-proxyanything",
    ] {
        let mut parts = ping();
        parts.headers.insert(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_static("x"),
        );
        assert_eq!(
            verify(&parts),
            Err(SignatureError::IdentityHeaderNotCovered),
            "{name}"
        );
    }
}

#[test]
fn an_identity_header_added_removed_changed_or_repeated_is_refused() {
    let mut parts = login();
    parts.headers.append(
        "x-owa-proxysid",
        HeaderValue::from_static("S-1-5-21-1-2-3-500"),
    );
    assert_eq!(verify(&parts), Err(SignatureError::Mismatch));
    let mut parts = login();
    parts.headers.insert(
        "x-owa-proxysid",
        HeaderValue::from_static("S-1-5-21-1-2-3-500"),
    );
    assert_eq!(verify(&parts), Err(SignatureError::Mismatch));
    let mut parts = login();
    parts.headers.remove("x-owa-proxysid");
    assert_eq!(verify(&parts), Err(SignatureError::CoveredHeaderMissing));
}

#[test]
fn another_key_secret_or_server_is_refused() {
    let other_secret = SharedKey::new("chicago", &[9; 32]).unwrap();
    let other_id = SharedKey::new("boston", &SECRET).unwrap();
    assert_eq!(
        verify_at(&login(), &other_secret, NOW),
        Err(SignatureError::Mismatch)
    );
    assert_eq!(
        verify_at(&login(), &other_id, NOW),
        Err(SignatureError::OtherKey)
    );
    let mut parts = login();
    parts
        .headers
        .insert("host", HeaderValue::from_static("evil.example"));
    assert_eq!(verify(&parts), Err(SignatureError::WrongAuthority));
    // Another name of the same server is still another authority.
    parts
        .headers
        .insert("host", HeaderValue::from_static("cas.fourthcoffee.com"));
    assert_eq!(verify(&parts), Err(SignatureError::Mismatch));
}

#[test]
fn two_signatures_or_half_a_one_are_refused() {
    for name in ["signature", "signature-input"] {
        let mut parts = login();
        let value = parts.headers[name].clone();
        parts.headers.append(name, value.clone());
        assert_eq!(
            verify(&parts),
            Err(SignatureError::Malformed),
            "{name} twice"
        );
        let joined = [value.as_bytes(), b", ", value.as_bytes()].concat();
        parts
            .headers
            .insert(name, HeaderValue::from_bytes(&joined).unwrap());
        assert_eq!(
            verify(&parts),
            Err(SignatureError::Malformed),
            "{name} joined"
        );
        parts.headers.remove(name);
        assert_eq!(verify(&parts), Err(SignatureError::Incomplete), "no {name}");
    }
    let mut parts = login();
    parts
        .headers
        .insert("signature", HeaderValue::from_bytes(b"cas=:\xff:").unwrap());
    assert_eq!(verify(&parts), Err(SignatureError::Malformed));
}

#[test]
fn more_headers_than_a_signature_may_list_are_not_signed() {
    let mut headers = HeaderMap::new();
    for number in 0..20 {
        headers.insert(
            HeaderName::try_from(format!("x-owa-proxy{number}")).unwrap(),
            HeaderValue::from_static(""),
        );
    }
    let uri = Uri::from_static("/owa");
    let target = Target::new(&Method::GET, HOST, &uri);
    assert!(key().sign(&target, &headers, NOW, [0; 16]).is_ok());
    headers.insert("x-owa-proxy20", HeaderValue::from_static(""));
    assert_eq!(
        key().sign(&target, &headers, NOW, [0; 16]).unwrap_err(),
        SignatureError::TooManyComponents
    );
}

#[test]
fn nothing_is_signed_that_nobody_would_read() {
    let uri = Uri::from_static("/owa");
    let target = Target::new(&Method::GET, HOST, &uri);
    for length in 1_600..2_048 {
        let name = format!("msexch{}", "x".repeat(length));
        let mut headers = HeaderMap::new();
        headers.insert(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::from_static(""),
        );
        match key().sign(&target, &headers, NOW, [0; 16]) {
            Ok(signed) => {
                signed.insert_into(&mut headers);
                assert!(Presented::read(&headers).is_ok(), "{length}");
            }
            Err(error) => assert_eq!(error, SignatureError::TooManyComponents),
        }
    }
}

#[test]
fn times_of_any_size_are_written_in_decimal() {
    for now in [0, 9, 10, 1_700_000_000, u64::MAX - 60, u64::MAX] {
        let (parts, ()) = Request::get("/owa").body(()).unwrap().into_parts();
        let signed = key()
            .sign(
                &Target::new(&parts.method, HOST, &parts.uri),
                &parts.headers,
                now,
                [0; 16],
            )
            .unwrap();
        let mut headers = HeaderMap::new();
        signed.insert_into(&mut headers);
        let text = headers["signature-input"].to_str().unwrap().to_owned();
        let expected = format!(";created={now};expires={};", now.saturating_add(60));
        assert!(text.contains(&expected), "{text}");
    }
}

/// Every single bit of everything a signature covers, and of the signature's own two headers, in requests of all sizes:
/// refused, or nothing of what the request says has changed.
#[test]
fn no_flipped_bit_goes_unnoticed() {
    let (mut flips, mut accepted) = (0_u32, 0_u32);
    for original in [login(), ping()].into_iter().chain((0..).map(some_request)) {
        if flips >= 100_000 {
            break;
        }
        let expected = said(&original);
        flips_of_request(&original, |changed| {
            flips += 1;
            if verify(&changed).is_ok() {
                accepted += 1;
                assert_eq!(said(&changed), expected);
            }
        });
        assert_eq!(verify(&original), Ok(()));
    }
    // Letters of a host, and of a field that nobody reads, are all that may change.
    assert!(accepted < flips / 20, "{accepted} of {flips}");
}

/// Another for each number.
fn some_request(number: usize) -> Parts {
    let path = "/owa/anna%40fourthcoffee.com/ev.owa";
    let path = &path[..path.len() - number % 9];
    let mut request = Request::builder()
        .method(["GET", "PROPFIND", "X-Y"][number % 3])
        .uri(format!("{path}?{}", "a=%2F&".repeat(number % 7)))
        .header("host", HOST)
        .header("x-owa-proxysid", format!("S-1-5-21-{number}-2-3-1105"));
    if number.is_multiple_of(2) {
        request = request.header(
            "x-owa-explicitlogonuser",
            format!("user{number}@contoso.com"),
        );
    }
    signed(request)
}

/// Gives `check` the request with each of its bits changed, one at a time.
fn flips_of_request(original: &Parts, mut check: impl FnMut(Parts)) {
    for name in original.headers.keys().filter(|name| *name != "user-agent") {
        for flipped in flips_of(original.headers[name].as_bytes()) {
            let Ok(value) = HeaderValue::from_bytes(&flipped) else {
                continue;
            };
            let mut changed = original.clone();
            changed.headers.insert(name, value);
            check(changed);
        }
        for flipped in flips_of(name.as_str().as_bytes()) {
            let Ok(flipped) = HeaderName::from_bytes(&flipped) else {
                continue;
            };
            let mut changed = original.clone();
            let value = changed.headers.remove(name).unwrap();
            changed.headers.insert(flipped, value);
            check(changed);
        }
    }
    for flipped in flips_of(original.uri.to_string().as_bytes()) {
        let Ok(uri) = Uri::from_maybe_shared(flipped) else {
            continue;
        };
        let mut changed = original.clone();
        changed.uri = uri;
        check(changed);
    }
    for flipped in flips_of(original.method.as_str().as_bytes()) {
        let Ok(method) = Method::from_bytes(&flipped) else {
            continue;
        };
        let mut changed = original.clone();
        changed.method = method;
        check(changed);
    }
}

/// Everything a second CAS may act on: method, target, authority in any case, identity headers, digest.
fn said(parts: &Parts) -> (Method, String, String, Vec<(String, Vec<u8>)>) {
    let mut headers: Vec<_> = parts
        .headers
        .iter()
        .filter(|(name, _)| is_identity_name(name) || *name == "content-digest")
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    headers.sort();
    let host = parts.headers["host"].to_str().unwrap().to_ascii_lowercase();
    (parts.method.clone(), parts.uri.to_string(), host, headers)
}

fn flips_of(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// A ping whose signature is right for parameters of the test's choosing.
fn signed_by_hand(change: impl FnOnce(&str) -> String) -> Parts {
    let mut parts = ping();
    parts
        .headers
        .insert("user-agent", HeaderValue::from_static("by hand"));
    let field = change(parts.headers["signature-input"].to_str().unwrap());
    let input = Input::parse(&field).unwrap();
    let target = Target::new(&parts.method, HOST, &parts.uri);
    let mut mac = key().start();
    base::write(
        &target,
        &parts.headers,
        &input.components,
        input.params.as_bytes(),
        |piece| mac.update(piece),
    )
    .unwrap();
    let signature = format!("cas=:{}:", STANDARD.encode(mac.finalize().into_bytes()));
    parts
        .headers
        .insert("signature", HeaderValue::try_from(signature).unwrap());
    parts
        .headers
        .insert("signature-input", HeaderValue::try_from(field).unwrap());
    parts
}

/// `httpsig` as oracle: an implementation of RFC 9421 we share no line with.
mod oracle {
    use httpsig::prelude::{
        AlgorithmName, HttpSignatureBase, HttpSignatureHeaders, HttpSignatureParams,
        SharedKey as TheirKey, VerifyingKey,
        message_component::{HttpMessageComponent, HttpMessageComponentId},
    };

    use super::*;

    fn their_key() -> TheirKey {
        TheirKey::from_base64(&AlgorithmName::HmacSha256, &STANDARD.encode(SECRET)).unwrap()
    }

    fn lines(parts: &Parts, ids: &[HttpMessageComponentId]) -> Vec<HttpMessageComponent> {
        let value = |name: &str| match name {
            "@method" => parts.method.to_string(),
            "@authority" => HOST.to_owned(),
            "@path" => parts.uri.path().to_owned(),
            "@query" => format!("?{}", parts.uri.query().unwrap_or_default()),
            field => parts.headers[field].to_str().unwrap().to_owned(),
        };
        ids.iter()
            .map(|id| {
                HttpMessageComponent::try_from((
                    id,
                    [value(id.name.to_string().trim_matches('"'))].as_slice(),
                ))
                .unwrap()
            })
            .collect()
    }

    #[test]
    fn it_accepts_what_we_sign() {
        for parts in [login(), ping()] {
            let text = |name: &str| parts.headers[name].to_str().unwrap();
            let read = HttpSignatureHeaders::try_parse(text("signature"), text("signature-input"))
                .unwrap();
            let read = &read["cas"];
            let params = read.signature_params();
            assert_eq!(params.keyid.as_deref(), Some("chicago"));
            let base =
                HttpSignatureBase::try_new(&lines(&parts, &params.covered_components), params)
                    .unwrap();
            // Its own check of the expiry uses the clock of the machine; ours is a constant.
            let signature = parse_signature(text("signature"), "cas").unwrap();
            assert!(VerifyingKey::verify(&their_key(), &base.as_bytes(), &signature).is_ok());
            assert!(VerifyingKey::verify(&their_key(), &base.as_bytes(), &[0; 32]).is_err());
        }
    }

    #[test]
    fn we_accept_what_it_signs() {
        for mut parts in [login(), ping()] {
            let ids: Vec<_> = base::MANDATORY
                .into_iter()
                .chain(
                    parts
                        .headers
                        .keys()
                        .map(HeaderName::as_str)
                        .filter(|name| name.starts_with("x-owa-")),
                )
                .map(|name| HttpMessageComponentId::try_from(name).unwrap())
                .collect();
            let mut params = HttpSignatureParams::try_new(&ids).unwrap();
            params
                .set_created(NOW)
                .set_expires(NOW + 60)
                .set_nonce("their-nonce")
                .set_keyid("chicago");
            let base = HttpSignatureBase::try_new(&lines(&parts, &ids), &params).unwrap();
            let theirs = base
                .build_signature_headers(&their_key(), Some("sig1"))
                .unwrap();
            parts.headers.insert(
                "signature",
                theirs.signature_header_value().parse().unwrap(),
            );
            parts.headers.insert(
                "signature-input",
                theirs.signature_input_header_value().parse().unwrap(),
            );
            assert_eq!(verify(&parts), Ok(()));
            parts.method = Method::PUT;
            assert_eq!(verify(&parts), Err(SignatureError::Mismatch));
        }
    }
}

proptest! {
    #[test]
    fn any_target_and_values_round_trip(
        path in "/[!$-;=?-Z_a-z~%]{0,40}",
        method in "[A-Z]{1,10}",
        values in prop::collection::vec("[ -~\t\u{80}-\u{ff}]{0,30}", 0..4),
        nonce: [u8; 16],
        now in 0_u64..999_999_999_000_000,
    ) {
        let mut request = Request::builder().method(method.as_str()).uri(path.as_str()).header("host", HOST);
        for value in &values {
            request = request.header("x-owa-proxysid", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let Ok(request) = request.body(()) else { return Ok(()) };
        let (mut parts, ()) = request.into_parts();
        let target = Target::new(&parts.method, HOST, &parts.uri);
        key().sign(&target, &parts.headers, now, nonce).unwrap().insert_into(&mut parts.headers);
        prop_assert_eq!(verify_at(&parts, &key(), now), Ok(()));
    }

    #[test]
    fn reading_never_panics(input in "\\PC{0,80}", signature in "\\PC{0,60}", prefix in "(cas=)?(\\()?(\")?") {
        let mut headers = HeaderMap::new();
        let field = format!("{prefix}{input}");
        if let (Ok(field), Ok(signature)) = (HeaderValue::from_bytes(field.as_bytes()), HeaderValue::from_bytes(signature.as_bytes())) {
            headers.insert("signature-input", field);
            headers.insert("signature", signature);
            prop_assert!(Presented::read(&headers).is_err());
        }
    }

    #[test]
    fn what_is_read_is_its_own_serialisation(field in r#"cas=\(("[@a-z-]{1,8}"){1,2}( "[a-z]{1,3}")?\)(;(created|expires)=[0-9]{1,3}|;(nonce|keyid|alg)="[a-z0-9-]{0,3}"){0,6}"#) {
        if let Ok(input) = Input::parse(&field) {
            let sfv = httpsig::prelude::HttpSignatureParams::try_from(input.params);
            prop_assert!(sfv.is_ok(), "{field}");
        }
    }
}
