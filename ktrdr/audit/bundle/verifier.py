"""Verifies the bundle of one training job. Needs Python 3.10 or newer, and nothing else: no network, no other package.

    python verify.py BUNDLE [--key VKEY] [--witness VKEY]...     (BUNDLE: the zip file, or the folder with its files)

Take this program from where you trust it. Exit code 0: all fits together and is signed by the key that --key gives;
without it, whether the signer is to be trusted is yours to judge. 1: it does not fit. The formats: RFC 6962 (tree),
RFC 8032 (Ed25519), C2SP tlog-checkpoint, tlog-cosignature and tlog-proof, and DSSE with in-toto (provenance).
"""

import argparse
import json
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

ENDS = ("JobCompleted", "JobFailed", "JobCancelled")
# Ed25519: the field's prime, the order of the base point, and d of the curve -x² + y² = 1 + d·x²·y².
PRIME, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME

Key = tuple[str, bytes, int, bytes, str]  # name, id, kind (1: of a log, 4: of a witness), 32 public bytes, its text


def need(condition: object, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)


def point(data: bytes) -> tuple[int, int]:
    sign, y = divmod(int.from_bytes(data, "little"), 2**255)
    x_squared = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(x_squared, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != x_squared:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    need(len(data) == 32 and y < PRIME and x * x % PRIME == x_squared and (x or not sign), "this is no Ed25519 point")
    return x if x % 2 == sign else PRIME - x, y


def add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    both = CURVE * p[0] * q[0] * p[1] * q[1]
    x = (p[0] * q[1] + p[1] * q[0]) * pow(1 + both, -1, PRIME)
    return x % PRIME, (p[1] * q[1] + p[0] * q[0]) * pow(1 - both, -1, PRIME) % PRIME


def times(number: int, p: tuple[int, int]) -> tuple[int, int]:
    doubled = times(number >> 1, add(p, p)) if number else (0, 1)
    return add(doubled, p) if number & 1 else doubled


def has_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether S·B = R + k·A: the signature is R and S, the public key A, and k the hash over all."""
    s, hashed = int.from_bytes(signature[32:], "little"), sha512(signature[:32] + public + message).digest()
    base = point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))
    need(len(signature) == 64 and s < ORDER, "a signature is damaged")
    return times(s, base) == add(point(signature[:32]), times(int.from_bytes(hashed, "little") % ORDER, point(public)))


def read_key(text: str) -> Key:
    name, stated, encoded = text.strip().split("+", 2)
    data = b64decode(encoded, validate=True)
    key_id = sha256(name.encode() + b"\n" + data).digest()[:4]
    need(key_id.hex() == stated and len(data) == 33 and data[0] in (1, 4), f"this is not an Ed25519 key: {text!r}")
    return name, key_id, data[0], data[1:], text.strip()


def signers(note: str, keys: list[Key]) -> list[Key]:
    """Which of the keys have signed a note. A wrong signature by one of them is an error."""
    text, _, lines = note.rpartition("\n\n")
    found = []
    for line in lines.splitlines():
        _, name, encoded = line.split(" ")
        data = b64decode(encoded, validate=True)
        for key in [key for key in keys if key[:2] == (name, data[:4])]:
            timed = f"cosignature/v1\ntime {int.from_bytes(data[4:12], 'big')}\n" if key[2] == 4 else ""
            is_signed = has_signed(key[3], f"{timed}{text}\n".encode(), data[12 if timed else 4 :])
            need(is_signed, f"the signature of {name} is wrong: the text was changed, or someone else signed it")
            found.append(key)
    return found


def root_of(leaves: list[tuple[int, bytes]], hashes: list[bytes], first: int, end: int, path: list[bytes]) -> bytes:
    """The root over leaves `first` to before `end`; uses up `hashes`, makes `path` the audit path of the last leaf."""
    if not leaves:
        return hashes.pop(0)
    if end - first == 1:
        return leaves[0][1]
    middle = first + (1 << ((end - first - 1).bit_length() - 1))
    lower, upper = [leaf for leaf in leaves if leaf[0] < middle], [leaf for leaf in leaves if leaf[0] >= middle]
    left = root_of(lower, hashes, first, middle, [] if upper else path)
    right = root_of(upper, hashes, middle, end, path)
    path.append(left if upper else right)
    return sha256(b"\1" + left + right).digest()


def check_events(lines: list[str], job_id: str) -> tuple[list[Any], list[tuple[int, bytes]]]:
    events, leaves = list[Any](), list[tuple[int, bytes]]()
    for version, line in enumerate(lines, 1):
        need(not events or events[-1]["type"] not in ENDS, f"line {version} of the events comes after the job's end")
        event = json.loads(line)
        place, leaf = event["position"] - 1, sha256(b"\0" + line.encode()).digest()
        if set(event) == {"leaf_hash", "position"}:  # pruned: that it was there can be shown still, what it said cannot
            leaf = bytes.fromhex(event["leaf_hash"])
        else:
            need((event["job_id"], event["version"]) == (job_id, version), f"line {version} is no event of {job_id}")
            need(not events or event["recorded_at"] >= events[-1]["recorded_at"], f"line {version} is before the last")
            events.append(event)
        need(events and events[0]["type"] == "JobSubmitted", "the submission is missing")
        need(type(place) is int and (leaves[-1][0] if leaves else -1) < place, f"line {version} is at a wrong position")
        leaves.append((place, leaf))
    return events, leaves


def check_proofs(files: dict[str, bytes], leaves: list[tuple[int, bytes]]) -> str:
    note, proof = files["checkpoint.txt"].decode(), json.loads(files["proof.json"])
    origin, size, root = note.split("\n")[:3]
    need((proof["size"], proof["root"]) == (int(size), root), "proof.json is about another checkpoint")
    need(leaves[-1][0] < int(size), "the checkpoint does not cover the events")
    hashes, path = [b64decode(one, validate=True) for one in proof["hashes"]], list[bytes]()
    found = b64encode(root_of(leaves, hashes, 0, int(size), path)).decode()
    need(found == root and not hashes, "the events do not lead to the checkpoint's root")
    extra, *others = [b64encode(one).decode() for one in (files["events.jsonl"].splitlines()[-1], *path)]
    last = "\n".join(["c2sp.org/tlog-proof@v1", f"extra {extra}", f"index {leaves[-1][0]}", *others, "", note])
    need(files["job.tlog-proof"].decode() == last, "job.tlog-proof is not that of the last event")
    return f"they lie under the root that the log {origin} had at {size} entries"


def check_signatures(files: dict[str, bytes], first: Key | None, witnesses: list[Key]) -> tuple[list[Key], list[Key]]:
    known, *notes = files["keys.txt"].decode().split("\n\n")
    trusted = [first or read_key(known.split("\n")[0])]
    for text, lines in zip(notes[::2], notes[1::2], strict=True):  # by each of these, one key hands over to the next
        old, new = map(read_key, text.rsplit("\n", 1)[1].split(" ")[1:])
        if old in trusted and len(signers(f"{text}\n\n{lines}", [old, new])) == 2:
            trusted.append(new)
    found = signers(files["checkpoint.txt"].decode(), [*trusted, *witnesses])
    need(set(trusted) & set(found), f"the checkpoint is not signed by {trusted[0][4]} or a key that it leads to")
    need(set(witnesses) <= set(found), "the checkpoint is not cosigned by every witness that was asked for")
    return trusted, found


def check_derived(files: dict[str, bytes], events: list[Any], trusted: list[Key]) -> str:
    claims = [event["data"] for event in events if event["type"] == "JobClaimed"]
    data = {name: events[0]["data"][name] for name in ("prices", "context")}
    said, derived = [json.loads(files[name]) for name in ("profile.json", "data.json")], [claims, data]
    need(json.dumps(said, sort_keys=True) == json.dumps(derived, sort_keys=True), "profile or data are not the events'")
    model = {name[6:]: sha256(content).hexdigest() for name, content in files.items() if name.startswith("model/")}
    if model:
        sums = dict(line.split("  ")[::-1] for line in files["model/SHA256SUMS"].decode().splitlines())
        need(model.pop("SHA256SUMS") == events[-1]["data"].get("model_digest"), "the model is another one")
        need(model == sums, "the model's files are not those of its SHA256SUMS")
    if "provenance.json" in files:
        envelope = json.loads(files["provenance.json"])
        kind, payload = envelope["payloadType"].encode(), b64decode(envelope["payload"], validate=True)
        message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        key = {one[4]: one for one in trusted}[envelope["signatures"][0]["keyid"]]
        signed = has_signed(key[3], message, b64decode(envelope["signatures"][0]["sig"], validate=True))
        subjects = {one["name"]: one["digest"]["sha256"] for one in json.loads(payload)["subject"]}
        need(signed and model.items() <= subjects.items(), "provenance.json is not signed, or of other files")
    return f"the {len(model)} files of the model are those that the job made" if model else "there is no model"


def verify(files: dict[str, bytes], key: Key | None, witnesses: list[Key]) -> Iterator[str]:
    """What was found right, check by check. Raises at the first that is not."""
    manifest = json.loads(files["bundle.json"])
    listed = {name: sha256(content).hexdigest() for name, content in files.items() if name != "bundle.json"}.items()
    wrong = ", ".join(sorted({name for name, _ in listed ^ manifest["files"].items()}))
    need(manifest["format"] == "ktrdr-bundle/1" and not wrong, f"this is not what the manifest lists: {wrong}")
    yield f"the {len(files)} files are those of the manifest"
    lines = files["events.jsonl"].decode().removesuffix("\n").split("\n")
    events, leaves = check_events(lines, manifest["job_id"])
    pruned = f", the content of {len(lines) - len(events)} was pruned" if len(lines) > len(events) else ""
    end = f"the end is {events[-1]['type']}" if events[-1]["type"] in ENDS else "no end yet, so more may have followed"
    yield f"{len(lines)} events of job {manifest['job_id']} without a gap{pruned}; {end}"
    yield check_proofs(files, leaves)
    trusted, found = check_signatures(files, key, witnesses)
    yield f"the checkpoint is signed by {', '.join(one[4] for one in found)}"
    yield check_derived(files, events, trusted)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Verifies the bundle of one training job.")
    parser.add_argument("bundle", type=Path, help="the zip file, or the folder with its files")
    parser.add_argument("--key", type=read_key, help="a key of the log that you trust")
    parser.add_argument("--witness", type=read_key, action="append", default=[], help="one that must have cosigned")
    given = parser.parse_args()
    try:
        if given.bundle.is_dir():
            paths = [path for path in given.bundle.rglob("*") if path.is_file()]
            content = {path.relative_to(given.bundle).as_posix(): path.read_bytes() for path in paths}
        else:
            archive = zipfile.ZipFile(given.bundle)
            content = {name: archive.read(name) for name in archive.namelist()}
        for said in verify(content, given.key, given.witness):
            print(f"ok     {said}", flush=True)
    except Exception as error:  # whatever a forged file may lead to, it is not verified
        said = str(error) if isinstance(error, ValueError) else f"it cannot be read: {error!r}"
        raise SystemExit(f"WRONG  {said}\nnot verified") from None
    print("verified" if given.key else "verified, if that is the log's key; say which one you trust with --key")
