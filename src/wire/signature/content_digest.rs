//! `Content-Digest` (RFC 9530) with SHA-256: what binds the body of a proxy login to its signature.
//!
//! ```
//! use cas_proxy::wire::signature::content_digest;
//! use http::{HeaderMap, header::HeaderName};
//!
//! let body = b"<r at=\"Negotiate\" ln=\"john\">...</r>";
//! let mut headers = HeaderMap::new();
//! headers.insert(HeaderName::from_static("content-digest"), content_digest::of(body));
//! assert_eq!(content_digest::read(&headers)?, Some(content_digest::sha256(body)));
//! # Ok::<(), cas_proxy::wire::signature::SignatureError>(())
//! ```

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::{error::SignatureError, fields, sign::CONTENT_DIGEST, verify::only};

/// The header value for a body: `sha-256=:base64:`.
#[must_use]
pub fn of(body: &[u8]) -> HeaderValue {
    let text = [PREFIX, ":", &STANDARD.encode(sha256(body)), ":"].concat();
    // Letters, digits and `=+/:-` are all header bytes.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// SHA-256 of a body.
#[must_use]
pub fn sha256(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// The digest a request announces; `None` if it has no `Content-Digest`.
///
/// # Errors
/// [`SignatureError::Malformed`]: more than one line or member, another algorithm, or not 32 bytes.
pub fn read(headers: &HeaderMap) -> Result<Option<[u8; 32]>, SignatureError> {
    let Some(line) = only(headers, &CONTENT_DIGEST)? else {
        return Ok(None);
    };
    let value = line.strip_prefix(PREFIX).and_then(fields::byte_sequence);
    value.map(Some).ok_or(SignatureError::Malformed)
}

const PREFIX: &str = "sha-256=";

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(lines: &[&str]) -> Result<Option<[u8; 32]>, SignatureError> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&CONTENT_DIGEST, line.parse().unwrap());
        }
        read(&headers)
    }

    #[test]
    fn the_example_of_rfc_9530_is_written_and_read() {
        // Appendix B.1, the body with its trailing line feed.
        let body = b"{\"hello\": \"world\"}\n";
        let value = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(of(body), value);
        assert_eq!(read_lines(&[value]), Ok(Some(sha256(body))));
    }

    #[test]
    fn anything_but_one_sha_256_is_refused() {
        let good = of(b"x");
        let good = good.to_str().unwrap();
        assert_eq!(read_lines(&[]), Ok(None));
        for line in [
            "",
            "sha-256=",
            "sha-256=::",
            "SHA-256=:AA==:",
            "sha-512=:AA==:",
            &format!("{good}, {good}"),
            &format!("{good};a"),
        ] {
            assert_eq!(
                read_lines(&[line]),
                Err(SignatureError::Malformed),
                "{line}"
            );
        }
        assert_eq!(read_lines(&[good, good]), Err(SignatureError::Malformed));
    }
}
