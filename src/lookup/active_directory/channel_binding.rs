//! What ties a bind to the TLS it is made within: RFC 5929, section 4.

use std::sync::Arc;

use ldap3::asn1::{StructureTag, parse_tag};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// The channel binding `tls-server-end-point` of a server's certificate, which domain controllers may demand.
///
/// `None` for a signature algorithm that the RFC gives no hash for, such as Ed25519.
pub(super) fn server_end_point(certificate: &[u8]) -> Option<Arc<[u8]>> {
    let hash = match hash_of_signature(certificate)? {
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
    };
    Some([b"tls-server-end-point:", &*hash].concat().into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Certificate: SEQUENCE { body, SEQUENCE { algorithm, parameters }, signature }.
fn hash_of_signature(certificate: &[u8]) -> Option<Hash> {
    let (_, certificate) = parse_tag(certificate).ok()?;
    let mut algorithm = parts(certificate)?.nth(1).and_then(parts)?;
    let name = algorithm.next()?.expect_primitive()?;
    if name == RSA_PSS {
        // Parameters: SEQUENCE { [0] SEQUENCE { hash, … }, … }, and SHA-1 if they have no [0].
        let hash = parts(algorithm.next()?)?.find(|part| part.id == 0);
        let Some(hash) = hash else {
            return Some(Hash::Sha256);
        };
        let name = parts(parts(hash)?.next()?)?.next()?.expect_primitive()?;
        return of(HASHES, &name);
    }
    of(SIGNATURES, &name)
}

fn parts(tag: StructureTag) -> Option<std::vec::IntoIter<StructureTag>> {
    Some(tag.expect_constructed()?.into_iter())
}

fn of(known: &[(&[u8], Hash)], name: &[u8]) -> Option<Hash> {
    let (_, hash) = known.iter().find(|(known, _)| *known == name)?;
    Some(*hash)
}

const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";

/// MD5 and SHA-1 count as SHA-256.
const SIGNATURES: &[(&[u8], Hash)] = &[
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", Hash::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", Hash::Sha384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", Hash::Sha512),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", Hash::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", Hash::Sha384),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x04", Hash::Sha512),
];

const HASHES: &[(&[u8], Hash)] = &[
    (b"\x2b\x0e\x03\x02\x1a", Hash::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", Hash::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", Hash::Sha384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", Hash::Sha512),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        for (algorithm, expected) in [
            (&PKCS_ECDSA_P256_SHA256, Some(Hash::Sha256)),
            (&PKCS_ECDSA_P384_SHA384, Some(Hash::Sha384)),
            (&PKCS_ED25519, None),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let parameters = rcgen::CertificateParams::new(["dc1.contoso.com".to_owned()]);
            let certificate = parameters.unwrap().self_signed(&key).unwrap();
            assert_eq!(hash_of_signature(certificate.der()), expected);
            let binding = server_end_point(certificate.der());
            let length = expected.map(|hash| if hash == Hash::Sha256 { 32 } else { 48 });
            let length = length.map(|length| "tls-server-end-point:".len() + length);
            assert_eq!(binding.map(|binding| binding.len()), length);
        }
    }

    #[test]
    fn rsa_pss_names_its_hash() {
        let certificate = |parameters: &[u8]| {
            let algorithm = [b"\x06\x09", RSA_PSS, parameters].concat();
            let algorithm = [&[0x30, algorithm.len() as u8], &*algorithm].concat();
            let whole = [b"\x30\x00", &*algorithm, b"\x03\x01\x00"].concat();
            [&[0x30, whole.len() as u8], &*whole].concat()
        };
        let sha384 =
            b"\x30\x11\xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00";
        assert_eq!(hash_of_signature(&certificate(sha384)), Some(Hash::Sha384));
        assert_eq!(
            hash_of_signature(&certificate(b"\x30\x00")),
            Some(Hash::Sha256)
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(certificate in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = server_end_point(&certificate);
        }
    }
}
