//! A path is judged once for everyone who reads it later, whatever liberties they take.
#![no_main]

use cas_proxy::{
    directory::InternalUrl,
    wire::owa_path::{self, Kind, OwaPath, Scope},
};
use cas_proxy_fuzz::{ROOTS, decode, is_internal, names};
use http::{Uri, uri::PathAndQuery};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|target: &[u8]| {
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let scope = Scope::default();
    let judged = owa_path::classify(&scope, &uri);
    let kind = judged.as_ref().ok().map(OwaPath::kind);

    // Scheme and host have no say.
    if let Some(relative) = uri.path_and_query().filter(|_| uri.path().starts_with('/')) {
        let again = Uri::from(relative.clone());
        let again = owa_path::classify(&scope, &again);
        assert_eq!(
            again.as_ref().map(OwaPath::kind),
            judged.as_ref().map(OwaPath::kind)
        );
    }
    let path = uri.path().as_bytes();
    if is_internal(path, 8) {
        assert!(
            matches!(kind, None | Some(Kind::ProxyLogon | Kind::Ping)),
            "{kind:?}"
        );
    }
    let Ok(judged) = judged else { return };
    for decodings in 1..=2 {
        as_whoever_decoded_before_us(&scope, &judged, path, decodings);
    }
    if judged.kind() == Kind::OutOfScope {
        let root = names(path).into_iter().next().unwrap_or_default();
        assert!(!ROOTS.contains(&root.as_slice()));
        return;
    }
    in_scope(&scope, &judged, path);
});

/// Who undoes escapes before we look gets the same answer, or none.
fn as_whoever_decoded_before_us(
    scope: &Scope,
    judged: &OwaPath<'_>,
    path: &[u8],
    decodings: usize,
) {
    let mut form = path.to_vec();
    for _ in 0..decodings {
        form = decode(&form);
    }
    // What ends the path is no longer part of it.
    if form.iter().any(|byte| b"?#".contains(byte)) {
        return;
    }
    let Ok(uri) = Uri::try_from(form) else { return };
    if let Ok(other) = owa_path::classify(scope, &uri) {
        assert_eq!(other.kind(), judged.kind(), "{uri}");
        // Of escapes in three layers, the third is looked behind for internal names only.
        if decodings == 1 {
            assert_eq!(other.explicit_logon(), judged.explicit_logon(), "{uri}");
        }
    }
}

fn in_scope(scope: &Scope, judged: &OwaPath<'_>, path: &[u8]) {
    let seconds: Vec<Vec<u8>> = forms(path)
        .map(|form| {
            assert!(
                !form
                    .iter()
                    .any(|byte| *byte < b' ' || *byte == 0x7f || *byte == b'\\')
            );
            let text = std::str::from_utf8(&form).expect("text");
            let is_dots = |segment: &str| {
                let name = segment.split([';', ':']).next().unwrap();
                name.contains('.') && name.trim_matches(['.', ' ']).is_empty()
            };
            assert!(!text.split('/').any(is_dots), "{text}");
            let names = names(&form);
            assert!(ROOTS.contains(&names[0].as_slice()), "{text}");
            assert_eq!(judged.is_owa(), names[0] == b"owa");
            names.into_iter().nth(1).unwrap_or_default()
        })
        .collect();
    if judged.is_owa() && judged.kind() == Kind::Mailbox {
        let is_static = |name: &Vec<u8>| name == b"auth" || name == b"languageselection.aspx";
        assert!(!seconds.iter().any(is_static));
    }
    let Some(address) = judged.explicit_logon() else {
        assert!(judged.explicit_segment().is_none());
        return;
    };
    let segment = judged
        .explicit_segment()
        .expect("the segment of an address");
    assert_eq!(decode(segment.as_bytes()), address.as_str().as_bytes());
    // The login goes to the same place, and nowhere else.
    let internal: InternalUrl = "https://dallas.corp/owa".parse().unwrap();
    let login = owa_path::login_path(&internal, Some(segment)).expect("a login for it");
    let login = Uri::from(login);
    let login = owa_path::classify(scope, &login).expect("a path of ours");
    assert_eq!(
        (login.kind(), login.explicit_logon()),
        (Kind::ProxyLogon, Some(address))
    );
    let target = PathAndQuery::try_from(path).expect("the path of a URI");
    let back_end = owa_path::to_back_end_path(&target).expect("a path that is short");
    let behind_root = |path: &str| {
        path.trim_start_matches('/')
            .split_once('/')
            .map(|(_, rest)| rest.to_owned())
    };
    assert_eq!(behind_root(back_end.path()), behind_root(target.path()));
}

/// The path as it stands, and after one and two decodings.
fn forms(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let once = decode(path);
    let twice = decode(&once);
    [path.to_vec(), once, twice].into_iter()
}
