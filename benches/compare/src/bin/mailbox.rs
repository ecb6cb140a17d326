//! A server without a hop: what a mailbox costs by itself, and what takes the uploads.

use cas_proxy_compare::{Arguments, BoxError, mailbox, runtime, serve};

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read(0)?;
    let mailbox = mailbox();
    let serving = serve(arguments.get("--listen")?, |_| mailbox.clone());
    runtime(arguments.get_or("--threads", 1)?)?.block_on(serving)
}
