//! The server's end of a connection, read as slowly as its owner likes.

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream,
};

pub struct Wire(BufReader<DuplexStream>);

pub struct Head {
    text: String,
}

/// A body on its way in.
pub struct Arriving {
    pub got: Vec<u8>,
    /// All of it is here, by what the request says of its length.
    pub whole: bool,
    framing: Framing,
}

enum Framing {
    Sized(usize),
    Chunked,
}

impl Head {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn is_login(&self) -> bool {
        self.text.starts_with("POST /owa/proxyLogon.owa ")
    }

    pub fn expects(&self) -> bool {
        self.field("expect") == Some("100-continue")
    }

    pub fn body(&self) -> Arriving {
        let framing = match (
            self.field("content-length"),
            self.field("transfer-encoding"),
        ) {
            (Some(length), None) => Framing::Sized(length.parse().unwrap()),
            (None, Some("chunked")) => Framing::Chunked,
            (None, None) => Framing::Sized(0),
            other => panic!("framed by {other:?}"),
        };
        Arriving {
            got: Vec::new(),
            whole: matches!(framing, Framing::Sized(0)),
            framing,
        }
    }
}

impl Wire {
    pub fn new(stream: DuplexStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next request; none if the other side has closed.
    pub async fn head(&mut self) -> Option<Head> {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            if self.0.read_until(b'\n', &mut text).await.ok()? == 0 {
                return None;
            }
        }
        let text = String::from_utf8(text).unwrap();
        Some(Head { text })
    }

    /// Reads until `length` bytes of the body are here, or all. None if the other side has closed.
    pub async fn read(&mut self, body: &mut Arriving, length: usize) -> Option<()> {
        while !body.whole && body.got.len() < length {
            match body.framing {
                Framing::Sized(of) => {
                    let most = (of.min(length) - body.got.len()) as u64;
                    let read = (&mut self.0)
                        .take(most)
                        .read_buf(&mut body.got)
                        .await
                        .ok()?;
                    if read == 0 {
                        return None;
                    }
                    body.whole = body.got.len() == of;
                }
                Framing::Chunked => self.chunk(body).await?,
            }
        }
        Some(())
    }

    async fn chunk(&mut self, body: &mut Arriving) -> Option<()> {
        let line = self.line().await?;
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let at = body.got.len();
        body.got.resize(at + size, 0);
        if self.0.read_exact(&mut body.got[at..]).await.is_err() {
            body.got.truncate(at);
            return None;
        }
        assert_eq!(
            self.line().await?,
            "\r\n",
            "no trailers, and the end of a chunk"
        );
        body.whole = size == 0;
        Some(())
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).await.ok()?;
        line.ends_with('\n').then_some(line)
    }

    /// Whether it could be written.
    pub async fn write(&mut self, text: &str) -> Option<()> {
        self.0.get_mut().write_all(text.as_bytes()).await.ok()
    }

    pub async fn half_close(&mut self) {
        // The other side may have gone.
        let _ = self.0.get_mut().shutdown().await;
    }

    /// Reads whatever comes until the other side closes.
    pub async fn drain(&mut self) {
        while let Ok([_, ..]) = self.0.fill_buf().await {
            let length = self.0.buffer().len();
            std::pin::Pin::new(&mut self.0).consume(length);
        }
    }
}
