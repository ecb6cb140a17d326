//! Request bodies that hardly arrive.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::time::{Instant, sleep};

use super::patience::{LEAST, Patient};

const WINDOW: Duration = Duration::from_secs(60);

/// Reads pieces of `size` bytes that come every `pause`, for an hour at most; how long that went well.
async fn read(size: usize, pause: Duration) -> Result<usize, Duration> {
    let pieces = (3600 / pause.as_secs().max(1)) as usize;
    let stream = futures_util::stream::unfold(0, move |count| async move {
        if count == pieces {
            return None;
        }
        sleep(pause).await;
        let piece = Frame::data(Bytes::from(vec![b'x'; size]));
        Some((Ok::<_, Infallible>(piece), count + 1))
    });
    let start = Instant::now();
    let body = Patient::new(StreamBody::new(stream), WINDOW);
    let read = body.collect().await.map(|read| read.to_bytes().len());
    read.map_err(|_| start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_is_no_body() {
    assert_eq!(read(1, Duration::from_secs(1)).await, Err(WINDOW));
    assert_eq!(read(1, WINDOW * 2).await, Err(WINDOW));
    assert_eq!(read(LEAST, WINDOW * 2).await, Err(WINDOW));
    assert_eq!(read(0, Duration::from_secs(1)).await, Err(WINDOW));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_one() {
    let pause = Duration::from_secs(50);
    assert_eq!(read(LEAST, pause).await, Ok(72 * LEAST));
    assert_eq!(read(100, Duration::from_secs(5)).await, Ok(72_000));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_the_bodys_fault() {
    let mut body = std::pin::pin!(Patient::new(Full::new(Bytes::from_static(b"mail")), WINDOW));
    sleep(WINDOW * 2).await;
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "mail"
    );
    assert!(body.frame().await.is_none());
}
