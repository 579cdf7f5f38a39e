//! The letters of nc(1) and ncat(1), and what each wishes for.

/// What somebody with netcat in the fingers wants.
#[derive(Debug, Default)]
pub struct Wish {
    /// `-l`
    pub listen: bool,
    /// `-u`
    pub udp: bool,
    /// `-U`
    pub unix: bool,
    /// `-z`
    pub scan: bool,
    /// `-e`, `-c`: with a shell or without
    pub run: Option<(bool, String)>,
    /// `-p`
    pub port: Option<String>,
    /// `-w`
    pub wait: Option<String>,
    /// `-x`, and by `-X connect` an HTTP one
    pub proxy: Option<String>,
    /// `-X connect`
    pub proxy_is_http: bool,
    /// Flags of ours that say the same.
    pub flags: Vec<String>,
    /// What is no flag: host, port, path.
    pub words: Vec<String>,
}

/// Letters that netcats give a value to.
const VALUED: &str = "pwxXecsoiIOTMmqPWgGV";

impl Wish {
    /// Takes one word of flags such as `-lvnp` or `--ssl`, with `next` as its value if it wants
    /// one; `None` where no netcat knows it, else whether `next` was used.
    pub fn take(&mut self, word: &str, next: Option<&str>) -> Option<bool> {
        match word.strip_prefix("--") {
            Some(long) => self.long(long, next),
            None => self.cluster(word.strip_prefix('-')?, next),
        }
    }

    fn long(&mut self, long: &str, next: Option<&str>) -> Option<bool> {
        let (name, given) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let letter = match name {
            "listen" => 'l',
            "udp" => 'u',
            "unixsock" => 'U',
            "exec" => 'e',
            "sh-exec" => 'c',
            "source-port" => 'p',
            "wait" => 'w',
            "keep-open" => 'k',
            "ssl" => 'S',
            "proxy" => 'x',
            "nodns" => 'n',
            "crlf" => 'C',
            _ => return None,
        };
        if letter == 'S' {
            self.flags.push("--tls".to_string());
            return Some(false);
        }
        let used = self.letter(letter, given.or(next))?;
        Some(used && given.is_none())
    }

    fn cluster(&mut self, letters: &str, next: Option<&str>) -> Option<bool> {
        for (at, letter) in letters.char_indices() {
            let rest = &letters[at + letter.len_utf8()..];
            if VALUED.contains(letter) {
                let value = if rest.is_empty() { next } else { Some(rest) };
                return self.letter(letter, value).map(|used| used && rest.is_empty());
            }
            self.letter(letter, None)?;
        }
        (!letters.is_empty()).then_some(false)
    }

    /// One letter; whether it used the value.
    fn letter(&mut self, letter: char, value: Option<&str>) -> Option<bool> {
        match letter {
            'l' => self.listen = true,
            'u' => self.udp = true,
            'U' => self.unix = true,
            'z' => self.scan = true,
            'v' => self.flag("-v"),
            '4' => self.flag("-4"),
            '6' => self.flag("-6"),
            'C' => self.flag("--crlf"),
            'd' => self.flag("--recv-only"),
            // What sockit does anyway: going on, the half-close, and taking addresses as such.
            'k' | 'N' | 'n' | 't' | 'r' | 'D' | 'b' => {}
            _ => return self.valued(letter, value?),
        }
        Some(false)
    }

    fn valued(&mut self, letter: char, value: &str) -> Option<bool> {
        let owned = value.to_string();
        match letter {
            'p' => self.port = Some(owned),
            'w' => self.wait = Some(owned),
            'x' => self.proxy = Some(owned),
            'X' => self.proxy_is_http = value == "connect",
            'e' => self.run = Some((false, owned)),
            'c' => self.run = Some((true, owned)),
            's' => self.pair("--source", value),
            'o' => self.pair("--hex", value),
            'T' => self.pair("--tos", value),
            'M' => self.pair("--ttl", value),
            'm' => self.pair("--max-conns", value),
            'O' => self.pair("--send-buffer", value),
            'I' => self.pair("--recv-buffer", value),
            // Ours too, but quiet; with a number behind it it is netcat's.
            'q' => return Some(value.bytes().all(|b| b.is_ascii_digit() || b == b'-')),
            'i' | 'P' | 'W' | 'g' | 'G' | 'V' => {}
            _ => return None,
        }
        Some(true)
    }

    fn flag(&mut self, flag: &str) {
        self.flags.push(flag.to_string());
    }

    fn pair(&mut self, flag: &str, value: &str) {
        self.flag(flag);
        self.flag(value);
    }
}
