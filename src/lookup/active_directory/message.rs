//! The few messages of LDAP (RFC 4511) that are exchanged before ldap3 takes over.

use std::io;

use bytes::BytesMut;
use ldap3::asn1::{PL, StructureTag, TagClass, parse_tag, parse_uint, write};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What a domain controller says to a request that has one answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) code: u32,
    pub(super) text: String,
    /// Of a bind by SASL.
    pub(super) credentials: Option<Vec<u8>>,
}

/// Asks that what follows be TLS.
pub(super) fn start_tls() -> StructureTag {
    let name = primitive(TagClass::Context, 0, b"1.3.6.1.4.1.1466.20037");
    constructed(TagClass::Application, EXTENDED_REQUEST, vec![name])
}

/// One step of a bind by SASL.
pub(super) fn bind(mechanism: &str, credentials: Option<&[u8]>) -> StructureTag {
    let octets = |bytes| primitive(TagClass::Universal, OCTET_STRING, bytes);
    let mut sasl = vec![octets(mechanism.as_bytes())];
    sasl.extend(credentials.map(octets));
    let version = primitive(TagClass::Universal, INTEGER, &[3]);
    let parts = vec![
        version,
        octets(b""),
        constructed(TagClass::Context, 3, sasl),
    ];
    constructed(TagClass::Application, BIND_REQUEST, parts)
}

/// Sends an operation, and reads the answer and no byte more: what follows may be TLS.
///
/// # Errors
/// Of the kind `InvalidData` if it is no answer to this, or longer than any that is expected.
pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    number: u8,
    operation: StructureTag,
) -> io::Result<Response> {
    let number = primitive(TagClass::Universal, INTEGER, &[number]);
    let message = constructed(
        TagClass::Universal,
        SEQUENCE,
        vec![number.clone(), operation],
    );
    let mut bytes = BytesMut::new();
    write::encode_into(&mut bytes, message)?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;

    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no answer of LDAP");
    let mut bytes = vec![0; 2];
    stream.read_exact(&mut bytes).await?;
    let [0x30, length] = bytes[..] else {
        return Err(invalid());
    };
    let mut length = usize::from(length);
    if length > 0x80 {
        let mut long = [0; 4];
        let long = long.get_mut(..length - 0x80).ok_or_else(invalid)?;
        stream.read_exact(long).await?;
        bytes.extend_from_slice(long);
        length = long
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
    }
    // A length of 0x80 would be an indefinite one, which LDAP has not.
    if length == 0x80 && bytes.len() == 2 || length > LONGEST_ANSWER {
        return Err(invalid());
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    stream
        .read_exact(bytes.get_mut(head..).unwrap_or_default())
        .await?;
    let (_, message) = parse_tag(&bytes).map_err(|_| invalid())?;
    response(message, &number).ok_or_else(invalid)
}

/// `None` if it is no response to this number.
fn response(message: StructureTag, number: &StructureTag) -> Option<Response> {
    let mut message = message.expect_constructed()?.into_iter();
    if message.next()? != *number {
        return None;
    }
    let operation = message.next()?.match_class(TagClass::Application)?;
    if ![BIND_RESPONSE, EXTENDED_RESPONSE].contains(&operation.id) {
        return None;
    }
    let mut parts = operation.expect_constructed()?.into_iter();
    let code = parts.next()?.match_id(ENUMERATED)?.expect_primitive()?;
    let (_, code) = parse_uint(&code).ok()?;
    let _matched = parts.next()?;
    let text = parts.next()?.expect_primitive()?;
    let mut others = parts.filter(|part| part.class == TagClass::Context);
    let credentials = others.find(|part| part.id == SERVER_CREDENTIALS);
    Some(Response {
        code: u32::try_from(code).ok()?,
        text: String::from_utf8_lossy(&text).into_owned(),
        credentials: credentials.and_then(StructureTag::expect_primitive),
    })
}

fn primitive(class: TagClass, id: u64, bytes: &[u8]) -> StructureTag {
    StructureTag {
        class,
        id,
        payload: PL::P(bytes.to_vec()),
    }
}

fn constructed(class: TagClass, id: u64, parts: Vec<StructureTag>) -> StructureTag {
    StructureTag {
        class,
        id,
        payload: PL::C(parts),
    }
}

const INTEGER: u64 = 2;
const OCTET_STRING: u64 = 4;
const ENUMERATED: u64 = 10;
const SEQUENCE: u64 = 16;

const BIND_REQUEST: u64 = 0;
const BIND_RESPONSE: u64 = 1;
const EXTENDED_REQUEST: u64 = 23;
const EXTENDED_RESPONSE: u64 = 24;
/// Of a bind response.
const SERVER_CREDENTIALS: u64 = 7;

/// A token that shows who the server is has some 200 bytes. Also bounds how deep an answer nests.
const LONGEST_ANSWER: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    /// What comes of an answer of these bytes, and the bytes that were sent for it.
    async fn told(answer: &[u8]) -> (io::Result<Response>, Vec<u8>) {
        let (mut ours, mut theirs) = duplex(64 * 1024);
        theirs.write_all(answer).await.unwrap();
        theirs.shutdown().await.unwrap();
        let asked = ask(&mut ours, 2, bind("GSSAPI", Some(b"token"))).await;
        drop(ours);
        let mut sent = Vec::new();
        theirs.read_to_end(&mut sent).await.unwrap();
        (asked, sent)
    }

    #[tokio::test]
    async fn a_bind_is_sent_and_its_answer_read() {
        // Long lengths, as Active Directory writes them.
        let answer = b"\x30\x84\0\0\0\x15\x02\x01\x02\x61\x84\0\0\0\x0c\x0a\x01\x0e\x04\x00\x04\x00\x87\x03abc";
        let (response, sent) = told(answer).await;
        let expected = Response {
            code: 14,
            text: String::new(),
            credentials: Some(b"abc".to_vec()),
        };
        assert_eq!(response.unwrap(), expected);
        assert_eq!(
            sent,
            b"\x30\x1b\x02\x01\x02\x60\x16\x02\x01\x03\x04\x00\xa3\x0f\x04\x06GSSAPI\x04\x05token"
        );
    }

    #[tokio::test]
    async fn what_is_no_answer_is_an_error() {
        for wrong in [
            b"HTTP/1.1 400 Bad Request\r\n".as_slice(),
            b"\x30\x80\x02\x01\x02\0\0",
            b"\x30\x84\x7f\xff\xff\xff",
            b"\x30\x85\0\0\0\0\0",
            b"\x30\x82\x10\x01",
            b"\x30\x00",
            b"\x30\x03\x02\x01\x02",
            // To another request, and of another kind.
            b"\x30\x0c\x02\x01\x03\x61\x07\x0a\x01\x00\x04\x00\x04\x00",
            b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00",
        ] {
            let (response, _) = told(wrong).await;
            let kind = response.unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidData, "{wrong:?}");
        }
        let (cut, _) = told(b"\x30\x0c\x02\x01\x02").await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in proptest::collection::vec(any::<u8>(), 0..60), framed: bool) {
            let mut bytes = if framed { vec![0x30, answer.len() as u8] } else { Vec::new() };
            bytes.extend(answer);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(told(&bytes));
        }
    }
}
