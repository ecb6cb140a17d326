use http::header::AUTHORIZATION;

use super::*;

/// Framed as GSS-API frames a Kerberos token.
fn kerberos(content: &[u8]) -> Vec<u8> {
    der::wrap(0x60, &[der::wrap(OID, KERBEROS), content.to_vec()].concat())
}

fn read(spnego: &[u8]) -> Result<Offer, NotKerberos> {
    Offer::read(&value(spnego))
}

fn init(mechanisms: &[&[u8]], token: &[u8]) -> Vec<u8> {
    let mechanisms: Vec<u8> = mechanisms
        .iter()
        .flat_map(|mechanism| der::wrap(OID, mechanism))
        .collect();
    let fields = [
        der::wrap(0xa0, &der::wrap(0x30, &mechanisms)),
        der::wrap(0xa2, &der::wrap(OCTETS, token)),
    ];
    let init = der::wrap(0xa0, &der::wrap(0x30, &fields.concat()));
    der::wrap(0x60, &[der::wrap(OID, SPNEGO), init].concat())
}

fn answer(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(WWW_AUTHENTICATE, line.parse().unwrap());
    }
    headers
}

#[test]
fn what_is_written_can_be_read() {
    for length in [0, 1, 100, 127, 128, 200, 255, 256, 4000, 70_000] {
        let token = kerberos(&vec![7; length]);
        let offer = Offer::read(&authorization(&token)).unwrap();
        assert_eq!(offer.token(), token);
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, offer.accepted(Some(&token)));
        assert_eq!(reply(&headers), Ok(Some(token)));
        headers.insert(WWW_AUTHENTICATE, offer.accepted(None));
        assert_eq!(reply(&headers), Ok(None));
    }
}

//= src/docs/protocol.md#hop-kerberos
#[test]
fn nothing_but_kerberos_gets_past() {
    let token = kerberos(b"ticket");
    assert!(read(&init(&[KERBEROS, NTLM], &token)).is_ok());
    let windows = read(&init(&[MICROSOFT_KERBEROS, KERBEROS, NTLM], &token)).unwrap();
    assert_eq!(windows.mechanism, MICROSOFT_KERBEROS);
    for (sent, why) in [
        (b"NTLMSSP\0\x01\0\0\0".to_vec(), NotKerberos::Ntlm),
        (init(&[NTLM], b"NTLMSSP\0\x01"), NotKerberos::Ntlm),
        (init(&[NTLM, KERBEROS], &token), NotKerberos::Ntlm),
        (init(&[b"\x2b\x06"], &token), NotKerberos::OtherMechanism),
        // Announced as Kerberos, and something else.
        (init(&[KERBEROS], b"NTLMSSP\0\x01"), NotKerberos::Malformed),
        (
            init(&[KERBEROS], &der::wrap(0x60, &der::wrap(OID, NTLM))),
            NotKerberos::OtherMechanism,
        ),
        (token.clone(), NotKerberos::Malformed),
        (init(&[], &token), NotKerberos::Malformed),
        (
            [init(&[KERBEROS], &token), vec![0]].concat(),
            NotKerberos::Malformed,
        ),
        (Vec::new(), NotKerberos::Malformed),
    ] {
        assert_eq!(read(&sent), Err(why), "{sent:x?}");
    }
    for line in ["NTLM TlRMTVNTUAAB", "Basic YTpi", "Negotiated YTpi", "Nego"] {
        let line = line.parse().unwrap();
        assert_eq!(
            Offer::read(&line),
            Err(NotKerberos::OtherScheme),
            "{line:?}"
        );
    }
    for line in ["Negotiate", "Negotiate ", "Negotiate !", "Negotiate YII, x"] {
        let line = line.parse().unwrap();
        assert_eq!(Offer::read(&line), Err(NotKerberos::Malformed), "{line:?}");
    }
}

#[test]
fn a_token_cut_or_changed_anywhere_is_no_panic() {
    let whole = init(&[KERBEROS], &kerberos(b"ticket"));
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err());
        for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut changed = whole.clone();
            changed[end] = byte;
            let _ = read(&changed);
            let _ = read_reply(&changed);
        }
    }
}

#[test]
fn a_reply_that_does_not_complete_the_handshake_is_an_error() {
    let reply_of = |fields: &[u8]| {
        let token = der::wrap(0xa1, &der::wrap(0x30, fields));
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, value(&token));
        reply(&headers)
    };
    assert_eq!(reply_of(&[]), Ok(None));
    for state in 1..=3 {
        let fields = [0xa0, 3, 0x0a, 1, state];
        assert_eq!(reply_of(&fields), Err(NotKerberos::NotCompleted));
    }
    let ntlm = der::wrap(0xa1, &der::wrap(OID, NTLM));
    assert_eq!(reply_of(&ntlm), Err(NotKerberos::OtherMechanism));
    assert_eq!(reply_of(&[0xa2, 9]), Err(NotKerberos::Malformed));
    assert_eq!(reply(&answer(&["Negotiate", "Basic realm=x"])), Ok(None));
    assert_eq!(
        reply(&answer(&["Negotiate oQ"])),
        Err(NotKerberos::Malformed)
    );
}

#[test]
fn schemes_are_told_apart_from_their_parameters() {
    for (lines, expected) in [
        (&[][..], &[][..]),
        (&["NTLM"], &["NTLM"]),
        (&["Negotiate", "NTLM"], &["Negotiate", "NTLM"]),
        (&["Negotiate, NTLM"], &["Negotiate", "NTLM"]),
        (
            &["Basic realm=\"a, Negotiate\", charset=\"UTF-8\""],
            &["Basic"],
        ),
        (
            &[
                "Digest realm=\"x\", nonce=\"y\", Basic realm=\"z\"",
                "basic",
            ],
            &["Digest", "Basic"],
        ),
        (&["Negotiate oQcwBaADCgEA", " "], &["Negotiate"]),
    ] {
        assert_eq!(schemes(&answer(lines)), expected, "{lines:?}");
    }
}

#[test]
fn tokens_are_kept_out_of_logs() {
    let line = authorization(&kerberos(b"ticket"));
    assert!(line.is_sensitive());
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, line.clone());
    assert!(!format!("{headers:?}").contains("Negotiate"));
    assert_eq!(format!("{:?}", Offer::read(&line)), "Ok(Offer(..))");
}
