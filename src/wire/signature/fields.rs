//! `Signature-Input` and `Signature`: the one form of them we write, and the only one we read.
//!
//! RFC 8941 lets the same signature be spelled in many ways. Each way that two readers may read differently is an
//! opening, so this parser takes a dictionary of one member in its canonical spelling and nothing else. What it
//! accepts is therefore its own serialisation, and goes into the signature base as it stands.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderName;

use super::error::SignatureError::{self, Malformed};

/// A `Signature-Input` field, borrowed from the header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    pub(super) label: &'a str,
    /// The inner list with its parameters: the value of `@signature-params`.
    pub(super) params: &'a str,
    pub(super) components: Components<'a>,
    pub(super) created: u64,
    pub(super) expires: u64,
    pub(super) nonce: &'a str,
    pub(super) key_id: &'a str,
}

impl<'a> Input<'a> {
    /// Reads `label=("component" ...);created=..;expires=..;nonce="..";keyid=".."`, the parameters in any order,
    /// with `alg="hmac-sha256"` or without.
    pub(super) fn parse(field: &'a str) -> Result<Self, SignatureError> {
        if field.len() > MAX_INPUT {
            return Err(Malformed);
        }
        let (label, params) = split_label(field)?;
        let mut cursor = Cursor(params);
        let components = components(&mut cursor)?;
        let (mut created, mut expires, mut nonce, mut key_id, mut algorithm) =
            (None, None, None, None, None);
        while !cursor.0.is_empty() {
            cursor.take(";")?;
            let name = cursor.until('=')?;
            match name {
                "created" => once(&mut created, cursor.integer()?)?,
                "expires" => once(&mut expires, cursor.integer()?)?,
                "nonce" => once(&mut nonce, cursor.string()?)?,
                "keyid" => once(&mut key_id, cursor.string()?)?,
                "alg" => once(&mut algorithm, cursor.string()?)?,
                _ => return Err(Malformed),
            }
        }
        if algorithm.is_some_and(|algorithm| algorithm != ALGORITHM) {
            return Err(Malformed);
        }
        let nonce = nonce
            .filter(|nonce: &&str| (1..=MAX_NONCE).contains(&nonce.len()))
            .ok_or(Malformed)?;
        Ok(Self {
            label,
            params,
            components,
            created: created.ok_or(Malformed)?,
            expires: expires.ok_or(Malformed)?,
            nonce,
            key_id: key_id.ok_or(Malformed)?,
        })
    }
}

/// Names of what a signature covers, in order, none twice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Components<'a> {
    names: [Component<'a>; MAX_COMPONENTS],
    count: usize,
}

/// A name, and the header it names where that is at hand: to look it up by the text would be to read the text first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Component<'a> {
    pub(super) name: &'a str,
    pub(super) header: Option<&'a HeaderName>,
}

impl<'a> Components<'a> {
    /// Says whether there was room.
    #[must_use]
    pub(super) fn push(&mut self, name: &'a str) -> bool {
        self.put(Component { name, header: None })
    }

    /// Says whether there was room.
    #[must_use]
    pub(super) fn push_header(&mut self, header: &'a HeaderName) -> bool {
        self.put(Component {
            name: header.as_str(),
            header: Some(header),
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Component<'a>> {
        self.names.iter().copied().take(self.count)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.iter().any(|known| known.name == name)
    }

    fn put(&mut self, component: Component<'a>) -> bool {
        let free = self.names.get_mut(self.count);
        let has_room = free.is_some();
        if let Some(free) = free {
            *free = component;
            self.count += 1;
        }
        has_room
    }
}

/// Reads `label=:base64:` of exactly one MAC, under the label of its `Signature-Input`.
pub(super) fn parse_signature(
    field: &str,
    label: &str,
) -> Result<[u8; MAC_LENGTH], SignatureError> {
    let (found, value) = split_label(field)?;
    if found != label {
        return Err(Malformed);
    }
    byte_sequence(value).ok_or(Malformed)
}

/// Reads `:base64:` of exactly 32 bytes, padded, without stray bits.
pub(super) fn byte_sequence(text: &str) -> Option<[u8; MAC_LENGTH]> {
    let encoded = text.strip_prefix(':')?.strip_suffix(':')?;
    if encoded.len() != ENCODED_LENGTH {
        return None;
    }
    // One byte more than needed: the decoder estimates before it sees the padding.
    let mut decoded = [0; MAC_LENGTH + 1];
    let length = STANDARD.decode_slice(encoded, &mut decoded).ok()?;
    decoded.get(..length)?.try_into().ok()
}

fn split_label(field: &str) -> Result<(&str, &str), SignatureError> {
    let (label, value) = field.split_once('=').ok_or(Malformed)?;
    let starts_well = label.starts_with(|first: char| first.is_ascii_lowercase() || first == '*');
    if starts_well && label.len() <= MAX_LABEL && label.bytes().all(is_key_byte) {
        Ok((label, value))
    } else {
        Err(Malformed)
    }
}

fn components<'a>(cursor: &mut Cursor<'a>) -> Result<Components<'a>, SignatureError> {
    let mut components = Components::default();
    cursor.take("(")?;
    loop {
        let name = cursor.string()?;
        if components.contains(name) || !is_component(name) || !components.push(name) {
            return Err(Malformed);
        }
        // Neither `;` (a component with parameters) nor a second space gets through.
        if cursor.take(")").is_ok() {
            return Ok(components);
        }
        cursor.take(" ")?;
    }
}

/// One of the derived components we know, or a field name in the lower case RFC 9421 asks for.
fn is_component(name: &str) -> bool {
    super::base::MANDATORY.contains(&name)
        || (!name.is_empty() && name.bytes().all(is_lower_case_token))
}

/// RFC 9110's token, without upper case.
fn is_lower_case_token(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// RFC 8941's key.
fn is_key_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*')
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), SignatureError> {
    if slot.replace(value).is_some() {
        Err(Malformed)
    } else {
        Ok(())
    }
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn take(&mut self, text: &str) -> Result<(), SignatureError> {
        self.0 = self.0.strip_prefix(text).ok_or(Malformed)?;
        Ok(())
    }

    fn until(&mut self, end: char) -> Result<&'a str, SignatureError> {
        let (found, rest) = self.0.split_once(end).ok_or(Malformed)?;
        self.0 = rest;
        Ok(found)
    }

    /// A string without escapes: none of the texts we read needs one.
    fn string(&mut self) -> Result<&'a str, SignatureError> {
        self.take("\"")?;
        let is_plain = |byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        let end = self
            .0
            .bytes()
            .position(|byte| !is_plain(byte))
            .ok_or(Malformed)?;
        let (text, rest) = self.0.split_at_checked(end).ok_or(Malformed)?;
        self.0 = rest;
        self.take("\"")?;
        Ok(text)
    }

    /// A number of seconds in its canonical form: RFC 8941 integers have at most 15 digits; ours are not negative.
    fn integer(&mut self) -> Result<u64, SignatureError> {
        let end = self
            .0
            .bytes()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at_checked(end).ok_or(Malformed)?;
        if digits.len() > MAX_DIGITS || (digits.len() > 1 && digits.starts_with('0')) {
            return Err(Malformed);
        }
        self.0 = rest;
        digits.parse().map_err(|_| Malformed)
    }
}

pub(super) const ALGORITHM: &str = "hmac-sha256";
/// More components than this are refused, by the signer as well.
pub(super) const MAX_COMPONENTS: usize = 24;
pub(super) const MAC_LENGTH: usize = 32;
const ENCODED_LENGTH: usize = 44;
/// Bytes of a `Signature-Input`; longer ones are refused, by the signer as well.
pub(super) const MAX_INPUT: usize = 2048;
const MAX_LABEL: usize = 64;
const MAX_NONCE: usize = 128;
const MAX_DIGITS: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        r#"cas=("@method" "@path" "x-owa-proxysid");created=1;expires=61;nonce="n";keyid="k""#;

    #[test]
    fn the_canonical_form_is_read() {
        let input = Input::parse(GOOD).unwrap();
        assert_eq!(input.label, "cas");
        assert_eq!(input.params, GOOD.strip_prefix("cas=").unwrap());
        assert_eq!(
            input
                .components
                .iter()
                .map(|of| of.name)
                .collect::<Vec<_>>(),
            ["@method", "@path", "x-owa-proxysid"]
        );
        assert!(
            input.components.contains("@path")
                && !input.components.contains("@query")
                && !input.components.contains("")
        );
        assert_eq!(
            (input.created, input.expires, input.nonce, input.key_id),
            (1, 61, "n", "k")
        );
        let other_order = r#"*a.b-c_1=("@query");keyid="k";alg="hmac-sha256";nonce="n";expires=999999999999999;created=0"#;
        assert_eq!(
            Input::parse(other_order).unwrap().expires,
            999_999_999_999_999
        );
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let twenty_five = (0..25)
            .map(|i| format!("\"h{i}\""))
            .collect::<Vec<_>>()
            .join(" ");
        let long = "n".repeat(129);
        let rows: [(&str, &str); 44] = [
            ("cas=", "cas"),
            ("cas=", ""),
            ("cas=", "="),
            ("cas=", " cas="),
            ("cas=", "cas ="),
            ("cas=", "cas= "),
            ("cas=", "CAS="),
            ("cas=", "1cas="),
            ("cas=", "-cas="),
            ("(", ""),
            ("(", "( "),
            (")", " )"),
            (")", ""),
            (r#"("@method" "@path" "x-owa-proxysid")"#, "()"),
            (r#""@path""#, "@path"),
            (r#""@path""#, r#""@path";req"#),
            (r#""@path""#, r#""@method""#),
            (r#""@path""#, r#""@status""#),
            (r#""@path""#, r#""@query-param";name="a""#),
            (r#""@path""#, r#""@PATH""#),
            (r#""@path""#, r#""""#),
            (r#""@path""#, r#""@signature-params""#),
            (r#""@path""#, r#""X-Owa""#),
            (r#""@path""#, r#""a:b""#),
            (r#""@path""#, r#""a\"b""#),
            (r#" "@path""#, r#"  "@path""#),
            (r#" "@path""#, r#""@path""#),
            ("created=1", "created=01"),
            ("created=1", "created=-1"),
            ("created=1", "created=+1"),
            ("created=1", "created=1.0"),
            ("created=1", "created="),
            ("created=1", "created"),
            ("created=1", "created=\"1\""),
            ("created=1", "created=1000000000000000"),
            (";created=1", ""),
            (";created=1", "; created=1"),
            (";created=1", ";created=1;created=1"),
            (";expires=61", ""),
            (r#";nonce="n""#, ""),
            (r#"nonce="n""#, r#"nonce="""#),
            (r#"nonce="n""#, "nonce=n"),
            (r#";keyid="k""#, ""),
            (r#"keyid="k""#, r#"keyid="k";tag="t""#),
        ];
        let more = [
            GOOD.replace("\"n\"", &format!("\"{long}\"")),
            GOOD.replace(r#""x-owa-proxysid""#, &twenty_five),
            format!(r#"{GOOD};alg="hmac-sha512""#),
            format!(r#"{GOOD};alg="hmac-sha256";alg="hmac-sha256""#),
            format!("{GOOD};"),
            format!("{GOOD} "),
            format!("{GOOD}, {GOOD}"),
            format!("{GOOD},other=1"),
            format!("{GOOD}{}", " ".repeat(4096)),
            GOOD.replace("\"n\"", "\"n\u{e9}\""),
            GOOD.replace("\"n\"", "\"n\\\\\""),
        ];
        let replaced = rows.map(|(from, to)| {
            assert!(GOOD.contains(from), "{from}");
            GOOD.replacen(from, to, 1)
        });
        for field in replaced.iter().chain(&more) {
            assert_eq!(Input::parse(field).unwrap_err(), Malformed, "{field}");
        }
    }

    #[test]
    fn a_signature_is_one_label_and_32_bytes() {
        let good = format!("cas=:{}:", STANDARD.encode([7; 32]));
        assert_eq!(parse_signature(&good, "cas"), Ok([7; 32]));
        let refused = [
            format!("cat=:{}:", STANDARD.encode([7; 32])),
            format!("cas=:{}:", STANDARD.encode([7; 31])),
            format!("cas=:{}:", STANDARD.encode([7; 33])),
            format!("cas=:{}:", "A".repeat(44)),
            good.replace('=', ""),
            good.replace(':', ""),
            good.replace("Bwc=", "Bwd="),
            good.replace("Bwc=", "Bwc"),
            format!("{good};p=1"),
            format!("{good}, cas=:AA==:"),
            format!(" {good}"),
            format!("{good} "),
        ];
        for field in refused {
            assert_eq!(parse_signature(&field, "cas"), Err(Malformed), "{field}");
        }
    }
}
