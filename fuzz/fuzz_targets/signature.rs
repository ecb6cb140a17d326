//! Nothing is accepted that the holder of the key did not sign.
//!
//! The target has the key, and signs the signature base that RFC 9421 gives for whatever `Signature-Input` it is handed,
//! built by code of its own. So the reader is met by well-signed oddities, and not only by wrong MACs.
#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cas_proxy::wire::{
    names::is_identity_name,
    signature::{
        MAX_LIFETIME_SECONDS, MAX_SKEW_SECONDS, OwnAuthority, Presented, SharedKey, Target,
    },
};
use cas_proxy_fuzz::{head, lines};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, request::Parts};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

fuzz_target!(|text: &[u8]| {
    let Some(parts) = head(text) else { return };
    let own = [OwnAuthority::new("dallas.corp").unwrap()];
    let key = SharedKey::new("seattle", SECRET).unwrap();
    let verify = |parts: &Parts| {
        let presented = Presented::read(&parts.headers).ok().flatten()?;
        let target = Target::received(parts, &own).ok()?;
        presented.verify(&key, &target, NOW).ok()?;
        Some((
            presented.nonce().to_owned(),
            presented.created(),
            presented.expires(),
        ))
    };
    // Whatever MAC it came with was made without the key.
    assert_eq!(verify(&parts), None);
    check_own(&parts, &key, &own);

    let Some(input) = parts
        .headers
        .get("signature-input")
        .and_then(|line| line.to_str().ok())
    else {
        return;
    };
    let Some((label, params)) = input.split_once('=') else {
        return;
    };
    let Some(mac) = mac(&parts, params) else {
        return;
    };
    let mut signed = parts.clone();
    let signature = format!("{label}=:{}:", STANDARD.encode(mac));
    let Ok(signature) = HeaderValue::from_str(&signature) else {
        return;
    };
    signed.headers.insert("signature", signature);
    let Some((nonce, created, expires)) = verify(&signed) else {
        return;
    };

    // It is for us, covers all that matters, and is good for now and not for long.
    assert_eq!(
        lines(&signed.headers, &HeaderName::from_static("signature-input")).len(),
        1
    );
    let components = components(params).expect("a list");
    for name in ["@method", "@authority", "@path", "@query"] {
        assert!(components.iter().any(|known| known == name), "{name}");
    }
    for name in signed.headers.keys().filter(|name| is_identity_name(name)) {
        assert!(
            components.iter().any(|known| known == name.as_str()),
            "{name}"
        );
    }
    assert!(!nonce.is_empty() && expires >= created);
    assert!(expires - created <= MAX_LIFETIME_SECONDS);
    assert!(created <= NOW + MAX_SKEW_SECONDS && NOW <= expires + MAX_SKEW_SECONDS);
    assert!(params.contains(";keyid=\"seattle\""));
    // Change one bit of the MAC, or the method, and it is not.
    let mut other = signed.clone();
    other.method = http::Method::PATCH;
    assert!(signed.method == other.method || verify(&other).is_none());
    let flipped = mac.map(|byte| byte ^ 1);
    let flipped = HeaderValue::from_str(&format!("{label}=:{}:", STANDARD.encode(flipped)));
    signed.headers.insert("signature", flipped.unwrap());
    assert_eq!(verify(&signed), None);
});

/// What we sign, we accept.
fn check_own(parts: &Parts, key: &SharedKey, own: &[OwnAuthority]) {
    let Ok(target) = Target::received(parts, own) else {
        return;
    };
    let mut parts = parts.clone();
    let Ok(signed) = key.sign(&target, &parts.headers, NOW, [7; 16]) else {
        return;
    };
    signed.insert_into(&mut parts.headers);
    let presented = Presented::read(&parts.headers)
        .expect("well-formed")
        .expect("signed");
    let target = Target::received(&parts, own).unwrap();
    assert_eq!(presented.verify(key, &target, NOW), Ok(()));
}

/// The MAC of the base that `params` asks for, by RFC 9421 section 2.5.
fn mac(parts: &Parts, params: &str) -> Option<[u8; 32]> {
    let mut base = Vec::new();
    for name in components(params)? {
        base.extend(format!("\"{name}\": ").bytes());
        match name.as_str() {
            "@method" => base.extend(parts.method.as_str().bytes()),
            "@authority" => base.extend(b"dallas.corp"),
            "@path" => base.extend(parts.uri.path().bytes()),
            "@query" => base.extend(format!("?{}", parts.uri.query().unwrap_or_default()).bytes()),
            name => {
                let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
                let lines = lines(&parts.headers, &name);
                let lines: Vec<_> = lines.iter().map(|line| line.trim_ascii()).collect();
                base.extend(lines.join(&b", "[..]));
            }
        }
        base.push(b'\n');
    }
    base.extend(b"\"@signature-params\": ");
    base.extend(params.bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(&base);
    Some(mac.finalize().into_bytes().into())
}

/// The strings of the inner list, whatever stands between them.
fn components(params: &str) -> Option<Vec<String>> {
    let (list, _) = params.strip_prefix('(')?.split_once(')')?;
    Some(
        list.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect(),
    )
}

const SECRET: &[u8; 32] = b"seattle to dallas, and no others";
const NOW: u64 = 1_700_000_000;
