//! What this process has in use, as the kernel counts it.

use std::{fmt, fs, str::FromStr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in memory.
    pub resident: usize,
    pub file_descriptors: usize,
}

impl Usage {
    pub fn now() -> Self {
        let kib = number_after("/proc/self/status", "VmRSS:");
        Self {
            resident: kib * 1024,
            // One is for the reading itself.
            file_descriptors: fs::read_dir("/proc/self/fd").unwrap().count() - 1,
        }
    }

    /// How many file descriptors this process may have.
    pub fn most_file_descriptors() -> usize {
        number_after("/proc/self/limits", "Max open files")
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.resident, self.file_descriptors)
    }
}

impl FromStr for Usage {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (resident, file_descriptors) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self {
            resident: resident.parse()?,
            file_descriptors: file_descriptors.parse()?,
        })
    }
}

fn number_after(file: &str, label: &str) -> usize {
    let text = fs::read_to_string(file).unwrap();
    let rest = text.lines().find_map(|line| line.strip_prefix(label));
    let number = rest.and_then(|rest| rest.split_whitespace().next());
    number.unwrap().parse().unwrap()
}
