//! Flags of the services that reply to messages: texts, framing, limits.

use std::time::Duration;

use clap::Args;

use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::service::framing::Framing;
use crate::service::reply::{Reply, ReplyScript};
use crate::service::template::Template;

/// The default of `--max-message`, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// Flags of the services that reply to messages: hello, time, ack, reply.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages (hello, time, ack, reply)")]
pub struct MessageFlags {
    /// Send TEXT first (implies --service reply)
    ///
    /// The placeholders of --reply are replaced; {n} is the number of the connection.
    #[arg(long, value_name = "TEXT", value_parser = values::template())]
    pub greeting: Option<Template>,
    /// Reply to each message with TEXT: {message} {time} {peer} {local} {n} (implies --service reply)
    ///
    /// {n} is the number of the message, {time} the local time in the format of ctime(3),
    /// {peer_name} the name in the peer's verified certificate; {{ and }} are literal braces. C
    /// escapes such as \n are replaced. The line end of the message, if any, is appended.
    #[arg(long, value_name = "TEXT", value_parser = values::template())]
    pub reply: Option<Template>,
    /// Close when the message WORD is received, without a reply
    #[arg(long, value_name = "WORD")]
    pub until: Option<String>,
    /// Close after N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
    /// How the input is split into messages: chunk, line, bytes:N or length:1|2|4 [chunk]
    ///
    /// chunk: each line of a read, and an incomplete line at its end; an empty line is an empty
    /// message. line: each line, over any number of reads. bytes:N: each N characters; a shorter
    /// rest at the end of the stream is the last message. length:N: each message follows its
    /// length in bytes, an unsigned big-endian number of N bytes; so do the greeting and each
    /// reply. A stream that ends inside such a message is truncated (exit code 18).
    #[arg(long, value_name = "HOW")]
    pub framing: Option<Framing>,
    /// Maximum size of a message; a longer one closes the connection [64Ki]
    #[arg(long, value_name = "SIZE", value_parser = values::buffer_size)]
    pub max_message: Option<usize>,
    /// Delay before each reply [0]
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub delay: Option<Duration>,
}

impl MessageFlags {
    /// The script `base` with the changes of these flags.
    pub fn script(&self, base: ReplyScript) -> ReplyScript {
        ReplyScript {
            greeting: self.greeting.clone().or(base.greeting),
            reply: self.reply.clone().or(base.reply),
            until: self.until.clone().map(String::into_bytes).or(base.until),
            max_messages: self.messages.or(base.max_messages),
        }
    }

    /// The reply service with the script `base` and these flags.
    ///
    /// Fails with code 2 when each message of the framing would exceed the limit.
    pub fn service(&self, base: ReplyScript) -> Result<Reply, Failure> {
        let (framing, max_message) = (self.framing(), self.max_message());
        if let Framing::Chars(n) = framing
            && n.get() > max_message
        {
            let why = format!("messages of {n} characters exceed the limit of {max_message} bytes");
            return Err(Failure::usage(Phase::Receive, "--framing", why)
                .with_hint("--max-message allows longer ones"));
        }
        let delay = self.delay.unwrap_or_default();
        Ok(Reply { script: self.script(base), framing, max_message, delay })
    }

    /// How the input is split into messages.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or_default()
    }

    /// The limit of a message, in bytes.
    pub fn max_message(&self) -> usize {
        self.max_message.unwrap_or(MAX_MESSAGE)
    }

    /// The first of these flags that was given and is not `allowed`.
    pub fn first_given_but(&self, allowed: &[&str]) -> Option<&'static str> {
        [
            ("--greeting", self.greeting.is_some()),
            ("--reply", self.reply.is_some()),
            ("--until", self.until.is_some()),
            ("--messages", self.messages.is_some()),
            ("--framing", self.framing.is_some()),
            ("--max-message", self.max_message.is_some()),
            ("--delay", self.delay.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| (given && !allowed.contains(&flag)).then_some(flag))
    }
}
