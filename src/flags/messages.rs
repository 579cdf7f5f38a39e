//! The flags that say what is said to a peer.

use std::time::Duration;

use clap::Args;
use clap::builder::TypedValueParser;

use crate::error::{Failure, Phase};
use crate::flags::values;
use crate::service::framing::Framing;
use crate::service::reply::{Reply, ReplyScript};
use crate::service::template::Template;

/// The longest message unless the user says otherwise, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// Flags of the services that answer messages: hello, time, ack, reply.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages (hello, time, ack, reply)")]
pub struct MessageFlags {
    /// Say this first; alone, it is the service
    ///
    /// The blanks of --reply work here too; {n} is the number of the connection.
    #[arg(long, value_name = "TEXT", value_parser = values::text().try_map(template))]
    pub greeting: Option<Template>,
    /// Answer each message with this: {message} {time} {peer} {local} {n}; alone, it is the service
    ///
    /// {n} is the number of the message, {time} the local time in ctime's form, {peer_name} the
    /// name in the peer's verified certificate; {{ and }} are braces. C escapes such as \n are
    /// read. A line end that came with the message is put behind the answer.
    #[arg(long, value_name = "TEXT", value_parser = values::text().try_map(template))]
    pub reply: Option<Template>,
    /// Close at the message WORD, without an answer
    #[arg(long, value_name = "WORD")]
    pub until: Option<String>,
    /// Close after N messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
    /// What a message is: chunk, line, bytes:N or length:1|2|4
    ///
    /// chunk (default): each line of a read, an unfinished one too; an empty line is an empty
    /// message. line: each line, however many reads it takes. bytes:N: each N characters. A
    /// shorter rest at the end of the stream is the last message. length:N: as many bytes as the
    /// unsigned big-endian number in the N bytes before them says; the greeting and each answer
    /// have such a number too. A stream that ends inside such a message is truncated (18).
    #[arg(long, value_name = "HOW")]
    pub framing: Option<Framing>,
    /// The longest message; past it the connection ends [64Ki]
    #[arg(long, value_name = "SIZE", value_parser = values::buffer_size)]
    pub max_message: Option<usize>,
    /// Wait this long before each answer
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub delay: Option<Duration>,
}

/// A template in which C escapes are read first, as in `--send`.
fn template(text: Vec<u8>) -> Result<Template, String> {
    Template::read(&text)
}

impl MessageFlags {
    /// The script `base` with what these flags change in it.
    pub fn script(&self, base: ReplyScript) -> ReplyScript {
        ReplyScript {
            greeting: self.greeting.clone().or(base.greeting),
            answer: self.reply.clone().or(base.answer),
            until: self.until.clone().map(String::into_bytes).or(base.until),
            messages: self.messages.or(base.messages),
        }
    }

    /// The service that talks by `base` and these flags.
    ///
    /// Fails with code 2 when each message of the framing would pass the limit.
    pub fn service(&self, base: ReplyScript) -> Result<Reply, Failure> {
        let (framing, max_message) = (self.framing(), self.max_message());
        if let Framing::Chars(n) = framing
            && n.get() > max_message
        {
            let why =
                format!("messages of {n} characters are over the limit of {max_message} bytes");
            return Err(Failure::usage(Phase::Receive, "--framing", why)
                .with_hint("--max-message allows longer ones"));
        }
        let delay = self.delay.unwrap_or_default();
        Ok(Reply { script: self.script(base), framing, max_message, delay })
    }

    /// What a message is.
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or_default()
    }

    /// Bytes of the longest message.
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
