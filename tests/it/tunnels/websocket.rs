//! Two ends that speak WebSocket.

use cas_proxy::telemetry::Outcome;

use super::*;

//= src/docs/protocol.md#upgrade-offer
//= src/docs/protocol.md#upgrade-checked
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_frames_come_back_on_the_first_visit_and_on_the_second() {
    let dallas = Dallas::new(Setup::plain()).await;
    let (stack, logins) = (
        stack(&dallas.first_cas()),
        Arc::<Mutex<Vec<bool>>>::default(),
    );
    let noted = Arc::clone(&logins);
    let serve = move |request| {
        let (answer, noted) = (answer(stack.clone(), request), Arc::clone(&noted));
        async move {
            let answer = answer.await;
            if let Some(Outcome::Proxied { logged_in, .. }) = answer.extensions().get() {
                noted.lock().unwrap().push(*logged_in);
            }
            answer
        }
    };
    let front = Setup::plain().serve(serve).await;
    for visit in ["with a 441", "without"] {
        let socket = open(&front, "/owa/ws").await.unwrap();
        let (mut write, mut read) = socket.split();
        // Sent without waiting, so that all buffers on the way are full.
        let sending = tokio::spawn(async move {
            for number in 0..FRAMES {
                write.feed(frame(number)).await.unwrap();
            }
            write.send(Message::Close(None)).await.unwrap();
        });
        for number in 0..FRAMES {
            let back = read.next().await.unwrap().unwrap();
            assert!(back == frame(number), "frame {number}, visit {visit}");
        }
        assert!(read.next().await.unwrap().unwrap().is_close());
        sending.await.unwrap();
    }
    assert_eq!(*logins.lock().unwrap(), [true, false]);
    let seen = dallas.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for seen in seen.iter() {
        assert_eq!(seen.user.as_ref().unwrap().user(), user(2).user());
    }
}

const FRAMES: usize = 10_000;

/// Frames of all three lengths that RFC 6455 has, most of them short.
fn frame(number: usize) -> Message {
    let length = match number % 1_000 {
        0 => 70_000,
        1..50 => 1_000,
        short => short % 126,
    };
    let byte = u8::try_from(number % 96).unwrap() + 32;
    if number.is_multiple_of(2) {
        Message::binary(vec![byte; length])
    } else {
        Message::text(String::from_utf8(vec![byte; length]).unwrap())
    }
}
