//! CPU and memory, and values written as `key=value`.

use super::frame::{Amount, Frame, Res, Slot, once};
use super::parser::Parser;
use super::tables::{AT_MOST, REPLICA_NOUNS, TO};
use super::vocab::{self, Noun};
use super::words::{self, Measure};
use super::{Ask, names};

impl<'a> Parser<'a> {
    /// `replicas=5`, `image=nginx:1.28`, `memory=1Gi`, `limits.cpu=500m`.
    pub(super) fn keyed(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let Some((key, value)) = self
            .text(0)
            .split_once(['=', ':'])
            .filter(|(k, v)| !k.is_empty() && !v.is_empty())
        else {
            return Ok(false);
        };
        if frame.labelish() {
            return Ok(false);
        }
        if value.contains('=') && frame.can_resource() && self.keyed_list(frame) {
            self.pos += 1;
            return Ok(true);
        }
        let number = || words::number(|i| if i == 0 { value } else { "" }).map(|(n, _)| n);
        match key.to_lowercase().as_str() {
            "replicas" if frame.can_scale() => {
                let n = number().ok_or_else(|| self.unclear())?;
                once(&mut frame.amount, Amount::To(n), "the number of replicas")?;
                frame.last = Slot::Amount;
            }
            "image" if frame.can_image() && names::is_image(value) => {
                once(&mut frame.image, value.to_owned(), "the image")?;
            }
            path @ ("cpu" | "memory" | "limits.cpu" | "limits.memory" | "requests.cpu"
            | "requests.memory")
                if frame.can_resource() =>
            {
                let (quantity, _) = words::quantity(|_| "", |i| if i == 0 { value } else { "" })
                    .ok_or_else(|| self.unclear())?;
                if path.starts_with("limits") {
                    frame.resources.push(Res::Limit);
                } else if path.starts_with("requests") {
                    frame.resources.push(Res::Request);
                }
                frame.resources.push(if path.ends_with("cpu") {
                    Res::Cpu
                } else {
                    Res::Memory
                });
                frame.resources.push(Res::Value(quantity));
            }
            _ if frame.can_image()
                && names::is_label(key)
                && names::looks_like_image(value)
                && self.text(0).contains('=') =>
            {
                once(&mut frame.container, key.to_owned(), "the container")?;
                once(&mut frame.image, value.to_owned(), "the image")?;
            }
            _ => return Ok(false),
        }
        self.pos += 1;
        Ok(true)
    }

    /// `cpu=100m,memory=128Mi`.
    fn keyed_list(&self, frame: &mut Frame<'a>) -> bool {
        let mut found = Vec::new();
        for part in self.text(0).split(',') {
            let Some((key, value)) = part.split_once('=') else {
                return false;
            };
            let what = match key {
                "cpu" => Res::Cpu,
                "memory" => Res::Memory,
                _ => return false,
            };
            let Some((quantity, _)) = words::quantity(|_| "", |i| if i == 0 { value } else { "" }) else {
                return false;
            };
            found.extend([what, Res::Value(quantity)]);
        }
        frame.resources.extend(found);
        true
    }

    /// Words and values of CPU and memory, in any order.
    pub(super) fn resource(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        if !frame.can_resource() {
            return Ok(false);
        }
        let from = self.pos;
        self.eat(&["of", "a", "an", "the", "with", "in", "its", "to", "at", "as"]);
        self.eat(&["a", "an", "the"]);
        let word = match vocab::noun(self.key(0)) {
            Some(Noun::Cpu) => Some(Res::Cpu),
            Some(Noun::Memory) => Some(Res::Memory),
            Some(Noun::Limit) => Some(Res::Limit),
            Some(Noun::Request) => Some(Res::Request),
            Some(Noun::Resources) => None,
            _ => {
                self.pos = from;
                return self.resource_value(frame);
            }
        };
        self.pos += 1;
        frame.resources.extend(word);
        frame.nouns.push(Noun::Resources);
        frame.last = Slot::Resource;
        Ok(true)
    }

    fn resource_value(&mut self, frame: &mut Frame<'a>) -> Result<bool, Ask> {
        let from = self.pos;
        let by = self.eat(&["by"]);
        let _ = by || self.eat_phrase(TO) || self.eat_phrase(AT_MOST);
        let number_text = |i: usize| self.tok(i).map_or("", |t| t.text.as_str());
        let Some((quantity, len)) = words::quantity(|i| self.key(i), number_text) else {
            self.pos = from;
            return Ok(false);
        };
        let about_resources = frame
            .resources
            .iter()
            .any(|r| matches!(r, Res::Cpu | Res::Memory | Res::Limit | Res::Request));
        let counts = REPLICA_NOUNS.contains(&self.key(len)) || self.key(len) == "%";
        let next = vocab::noun(self.key(len));
        let named = matches!(next, Some(Noun::Cpu | Noun::Memory));
        let measured = matches!(quantity.measure, Measure::Cpu | Measure::Memory | Measure::Milli);
        if counts || !(measured || about_resources || named) {
            self.pos = from;
            return Ok(false);
        }
        self.pos += len;
        frame.resources.push(Res::Value(quantity));
        frame.relative |= by || matches!(self.key(0), "more" | "less" | "extra" | "additional");
        if frame.relative {
            self.eat(&["more", "less", "extra", "additional"]);
        }
        frame.last = Slot::Resource;
        Ok(true)
    }
}
