"""What a Linux host is asked about certificate files and keys, in POSIX shell, and how its answers are read.

No private key is in an answer. Of PEM only certificates are sent, of a Java keystore all but its keys' bytes; PKCS#12 is
opened by the host's own openssl, of which only the certificates are sent. Of keys the host says the SHA-256 of their
public half. Passwords are in the script, which the shell reads from its standard input, and in the environment of
openssl; they are in no command line and in no file.
"""

import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.discovery.domain.holdings import Gap, Key, is_replaceable

PATTERNS = (
    "*.pem",
    "*.crt",
    "*.cer",
    "*.der",
    "*.p7b",
    "*.p7c",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.jceks",
    "*.keystore",
    "*.truststore",
)
STORES = ("pkcs12", "jks", "jceks")
"""Formats whose certificates have names of their own."""
MOST_KEYS = 500
_USUAL_PASSWORDS = ("", "changeit")
_DEEP, _KILOBYTES, _KEY_KILOBYTES = 10, 1024, 64


@dataclass(frozen=True, kw_only=True)
class File:
    """What the host says of one file."""

    path: str
    mode: int
    owner: str
    group: str
    folder_mode: int
    holds_key: bool
    format: str
    content: bytes
    """PEM; DER; a Java keystore without its keys; or what openssl says of PKCS#12."""
    keys: tuple[str, ...] = ()
    """SHA-256 of the public halves of the keys in PKCS#12."""


def quoted(words: Iterable[str]) -> str:
    """Return words as the shell takes them."""
    return " ".join(map(shlex.quote, words))


def find_files(folders: Sequence[str], *, most: int) -> str:
    """Return a script that lists so many certificate files, and the folders that may not be listed."""
    names = " -o ".join(f"-name {shlex.quote(pattern)}" for pattern in PATTERNS)
    return f"{_each(folders, kilobytes=_KILOBYTES)} \\( {names} \\) 2>&1\ndone | head -n {most}\n"


def find_keys(folders: Sequence[str]) -> str:
    """Return a script that says of the key files in these folders, up to `MOST_KEYS`, what `show_keys` says."""
    found = (
        f"{_each(folders, kilobytes=_KEY_KILOBYTES)} \\( -name '*.key' -print -o -name '*.pem' "
        "-exec grep -ls -e '-----BEGIN .*PRIVATE KEY-----' {} + \\) 2>/dev/null\ndone"
    )
    return f"{_KEY}{found} | sort -u | head -n {MOST_KEYS} | while IFS= read -r f; do key </dev/null; done; exit 0\n"


def _each(folders: Sequence[str], *, kilobytes: int) -> str:
    return (
        f'for d in {quoted(folders)}; do [ -e "$d" ] || continue\n'
        f'find -H "$d" -xdev -maxdepth {_DEEP} \\( -type f -o -type l \\) -size -{kilobytes}k'
    )


def show_files(paths: Iterable[str], *, passwords: Sequence[str]) -> str:
    """Return a script that shows files; PKCS#12 is tried with these passwords, after the usual ones."""
    words = quoted(dict.fromkeys((*_USUAL_PASSWORDS, *passwords)))
    return f'{_SHOW}set -- {words}\nfor f in {quoted(paths)}; do show "$@"; done; exit 0\n'


def show_keys(paths: Iterable[str]) -> str:
    """Return a script that says whose key files are, and the hash of their public half."""
    return f"{_KEY}for f in {quoted(paths)}; do key; done; exit 0\n"


def find_stores(paths: Iterable[str]) -> str:
    """Return a script that says which file a path leads into, where it is none: a keystore, before an alias."""
    return f"for f in {quoted(paths)}; do {_STORE}done; exit 0\n"


_STORE = r"""
[ -e "$f" ] && continue
s=${f%/*}; [ -f "$s" ] || s=${f%%#*}
[ -f "$s" ] && [ "$s" != "$f" ] && printf '%s\n%s\n' "$f" "$s"
"""
_PUBLIC = "openssl pkey -pubout -outform DER -passin pass: 2>/dev/null"
"""With a password, so that nobody is asked for one."""
_CERTIFICATE, _PKCS7 = "-----BEGIN CERTIFICATE-----", "-----BEGIN PKCS7-----"
_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of no bytes: what comes where the key could not be read."""
_KEY = (
    f'pub() {{ {_PUBLIC} "$@" </dev/null | sha256sum; }}\nnothing={_NOTHING}\n'
    r"""
key() {
[ -f "$f" ] || return 0
p=-
if [ -r "$f" ]; then
if grep -q -e '-----BEGIN ENCRYPTED PRIVATE KEY-----' -e '^Proc-Type: 4,ENCRYPTED' "$f"; then p=encrypted
else p=$(pub -in "$f"); p=${p%% *}
if [ "$p" = $nothing ]; then p=$(pub -inform DER -in "$f"); p=${p%% *}; fi
fi
fi
d=${f%/*}
echo "$(stat -Lc '%a %U' "$f") $(stat -Lc %a "${d:-/}") ${p:--} $f"
}
"""
)
_SHOW = (
    f"public='{_PUBLIC} | sha256sum'\n"
    r"""
hex() { od -An -v -tx1 | tr -d ' \n'; echo; }
kind() {
if grep -q -e '-----BEGIN ' "$f"; then echo pem; return; fi
h=$(od -An -v -tx1 -N 40 "$f" | tr -d ' \n')
case $h in feedfeed*) echo jks; return;; cececece*) echo jceks; return;; 30*) ;; *) echo other; return;; esac
unwrap
case $h in
020103*) echo pkcs12;;
06092a864886f70d010702*) echo pkcs7;;
02010[01]*) echo key;;
30*) unwrap; case $h in 06*) echo key;; *) echo der;; esac;;
*) echo other;;
esac
}
unwrap() {
case $h in 3080*) h=${h#3080};; 3081*) h=${h#3081??};; 3082*) h=${h#3082????};; 3083*) h=${h#3083??????};; *) h=${h#30??};; esac
}
show() {
if ! [ -f "$f" ]; then echo "#M $f"; return; fi
if ! [ -r "$f" ]; then echo "#D $f"; return; fi
if [ "$(stat -Lc %s "$f")" -gt 1048576 ]; then echo "#B $f"; return; fi
t=$(kind); k=no
if [ $t = key ]; then k=yes; elif [ $t = pem ] && grep -q -e '-----BEGIN .*PRIVATE KEY-----' "$f"; then k=yes; fi
d=${f%/*}
echo "#F $(stat -Lc '%a %U %G' "$f") $(stat -Lc %a "${d:-/}") $k $t $f"
case $t in
pem) awk '/-----BEGIN /{on=0} /-----BEGIN (CERTIFICATE|PKCS7)-----/{on=1} on{print} /-----END /{on=0}' "$f" | tr -cd 'A-Za-z0-9+/=\n -'; echo;;
der|pkcs7) hex < "$f";;
jks|jceks) od -An -v -tu1 "$f" | java; echo;;
pkcs12) pfx "$@";;
esac
}
pfx() {
if ! command -v openssl >/dev/null; then echo "#O $f"; return; fi
for W in "$@"; do export W
for l in '' -legacy; do
o=$(openssl pkcs12 -in "$f" -nokeys $l -passin env:W 2>/dev/null </dev/null) || continue
printf '%s\n' "$o" | hex
openssl pkcs12 -in "$f" -nocerts -nodes $l -passin env:W 2>/dev/null </dev/null |
awk -v c="$public" '/-----BEGIN /{on=1} on{print | c} /-----END /{on=0; close(c)}' | sed 's/^/#K /'
return
done; done
echo "#W $f"
}
java() {
awk '
function want(s, size) { state = s; n = size; v = 0 }
function blob(s, size) { after = s; left = size; if (size == 0) over() }
function entry() { if (entries-- > 0) want("tag", 4); else exit }
function cert() { if (certs-- > 0) { if (version > 1) want("type", 2); else want("der", 4) } else entry() }
function over() {
if (after == "alias") blob("date", 8)
else if (after == "date") { if (tag == 1) want("key", 4); else { certs = 1; cert() } }
else if (after == "type") want("der", 4)
else cert()
}
function field(x) {
if (state == "magic") want("version", 4)
else if (state == "version") { version = x; want("count", 4) }
else if (state == "count") { entries = x; entry() }
else if (state == "tag") { tag = x; if (tag != 1 && tag != 2) exit; want("alias", 2) }
else if (state == "key") { if (x == 0) want("chain", 4); else skip = x }
else if (state == "chain") { certs = x; cert() }
else blob(state, x)
}
BEGIN { want("magic", 4) }
{ for (i = 1; i <= NF; i++) {
if (skip > 0) { if (--skip == 0) want("chain", 4); continue }
printf "%02x", $i
if (left > 0) { if (--left == 0) over() }
else { v = v * 256 + $i; if (--n == 0) field(v) }
} }'
}
"""
)
_FILE_LINE = re.compile(
    r"(?P<mode>[0-7]{1,4}) (?P<owner>\S+) (?P<group>\S+) (?P<folder>[0-7]{1,4}) (?P<holds_key>yes|no) "
    r"(?P<format>pem|der|pkcs7|pkcs12|jks|jceks|key|other) (?P<path>/.*)"
)
_KEY_LINE = re.compile(
    r"(?P<mode>[0-7]{1,4}) (?P<owner>\S+) (?P<folder>[0-7]{1,4}) (?P<public>-|encrypted|[0-9a-f]{64}) (?P<path>/.*)"
)
_REFUSED = {
    "D": ("It may not be read.", "Give the login of the source the right to read it."),
    "B": ("It is larger than 1 MiB.", "Keep certificates in smaller files."),
    "O": (
        "It is PKCS#12, and there is no openssl on the host to open it with.",
        "Install openssl on the host.",
    ),
    "W": (
        "No password that the source has opens it.",
        "Put its password into store_passwords of the source's credential.",
    ),
}


def read_files(said: str) -> Iterator[File]:
    """Yield the files that `show_files` showed."""
    for part in re.split(r"^#F ", said, flags=re.MULTILINE)[1:]:
        head, _, rest = part.partition("\n")
        line = _FILE_LINE.fullmatch(head)
        if line:  # else it was removed while the host spoke of it
            body = "".join(re.findall(r"^[^#\n]*\n", rest, flags=re.MULTILINE))
            is_pem = line["format"] == "pem"
            yield File(
                path=line["path"],
                mode=int(line["mode"], 8),
                owner=line["owner"],
                group=line["group"],
                folder_mode=int(line["folder"], 8),
                holds_key=line["holds_key"] == "yes",
                format="pkcs7" if is_pem and _PKCS7 in body and _CERTIFICATE not in body else line["format"],
                content=body.encode() if is_pem else _unhexed(body),
                keys=tuple(re.findall(r"^#K ([0-9a-f]{64})", rest, flags=re.MULTILINE)),
            )


def _unhexed(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:  # the host was stopped in the middle
        return b""


def read_refusals(said: str) -> Iterator[Gap]:
    """Yield what `show_files` could not show."""
    for letter, path in re.findall(r"^#([MDBOW]) (.*)$", said, flags=re.MULTILINE):
        if letter == "M":
            step = "Check the configuration that names it."
            yield Gap(scope=path, reason="There is no such file.", next_step=step, is_absent=True)
        else:
            reason, step = _REFUSED[letter]
            yield Gap(scope=path, reason=reason, next_step=step)


def read_stores(said: str) -> dict[str, str]:
    """Return what `find_stores` found: the file by the path that leads into it."""
    lines = said.splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=False))


def read_keys(said: str) -> dict[str, Key]:
    """Return what `show_keys` or `find_keys` said, by path."""
    lines = map(_KEY_LINE.fullmatch, said.splitlines())
    return {line["path"]: _key(line) for line in lines if line}


def _key(line: re.Match[str]) -> Key:
    mode, public = int(line["mode"], 8), line["public"]
    return Key(
        path=line["path"],
        spki_sha256=public if public not in ("-", "encrypted", _NOTHING) else None,
        mode=mode,
        owner=line["owner"],
        is_exposed=bool(mode & stat.S_IROTH),
        is_replaceable=is_replaceable(mode, folder=int(line["folder"], 8)),
        is_encrypted=public == "encrypted",
    )
