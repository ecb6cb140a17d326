//! What ties a token to a TLS connection: the server's certificate (RFC 5929, section 4).

use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::{OID, der::Reader};

/// The channel binding `tls-server-end-point` of a connection whose server shows this certificate, in DER: what a
/// Kerberos library takes as application data of its channel bindings.
///
/// `None` if that is no certificate, or its signature has no hash function of its own that is known here: the binding
/// is undefined for Ed25519, for one.
#[must_use]
pub fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let hash = match hash_of(certificate)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    Some([PREFIX, &hash].concat())
}

#[derive(Clone, Copy)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// That of the signature; SHA-256 where it is MD5 or SHA-1.
fn hash_of(certificate: &[u8]) -> Option<Hash> {
    let mut parts = Reader::of(certificate).only(SEQUENCE)?;
    parts.next(SEQUENCE)?;
    let mut algorithm = Reader::of(parts.next(SEQUENCE)?);
    let signature = algorithm.next(OID)?;
    if signature == RSA_PSS {
        // Its parameters tell; without them it is SHA-1.
        let mut parameters = Reader::of(algorithm.next(SEQUENCE)?);
        let Some(hash) = parameters.optional(0xa0)? else {
            return Some(Hash::Sha256);
        };
        let mut hash = Reader::of(Reader::of(hash).last_bytes(SEQUENCE)?);
        return find(HASHES, hash.next(OID)?);
    }
    find(SIGNATURES, signature)
}

fn find(table: &[(&[u8], Hash)], wanted: &[u8]) -> Option<Hash> {
    table
        .iter()
        .find_map(|(name, hash)| (*name == wanted).then_some(*hash))
}

const PREFIX: &[u8] = b"tls-server-end-point:";
const SEQUENCE: u8 = 0x30;
/// 1.2.840.113549.1.1.10
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
/// 1.2.840.113549.1.1 (RSA) and 1.2.840.10045.4 (ECDSA).
const SIGNATURES: &[(&[u8], Hash)] = &[
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", Hash::Sha384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", Hash::Sha512),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e", Hash::Sha224),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x01", Hash::Sha224),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", Hash::Sha384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", Hash::Sha512),
];
/// 2.16.840.1.101.3.4.2 (SHA-2) and 1.3.14.3.2.26 (SHA-1).
const HASHES: &[(&[u8], Hash)] = &[
    (b"\x2b\x0e\x03\x02\x1a", Hash::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", Hash::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", Hash::Sha384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", Hash::Sha512),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x04", Hash::Sha224),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    };

    use super::super::der::wrap;
    use super::*;

    /// As much of a certificate as is looked at.
    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let parts = [
            wrap(SEQUENCE, b"\x02\x01\x01"),
            wrap(SEQUENCE, algorithm),
            wrap(3, b"\0"),
        ];
        wrap(SEQUENCE, &parts.concat())
    }

    fn check(algorithm: &[u8], hash: fn(&[u8]) -> Vec<u8>) {
        let certificate = certificate(algorithm);
        let expected = [PREFIX, &hash(&certificate)].concat();
        assert_eq!(
            tls_server_end_point(&certificate),
            Some(expected),
            "{algorithm:x?}"
        );
    }

    fn sha256(bytes: &[u8]) -> Vec<u8> {
        Sha256::digest(bytes).to_vec()
    }

    fn sha384(bytes: &[u8]) -> Vec<u8> {
        Sha384::digest(bytes).to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_signature_and_never_a_weak_one() {
        let rsa = |last: u8| {
            let mut name = RSA_PSS.to_vec();
            *name.last_mut().unwrap() = last;
            [wrap(OID, &name), vec![5, 0]].concat()
        };
        // MD5, SHA-1, SHA-256, SHA-384.
        for (last, hash) in [
            (4, sha256 as fn(&[u8]) -> _),
            (5, sha256),
            (11, sha256),
            (12, sha384),
        ] {
            check(&rsa(last), hash);
        }
        check(&wrap(OID, b"\x2a\x86\x48\xce\x3d\x04\x03\x03"), sha384);
        let pss = |parameters: &[u8]| [wrap(OID, RSA_PSS), wrap(SEQUENCE, parameters)].concat();
        check(&pss(b""), sha256);
        let of_384 = wrap(SEQUENCE, &wrap(OID, HASHES[2].0));
        check(&pss(&wrap(0xa0, &of_384)), sha384);
    }

    #[test]
    fn what_has_no_hash_function_or_is_no_certificate_has_no_binding() {
        // Ed25519.
        let whole = certificate(&wrap(OID, b"\x2b\x65\x70"));
        assert_eq!(tls_server_end_point(&whole), None);
        let good = certificate(&wrap(OID, SIGNATURES[2].0));
        assert!(tls_server_end_point(&good).is_some());
        for length in 0..good.len() {
            assert_eq!(tls_server_end_point(&good[..length]), None);
        }
    }

    #[test]
    fn whole_certificates_are_read() {
        for (algorithm, hash) in [
            (&PKCS_ECDSA_P256_SHA256, Some(sha256 as fn(&[u8]) -> _)),
            (&PKCS_ECDSA_P384_SHA384, Some(sha384)),
            (&PKCS_ED25519, None),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let parameters = CertificateParams::new(["dc1.contoso.com".to_owned()]).unwrap();
            let certificate = parameters.self_signed(&key).unwrap();
            let certificate: &[u8] = certificate.der();
            let expected = hash.map(|hash| [PREFIX, &hash(certificate)].concat());
            assert_eq!(tls_server_end_point(certificate), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = tls_server_end_point(&bytes);
        }
    }
}
