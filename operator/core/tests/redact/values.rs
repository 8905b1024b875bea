//! Random values from a seed: what secrets and clean manifests are made of. Knows nothing of the rules.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// `n` of these letters.
    pub(crate) fn letters(&mut self, from: &str, n: usize) -> String {
        let from = from.as_bytes();
        (0..n).map(|_| char::from(from[self.below(from.len())])).collect()
    }

    pub(crate) fn hex(&mut self, n: usize) -> String {
        self.letters("0123456789abcdef", n)
    }

    pub(crate) fn uuid(&mut self) -> String {
        let (a, b, c, d, e) = (self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12));
        format!("{a}-{b}-4{c}-a{d}-{e}")
    }

    fn jwt(&mut self) -> String {
        let head = r#"{"alg":"RS256","kid":"k1","typ":"JWT"}"#;
        let body = format!(
            r#"{{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:dev:{}","jti":"{}"}}"#,
            self.word(),
            self.uuid()
        );
        let sign = self.letters(URL, 342);
        format!(
            "{}.{}.{sign}",
            URL_SAFE_NO_PAD.encode(head),
            URL_SAFE_NO_PAD.encode(body)
        )
    }

    pub(crate) fn word(&mut self) -> &'static str {
        self.pick(&[
            "payments",
            "frontend",
            "cart",
            "shop",
            "billing",
            "search",
            "orders",
            "gateway",
            "worker",
            "cache",
            "mailer",
            "report",
            "ledger",
            "profile",
            "catalog",
            "inventory",
        ])
    }

    /// A password as people and generators choose them.
    pub(crate) fn password(&mut self) -> String {
        match self.below(4) {
            0 => format!("{}{}!", capital(self.word()), 1000 + self.below(9000)),
            1 => {
                let mut made = self.letters(ALNUM, 10);
                made.push_str(&self.letters("0123456789", 2));
                made.push_str("aZ");
                made
            }
            2 => format!(
                "{}-{}-{}",
                self.word(),
                self.letters("0123456789", 4),
                self.word()
            ),
            _ => {
                let front = self.letters(ALNUM, 8);
                let sign = self.pick(&["#", "+", "*", "^", "~", "."]);
                format!("{front}{sign}{}7k", self.letters(ALNUM, 6))
            }
        }
    }

    /// Fills a template; answers the text and the longest of its random parts.
    pub(crate) fn fill(&mut self, template: &str) -> (String, String) {
        let mut out = String::new();
        let mut longest = String::new();
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            out.push_str(&rest[..open]);
            let tail = &rest[open..];
            let close = tail.find('}').unwrap_or(tail.len() - 1);
            match self.part(&tail[1..close]) {
                Some(made) => {
                    if made.len() > longest.len() {
                        longest.clone_from(&made);
                    }
                    out.push_str(&made);
                    rest = &tail[close + 1..];
                }
                None => {
                    out.push('{');
                    rest = &tail[1..];
                }
            }
        }
        out.push_str(rest);
        (out.replace("\\n", "\n"), longest)
    }

    fn part(&mut self, said: &str) -> Option<String> {
        match said {
            "uuid" => return Some(self.uuid()),
            "jwt" => return Some(self.jwt()),
            _ => {}
        }
        let (set, n) = said.split_once(':')?;
        let n = n.parse().ok()?;
        Some(match set {
            "A" => self.letters(ALNUM, n),
            "l" => self.letters("abcdefghijklmnopqrstuvwxyz0123456789", n),
            "U" => self.letters("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", n),
            "h" => self.hex(n),
            "d" => self.letters("0123456789", n),
            "w" => self.letters(&format!("{ALNUM}_"), n),
            "u" => self.letters(URL, n),
            "b" => self.letters(&format!("{ALNUM}+/"), n),
            _ => return None,
        })
    }
}

pub(crate) const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|c| c.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// One row of the corpus: class, a text with one, a text without.
pub(crate) fn kinds() -> Vec<(&'static str, &'static str, &'static str)> {
    include_str!("../corpus/secrets.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let mut parts = line.splitn(3, " | ");
            (
                parts.next().unwrap(),
                parts.next().unwrap(),
                parts.next().unwrap(),
            )
        })
        .collect()
}

/// Ways to write the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Base64,
    Base64Twice,
    Percent,
    JsonInJson,
    Unseen,
    SplitLine,
    WrappedBase64,
}

impl Encoding {
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Base64,
        Self::Base64Twice,
        Self::Percent,
        Self::JsonInJson,
        Self::Unseen,
        Self::SplitLine,
        Self::WrappedBase64,
    ];

    /// The text in this way, and what must not be left of it. `secret` is part of `text`.
    pub(crate) fn apply(self, text: &str, secret: &str, dice: &mut Dice) -> (String, Vec<String>) {
        let middle = |code: &str| {
            let from = code.len() / 3;
            vec![code[from..(from + 24).min(code.len())].to_owned()]
        };
        let half = secret.len() / 2;
        match self {
            Self::Plain => (text.to_owned(), vec![secret.to_owned()]),
            Self::Base64 => {
                let code = STANDARD.encode(text);
                let gone = middle(&code);
                (code, gone)
            }
            Self::Base64Twice => {
                let code = STANDARD.encode(STANDARD.encode(text));
                let gone = middle(&code);
                (code, gone)
            }
            Self::Percent => {
                let code: String = text
                    .bytes()
                    .map(|b| {
                        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.') {
                            char::from(b).to_string()
                        } else {
                            format!("%{b:02X}")
                        }
                    })
                    .collect();
                let code = if code == text {
                    format!("{}%20{code}", dice.word())
                } else {
                    code
                };
                let plain: String = secret.chars().take_while(char::is_ascii_alphanumeric).collect();
                (code, if plain.len() >= 8 { vec![plain] } else { vec![] })
            }
            Self::JsonInJson => {
                let inner = serde_json::json!({"level": "info", "msg": text}).to_string();
                (
                    serde_json::json!({"log": inner, "stream": "stdout"}).to_string(),
                    vec![secret.to_owned()],
                )
            }
            Self::Unseen => {
                let at = text.find(secret).unwrap_or(0) + half;
                let filler = dice.pick(&["\u{200b}", "\u{2060}", "\u{feff}", "\u{ad}"]);
                let code = format!("{}{filler}{}", &text[..at], &text[at..]);
                (code, vec![secret[..half].to_owned(), secret[half..].to_owned()])
            }
            Self::SplitLine => {
                let at = text.find(secret).unwrap_or(0) + half;
                let code = format!("{}\\\n    {}", &text[..at], &text[at..]);
                (code, vec![secret[..half].to_owned()])
            }
            Self::WrappedBase64 => {
                let code = STANDARD.encode(format!(
                    "{text}\n# written by {} for {}\n",
                    dice.word(),
                    dice.word()
                ));
                let gone = middle(&code);
                let lines: Vec<String> = code
                    .as_bytes()
                    .chunks(64)
                    .map(|l| String::from_utf8_lossy(l).into_owned())
                    .collect();
                let gone = if lines.len() > 1 {
                    vec![lines[0][20..60].to_owned()]
                } else {
                    gone
                };
                (lines.join("\n"), gone)
            }
        }
    }
}
