//! A SID has one text and one binary form: whatever parses comes back byte for byte.
#![no_main]

use cas_proxy::csc::Sid;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(sid) = Sid::from_bytes(bytes) {
        assert_eq!(sid.to_bytes(), bytes);
        assert_eq!(sid.to_string().parse(), Ok(sid));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(sid) = text.parse::<Sid>() {
        assert_eq!(sid.to_string(), text);
        assert_eq!(Sid::from_bytes(&sid.to_bytes()), Ok(sid));
        assert_eq!(
            Sid::from_parts(sid.authority(), sid.sub_authorities()),
            Ok(sid)
        );
        assert!(!format!("{sid:?}").contains(text));
    }
});
