//! Values that are more than text: read once, here, into the type that the rest relies on.
//!
//! No message repeats text that was found: a URL may hold a password.

use std::{fmt, marker::PhantomData, net::SocketAddr, str::FromStr, time::Duration};

use cas_proxy::{
    csc::Sid,
    directory::{
        BackEndUrl, ExchangeVersion, ExternalUrl, InternalUrl, ServerName, SiteName, SmtpAddress,
    },
};
use http::uri::Authority;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor},
};

/// For `deserialize_with`: a required value.
pub(super) fn one<'de, D: Deserializer<'de>, T: Field>(deserializer: D) -> Result<T, D::Error> {
    Parsed::deserialize(deserializer).map(|parsed| parsed.0)
}

/// For `deserialize_with`, beside `default`: a value that may be left out.
pub(super) fn maybe<'de, D: Deserializer<'de>, T: Field>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    one(deserializer).map(Some)
}

/// For `deserialize_with`: a list.
pub(super) fn list<'de, D: Deserializer<'de>, T: Field>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let parsed = Vec::<Parsed<T>>::deserialize(deserializer)?;
    Ok(parsed.into_iter().map(|parsed| parsed.0).collect())
}

/// For `deserialize_with`: seconds, whole or not, up to a day.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = match toml::Value::deserialize(deserializer)? {
        toml::Value::Integer(whole) => u32::try_from(whole).ok().map(f64::from),
        toml::Value::Float(some) => Some(some),
        _ => None,
    };
    match seconds {
        Some(seconds) if (0.001..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err(D::Error::custom("expected seconds, from 0.001 to 86400")),
    }
}

/// Text that never shows in `Debug` or in an error message.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value, because serde's own message would show a password written as a number.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("expected text in quotes")),
        }
    }
}

/// A value written as text.
pub(super) trait Field: Sized {
    const EXPECTED: &'static str;

    /// The value, or why the text is none.
    fn read(text: &str) -> Result<Self, String>;
}

struct Parsed<T>(T);

impl<'de, T: Field> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reader(PhantomData)).map(Self)
    }
}

/// A visitor, since only what fails in one gets its line right within a list.
struct Reader<T>(PhantomData<T>);

impl<T: Field> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).map_err(|why| E::custom(format_args!("expected {}: {why}", T::EXPECTED)))
    }
}

macro_rules! fields {
    ($($field:ty: $read:expr, $expected:literal;)*) => {$(
        impl Field for $field {
            const EXPECTED: &'static str = $expected;

            fn read(text: &str) -> Result<Self, String> {
                ($read)(text).map_err(|error| error.to_string())
            }
        }
    )*};
}

fields! {
    SocketAddr: SocketAddr::from_str, "an address and a port such as 127.0.0.1:8080";
    ServerName: ServerName::new, "the name of a server";
    SiteName: SiteName::new, "the name of an Active Directory site";
    ExchangeVersion: ExchangeVersion::from_str, "an Exchange version such as 8.3.83.6";
    InternalUrl: InternalUrl::from_str, "an InternalURL such as https://cas.example.com/owa";
    ExternalUrl: ExternalUrl::from_str, "an ExternalURL such as https://mail.example.com/owa";
    BackEndUrl: BackEndUrl::from_str, "the URL of a back-end such as https://exchange2003.example.com";
    Sid: Sid::from_str, "a SID such as S-1-5-21-1004336348-1177238915-682003330-1001";
    SmtpAddress: SmtpAddress::from_str, "an SMTP address such as anna@example.com";
    Host: Host::new, "a host, with its port if it has one, such as mail.example.com";
    UserName: UserName::new, "the name of a user";
}

/// A host name that this server answers to, as it stands in `Host`.
#[derive(Clone, Debug)]
pub(crate) struct Host(String);

impl Host {
    fn new(text: &str) -> Result<Self, String> {
        match Authority::from_str(text) {
            Ok(authority) if !text.contains('@') && !authority.host().is_empty() => {
                Ok(Self(text.to_owned()))
            }
            Ok(_) => Err("there is user info, or no host".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that HTTP Basic can carry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UserName(String);

impl UserName {
    fn new(text: &str) -> Result<Self, &'static str> {
        match text {
            "" => Err("it is empty"),
            text if text.contains(':') => Err("HTTP Basic has no way to send a colon"),
            text if text.contains(char::is_control) => Err("it has a control character"),
            text => Ok(Self(text.to_owned())),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
