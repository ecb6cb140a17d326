//! The proxy login: reads the body of a verified CAS, and keeps the context in it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{Answered, VerifiedCaller, layer::Config, log};
use crate::csc::{
    ClientSecurityContext, Sid,
    xml::{self, ReadErrorKind},
};

pin_project! {
    /// Reads the body, within its bounds of size and time, then judges it.
    pub(super) struct Login<B> {
        #[pin]
        body: B,
        #[pin]
        too_late: Sleep,
        read: Vec<u8>,
        config: Arc<Config>,
        caller: VerifiedCaller,
        // Whom the headers announce.
        user: Sid,
    }
}

impl<B: Body> Login<B> {
    pub(super) fn new(config: Arc<Config>, caller: VerifiedCaller, user: Sid, body: B) -> Self {
        Self {
            body,
            too_late: sleep(config.login_timeout),
            read: Vec::new(),
            config,
            caller,
            user,
        }
    }
}

impl<B: Body> Future for Login<B> {
    type Output = Answered;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answered> {
        let mut this = self.project();
        let limit = this.config.login_body_limit;
        let failed = |answered, why: &str| {
            log::login_failed(this.caller, this.user, why);
            Poll::Ready(answered)
        };
        // A body announced too large is refused before any of it is sent.
        if this.body.size_hint().lower() > (limit - this.read.len()) as u64 {
            return failed(Answered::LoginTooLarge, "body is larger than allowed");
        }
        // Looked at first: a body that always has a little more must not put it off.
        if this.too_late.poll(cx).is_ready() {
            return failed(Answered::LoginTimedOut, "body did not arrive in time");
        }
        loop {
            match ready!(this.body.as_mut().poll_frame(cx)) {
                None => break,
                Some(Err(_)) => return failed(Answered::LoginMalformed, "body broke off"),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    if data.remaining() > limit - this.read.len() {
                        return failed(Answered::LoginTooLarge, "body is larger than allowed");
                    }
                    append(this.read, data);
                }
            }
        }
        Poll::Ready(judge(this.config, this.caller, this.user, this.read))
    }
}

/// Nothing of the context is used before the whole of it is found good.
fn judge(config: &Config, caller: &VerifiedCaller, user: &Sid, body: &[u8]) -> Answered {
    if !caller.sent(body) {
        log::body_not_signed(caller, user);
        return Answered::LoginRefused;
    }
    //= src/docs/protocol.md#login-reader
    let context = match xml::read(body) {
        Ok(context) => context,
        Err(why) => return unreadable(caller, user, why),
    };
    //= src/docs/protocol.md#login-same-sid
    if context.user() != user {
        log::login_failed(caller, user, "body is another user's than the headers");
        return Answered::LoginMalformed;
    }
    //= src/docs/protocol.md#login-same-sid
    if !user.is_domain_account() {
        log::login_failed(caller, user, "user is no account of a domain");
        return Answered::LoginRefused;
    }
    keep(config, caller, context)
}

fn keep(config: &Config, caller: &VerifiedCaller, context: ClientSecurityContext) -> Answered {
    let (user, sids) = (*context.user(), context.sid_count());
    if config
        .refuse_context
        .as_ref()
        .is_some_and(|refuse| refuse(caller, &context))
    {
        log::login_failed(caller, &user, "context is refused by the configured rule");
        return Answered::LoginRefused;
    }
    if !config.store.remember(caller, context) {
        log::login_failed(caller, &user, "context is larger than all that may be kept");
        return Answered::LoginNotKept;
    }
    log::login_accepted(caller, &user, sids);
    Answered::LoginAccepted
}

fn unreadable(caller: &VerifiedCaller, user: &Sid, why: xml::ReadError) -> Answered {
    match why.kind() {
        //= src/docs/protocol.md#login-limit
        ReadErrorKind::TooManySids => {
            log::too_many_sids(caller, user, why);
            Answered::LoginTooLarge
        }
        ReadErrorKind::TooLarge => {
            log::login_failed(caller, user, why);
            Answered::LoginTooLarge
        }
        _ => {
            log::login_failed(caller, user, why);
            Answered::LoginMalformed
        }
    }
}

fn append(read: &mut Vec<u8>, mut data: impl Buf) {
    read.reserve(data.remaining());
    while data.has_remaining() {
        let chunk = data.chunk();
        read.extend_from_slice(chunk);
        data.advance(chunk.len());
    }
}
