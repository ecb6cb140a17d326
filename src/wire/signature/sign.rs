//! What the first CAS does.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{BufMut, BytesMut};
use hmac::Mac;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    SharedKey, Target,
    base::{self, MANDATORY},
    error::SignatureError,
    fields::{ALGORITHM, Components, MAX_INPUT},
};
use crate::wire::names::is_identity_name;

impl SharedKey {
    /// Signs a request that is complete but for the signature itself: call it last, and afresh for each attempt.
    ///
    /// `now` is in seconds since 1970; the signature is good for [`VALIDITY_SECONDS`]. `nonce` is to be random: the
    /// other side accepts each one once.
    ///
    /// # Errors
    /// [`SignatureError::TooManyComponents`]: more than 19 different identity headers, or names of them that together
    /// take more than about 1,700 bytes.
    pub fn sign(
        &self,
        target: &Target<'_>,
        headers: &HeaderMap,
        now: u64,
        nonce: [u8; 16],
    ) -> Result<Signed, SignatureError> {
        let mut components = Components::default();
        let identity = headers.keys().filter(|name| is_identity_name(name));
        let digest = headers.contains_key(&CONTENT_DIGEST);
        let mut fields = identity.chain(digest.then_some(&CONTENT_DIGEST));
        if !(MANDATORY.into_iter().all(|name| components.push(name))
            && fields.all(|name| components.push_header(name)))
        {
            return Err(SignatureError::TooManyComponents);
        }
        let input = write_input(&components, now, nonce, self.id());
        if input.len() > MAX_INPUT {
            // Nobody would read it.
            return Err(SignatureError::TooManyComponents);
        }
        let params = input.get(LABEL_AND_EQUALS.len()..).unwrap_or_default();

        let mut mac = self.start();
        base::write(target, headers, &components, params, |piece| {
            mac.update(piece)
        })?;
        let signature = write_signature(&mac.finalize().into_bytes())?;

        let input = HeaderValue::from_maybe_shared(input.freeze())
            .map_err(|_| SignatureError::Malformed)?;
        Ok(Signed { input, signature })
    }
}

/// The two headers of a signature.
#[derive(Clone, Debug)]
pub struct Signed {
    input: HeaderValue,
    signature: HeaderValue,
}

impl Signed {
    /// Sets `Signature-Input` and `Signature`, in place of any the headers had.
    pub fn insert_into(self, headers: &mut HeaderMap) {
        headers.insert(SIGNATURE_INPUT, self.input);
        headers.insert(SIGNATURE, self.signature);
    }
}

fn write_input(components: &Components<'_>, now: u64, nonce: [u8; 16], key_id: &str) -> BytesMut {
    let mut field = BytesMut::with_capacity(384);
    field.put_slice(LABEL_AND_EQUALS);
    let mut separator = b'(';
    for component in components.iter() {
        field.put_u8(separator);
        field.put_u8(b'"');
        field.put_slice(component.name.as_bytes());
        field.put_u8(b'"');
        separator = b' ';
    }
    field.put_slice(b");created=");
    put_decimal(&mut field, now);
    field.put_slice(b";expires=");
    put_decimal(&mut field, now.saturating_add(VALIDITY_SECONDS));
    field.put_slice(b";nonce=\"");
    let mut encoded = [0; 24];
    let length = STANDARD
        .encode_slice(nonce, &mut encoded)
        .unwrap_or_default();
    field.put_slice(encoded.get(..length).unwrap_or_default());
    field.put_slice(b"\";alg=\"");
    field.put_slice(ALGORITHM.as_bytes());
    field.put_slice(b"\";keyid=\"");
    field.put_slice(key_id.as_bytes());
    field.put_u8(b'"');
    field
}

fn write_signature(mac: &[u8]) -> Result<HeaderValue, SignatureError> {
    let mut text = [0; 64];
    let (head, rest) = text.split_at_mut(LABEL_AND_EQUALS.len() + 1);
    let (label, colon) = head.split_at_mut(LABEL_AND_EQUALS.len());
    label.copy_from_slice(LABEL_AND_EQUALS);
    colon.fill(b':');
    let encoded = STANDARD
        .encode_slice(mac, rest)
        .map_err(|_| SignatureError::Malformed)?;
    if let Some(end) = rest.get_mut(encoded) {
        *end = b':';
    }
    let length = LABEL_AND_EQUALS.len() + 1 + encoded + 1;
    let mut value = HeaderValue::from_bytes(text.get(..length).unwrap_or_default())
        .map_err(|_| SignatureError::Malformed)?;
    // For this one request: neither for `Debug` nor for HTTP/2's compression tables.
    value.set_sensitive(true);
    Ok(value)
}

fn put_decimal(field: &mut BytesMut, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        // The remainder is below ten.
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    field.put_slice(digits.get(digits.len() - used..).unwrap_or_default());
}

/// How long a signature of ours is good for, in seconds.
pub const VALIDITY_SECONDS: u64 = 60;

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
pub(super) static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

const LABEL_AND_EQUALS: &[u8] = b"cas=";
