//! How much head a request may have.

use std::fmt;

use http::{HeaderMap, StatusCode, Uri};

use super::survey::Survey;

/// The most head a request may have. Servers have buffers of their own, whose limits are looser or are not in our hands.
///
/// ```
/// use cas_proxy::wire::limits::HeadLimits;
/// use http::{HeaderMap, Uri};
///
/// let limits = HeadLimits::new().max_target_bytes(16);
/// assert!(limits.check(&Uri::from_static("/owa/"), &HeaderMap::new()).is_ok());
///
/// let refused = limits.check(&Uri::from_static("/owa/?ae=Folder&t=x"), &HeaderMap::new());
/// assert_eq!(refused.unwrap_err().status(), 414);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    header_lines: usize,
    header_bytes: usize,
    target_bytes: usize,
}

impl HeadLimits {
    /// 100 header lines, 32 KiB of headers, 8 KiB of target.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            header_lines: 100,
            header_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
        }
    }

    /// Sets the most header lines, a repeated header counting each time. More than 10,000 are taken for 10,000, below
    /// what a [`HeaderMap`] can hold.
    #[must_use]
    pub const fn max_header_lines(mut self, lines: usize) -> Self {
        self.header_lines = if lines < 10_000 { lines } else { 10_000 };
        self
    }

    /// Sets the most bytes of headers: names, values, and four for each line's `: ` and end.
    #[must_use]
    pub const fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.header_bytes = bytes;
        self
    }

    /// Sets the most bytes of the target; of an absolute one, scheme and host count, too.
    #[must_use]
    pub const fn max_target_bytes(mut self, bytes: usize) -> Self {
        self.target_bytes = bytes;
        self
    }

    /// Checks the head of a request.
    ///
    /// # Errors
    /// If it is over a limit.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), HeadTooLarge> {
        self.check_surveyed(uri, headers, &Survey::of(headers))
    }

    /// The same, after a look over all headers has been taken.
    pub(crate) fn check_surveyed(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        survey: &Survey<'_>,
    ) -> Result<(), HeadTooLarge> {
        //= src/docs/protocol.md#error-status
        let before_path = uri.authority().map_or(0, |authority| {
            let scheme = uri
                .scheme_str()
                .map_or(0, |scheme| scheme.len() + "://".len());
            scheme + authority.as_str().len()
        });
        let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
        if before_path + path > self.target_bytes {
            return Err(HeadTooLarge::Target);
        }
        if headers.len() > self.header_lines || survey.bytes > self.header_bytes {
            return Err(HeadTooLarge::Headers);
        }
        Ok(())
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// The head of a request is over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadTooLarge {
    /// The target is too long.
    Target,
    /// There are too many headers, or too long ones.
    Headers,
}

impl HeadTooLarge {
    /// 414 for the target, 431 for headers.
    #[must_use]
    pub fn status(self) -> StatusCode {
        //= src/docs/protocol.md#error-status
        match self {
            Self::Target => StatusCode::URI_TOO_LONG,
            Self::Headers => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }
}

impl fmt::Display for HeadTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "request target too long",
            Self::Headers => "request headers too large",
        })
    }
}

impl std::error::Error for HeadTooLarge {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn lines(count: usize, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for _ in 0..count {
            headers.append("x", HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn check(target: &str, headers: &HeaderMap) -> Result<(), u16> {
        let uri = target.parse().unwrap();
        HeadLimits::default()
            .check(&uri, headers)
            .map_err(|error| error.status().as_u16())
    }

    #[test]
    //= src/docs/protocol.md#error-status
    fn headers_up_to_the_limits_pass() {
        assert_eq!(check("/", &lines(0, "")), Ok(()));
        assert_eq!(check("/", &lines(100, "")), Ok(()));
        assert_eq!(check("/", &lines(101, "")), Err(431));
        // A line costs five bytes besides its value.
        assert_eq!(check("/", &lines(1, &"v".repeat(32 * 1024 - 5))), Ok(()));
        assert_eq!(check("/", &lines(1, &"v".repeat(32 * 1024 - 4))), Err(431));
        assert_eq!(check("/", &lines(64, &"v".repeat(512 - 5))), Ok(()));
        assert_eq!(check("/", &lines(64, &"v".repeat(512 - 4))), Err(431));
    }

    #[test]
    //= src/docs/protocol.md#error-status
    fn targets_up_to_the_limit_pass() {
        let path = "p".repeat(8 * 1024 - 1);
        assert_eq!(check(&format!("/{path}"), &lines(0, "")), Ok(()));
        assert_eq!(check(&format!("/{path}p"), &lines(101, "")), Err(414));
        assert_eq!(check(&format!("/?{path}"), &lines(0, "")), Err(414));
        assert_eq!(
            check(&format!("http://m/{}", &path[8..]), &lines(0, "")),
            Ok(())
        );
        assert_eq!(
            check(&format!("http://m/{}", &path[7..]), &lines(0, "")),
            Err(414)
        );
    }

    #[test]
    fn limits_can_be_set() {
        let limits = HeadLimits::new()
            .max_header_lines(1)
            .max_header_bytes(6)
            .max_target_bytes(2);
        assert_eq!(limits.check(&"/a".parse().unwrap(), &lines(1, "v")), Ok(()));
        assert_eq!(
            limits.check(&"/a".parse().unwrap(), &lines(1, "vv")),
            Err(HeadTooLarge::Headers)
        );
        assert_eq!(
            limits.check(&"/ab".parse().unwrap(), &lines(1, "v")),
            Err(HeadTooLarge::Target)
        );
        assert_eq!(
            HeadLimits::new().max_header_lines(usize::MAX).header_lines,
            10_000
        );
    }
}
