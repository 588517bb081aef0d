//! The command that goes on with a run which failed or was interrupted, ready to be pasted into a shell.

use std::ffi::{OsStr, OsString};

/// The command that this process was started with, without `--fresh`, which would delete what is finished.
pub fn of_this_process() -> String {
    shell_command_without_fresh(std::env::args_os())
}

fn shell_command_without_fresh(words: impl Iterator<Item = OsString>) -> String {
    let mut is_option = true;
    let mut command: Vec<String> = Vec::new();
    for word in words {
        // All words after this one are names of files.
        is_option &= word != "--";
        if !(is_option && word == "--fresh") {
            command.push(quote_for_shell(&word));
        }
    }
    command.join(" ")
}

/// Quotes a word so that a shell reads it as it is. The result has a single line.
fn quote_for_shell(word: &OsStr) -> String {
    let text = word
        .to_str()
        .filter(|text| !text.contains(char::is_control));
    match text.map(shlex::try_quote) {
        Some(Ok(quoted)) => quoted.into_owned(),
        _ => quote_bytes_for_shell(word.as_encoded_bytes()),
    }
}

/// Quotes any bytes as `$'...'`, which bash, zsh and POSIX since 2024 read: `'`, `\` and bytes that are not
/// printable ASCII are written as octal numbers.
fn quote_bytes_for_shell(bytes: &[u8]) -> String {
    let escaped = bytes.iter().map(|&byte| match byte {
        b' '..=b'~' if byte != b'\'' && byte != b'\\' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    });
    format!("$'{}'", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_the_words_that_were_quoted() {
        use std::os::unix::ffi::OsStringExt;
        let words: Vec<OsString> = [
            &b"run"[..],
            b"it's here/spec.toml",
            b"--set",
            b"model.hidden=[16, 8]",
            b"--set",
            b"question=\"$HOME `id` !! \\n\"",
            b"--out=a\nb\t*",
            b"",
            b"~",
            b"\xff\x010 r\xc3\xa9sum\xc3\xa9",
            "été 統計".as_bytes(),
        ]
        .into_iter()
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
        let command = shell_command_without_fresh(words.iter().cloned());
        assert_eq!(command.lines().count(), 1, "{command}");
        let script = format!("printf '%s\\0' {command}");
        let shell = std::process::Command::new("bash")
            .args(["-c", &script])
            .output();
        let expected: Vec<u8> = words
            .iter()
            .flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat())
            .collect();
        assert_eq!(shell.unwrap().stdout, expected, "{command}");
    }

    #[test]
    fn only_the_option_that_forgets_is_left_out() {
        let given = ["amortgap", "run", "--fresh", "--jobs", "2", "--", "--fresh"];
        assert_eq!(
            shell_command_without_fresh(given.map(OsString::from).into_iter()),
            "amortgap run --jobs 2 -- --fresh"
        );
    }
}
