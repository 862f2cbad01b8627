"use strict";
// What the page of a bundle verifies, in plain JavaScript: no WebCrypto, which a page from file:// may not have.
// Formats: RFC 6962 (tree), FIPS 180-4 (SHA-2), RFC 8032 (Ed25519), C2SP signed-note, tlog-checkpoint and
// tlog-cosignature.

const ENDS = ["JobCompleted", "JobFailed", "JobCancelled"];

function need(condition, otherwise) {
  if (!condition) throw new Error(otherwise);
}

const bytesOf = (text) => new TextEncoder().encode(text);
const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const fromHex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));
const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const toBase64 = (bytes) => btoa(String.fromCharCode(...bytes));
const isEqual = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

function numberOf(bytes) {
  // little-endian
  return Array.from(bytes).reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

// --- SHA-2. Its constants are the first bits of the fractional parts of roots of the first primes.

function rootOf(number, power) {
  // the whole part of a root, by Newton's method from above
  let root = 1n << (BigInt(number.toString(2).length) / power + 1n);
  for (;;) {
    const next = ((power - 1n) * root + number / root ** (power - 1n)) / power;
    if (next >= root) return root;
    root = next;
  }
}

const PRIMES = [];
for (let number = 2; PRIMES.length < 80; number++) {
  if (PRIMES.every((prime) => number % prime)) PRIMES.push(number);
}
const MASK = (1n << 64n) - 1n;
const ROUNDS_512 = PRIMES.map((prime) => rootOf(BigInt(prime) << 192n, 3n) & MASK);
const START_512 = PRIMES.slice(0, 8).map((prime) => rootOf(BigInt(prime) << 128n, 2n) & MASK);
const ROUNDS_256 = Uint32Array.from(ROUNDS_512.slice(0, 64), (constant) => Number(constant >> 32n));
const START_256 = Uint32Array.from(START_512, (constant) => Number(constant >> 32n));

function padded(bytes, block) {
  // one bit, zeros, and the length in bits
  const whole = new Uint8Array(Math.ceil((bytes.length + 1 + block / 8) / block) * block);
  whole.set(bytes);
  whole[bytes.length] = 0x80;
  new DataView(whole.buffer).setBigUint64(whole.length - 8, BigInt(bytes.length) * 8n);
  return new DataView(whole.buffer);
}

function sha256(bytes) {
  const view = padded(bytes, 64),
    state = Uint32Array.from(START_256),
    w = new Uint32Array(64);
  const turn = (x, n) => (x >>> n) | (x << (32 - n));
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = w[i - 15],
        b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25),
        s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
      const t = (h + s1 + ((e & f) ^ (~e & g)) + ROUNDS_256[i] + w[i]) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t) | 0, c, b, a, (t + s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((value, i) => {
      state[i] += value;
    });
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((value, i) => digest.setUint32(4 * i, value));
  return new Uint8Array(digest.buffer);
}

function sha512(bytes) {
  const view = padded(bytes, 128),
    w = [];
  let state = START_512;
  const turn = (x, n) => ((x >> n) | (x << (64n - n))) & MASK;
  for (let at = 0; at < view.byteLength; at += 128) {
    for (let i = 0; i < 16; i++) w[i] = view.getBigUint64(at + 8 * i);
    for (let i = 16; i < 80; i++) {
      const a = w[i - 15],
        b = w[i - 2];
      const s0 = turn(a, 1n) ^ turn(a, 8n) ^ (a >> 7n),
        s1 = turn(b, 19n) ^ turn(b, 61n) ^ (b >> 6n);
      w[i] = (w[i - 16] + w[i - 7] + s0 + s1) & MASK;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 80; i++) {
      const s1 = turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n),
        s0 = turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n);
      const t = h + s1 + ((e & f) ^ (~e & MASK & g)) + ROUNDS_512[i] + w[i];
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t) & MASK, c, b, a, (t + s0 + ((a & b) ^ (a & c) ^ (b & c))) & MASK];
    }
    state = [a, b, c, d, e, f, g, h].map((value, i) => (value + state[i]) & MASK);
  }
  const digest = new DataView(new ArrayBuffer(64));
  state.forEach((value, i) => digest.setBigUint64(8 * i, value));
  return new Uint8Array(digest.buffer);
}

// --- Ed25519: points as (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z on -x² + y² = 1 + d·x²·y².

const PRIME = 2n ** 255n - 19n,
  ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const modulo = (number) => ((number % PRIME) + PRIME) % PRIME;

function power(base, exponent) {
  let result = 1n;
  for (; exponent; exponent >>= 1n, base = (base * base) % PRIME) if (exponent & 1n) result = (result * base) % PRIME;
  return result;
}

const CURVE = modulo(-121665n * power(121666n, PRIME - 2n));

function pointOf(bytes) {
  const number = numberOf(bytes),
    sign = number >> 255n,
    y = number & ((1n << 255n) - 1n);
  const xSquared = modulo((y * y - 1n) * power(modulo(CURVE * y * y + 1n), PRIME - 2n));
  let x = power(xSquared, (PRIME + 3n) / 8n);
  if ((x * x) % PRIME !== xSquared) x = (x * power(2n, (PRIME - 1n) / 4n)) % PRIME;
  need(bytes.length === 32 && y < PRIME && (x * x) % PRIME === xSquared && (x || !sign), "this is no Ed25519 point");
  if ((x & 1n) !== sign) x = PRIME - x;
  return [x, y, 1n, modulo(x * y)];
}

function add(p, q) {
  const a = (p[1] - p[0]) * (q[1] - q[0]),
    b = (p[1] + p[0]) * (q[1] + q[0]);
  const c = 2n * CURVE * p[3] * q[3],
    d = 2n * p[2] * q[2];
  const e = modulo(b - a),
    f = modulo(d - c),
    g = modulo(d + c),
    h = modulo(b + a);
  return [modulo(e * f), modulo(g * h), modulo(f * g), modulo(e * h)];
}

function times(number, p) {
  let product = [0n, 1n, 1n, 0n];
  for (; number; number >>= 1n, p = add(p, p)) if (number & 1n) product = add(product, p);
  return product;
}

function hasSigned(key, message, signature) {
  // whether S·B = R + k·A
  need(signature.length === 64, "a signature is damaged");
  const first = signature.slice(0, 32),
    s = numberOf(signature.slice(32));
  const k = numberOf(sha512(joined(first, key, message))) % ORDER;
  const base = pointOf(fromHex("58" + "66".repeat(31)));
  const left = times(s, base),
    right = add(pointOf(first), times(k, pointOf(key)));
  const same = (i) => modulo(left[i] * right[2] - right[i] * left[2]) === 0n;
  return s < ORDER && same(0) && same(1);
}

// --- Keys and signed notes.

function keyOf(text) {
  const [name, stated, ...rest] = text.trim().split("+"),
    data = fromBase64(rest.join("+"));
  const id = sha256(joined(bytesOf(`${name}\n`), data)).slice(0, 4);
  need(hexOf(id) === stated && data.length === 33 && (data[0] === 1 || data[0] === 4), `${text} is not an Ed25519 key`);
  return { text: text.trim(), name, id, isWitness: data[0] === 4, bytes: data.slice(1) };
}

function signersOf(note, keys) {
  // which of the keys have signed; a wrong signature by one of them is an error
  const end = note.lastIndexOf("\n\n"),
    text = note.slice(0, end + 1),
    found = [];
  for (const line of note
    .slice(end + 2)
    .split("\n")
    .filter(Boolean)) {
    const [, name, encoded] = line.split(" "),
      data = fromBase64(encoded);
    for (const key of keys.filter((key) => key.name === name && isEqual(key.id, data.slice(0, 4)))) {
      const seconds = key.isWitness ? numberOf(data.slice(4, 12).reverse()) : null;
      const message = key.isWitness ? `cosignature/v1\ntime ${seconds}\n${text}` : text;
      need(
        hasSigned(key.bytes, bytesOf(message), data.slice(key.isWitness ? 12 : 4)),
        `the signature of ${name} is wrong: the checkpoint was changed, or someone else signed it`,
      );
      found.push(key);
    }
  }
  return found;
}

function trustedKeys(keysText, first) {
  // the first key, and those to which the notes lead from it
  const [known, ...notes] = keysText.split("\n\n");
  const trusted = first.length ? [...first] : [keyOf(known.split("\n")[0])];
  for (let i = 0; i + 1 < notes.length; i += 2) {
    const [old, next] = notes[i]
      .slice(notes[i].lastIndexOf("\n") + 1)
      .split(" ")
      .slice(1)
      .map(keyOf);
    const isTrusted = trusted.some((key) => key.text === old.text);
    if (isTrusted && signersOf(`${notes[i]}\n\n${notes[i + 1]}`, [old, next]).length === 2) trusted.push(next);
  }
  return trusted;
}

// --- The checks: each gives a sentence, or throws one.

function readEvents(text) {
  // the `leaf` of each, and the `event` where the content was not pruned
  return text
    .replace(/\n$/, "")
    .split("\n")
    .map((line) => {
      const event = JSON.parse(line),
        isPruned = Object.keys(event).sort().join() === "leaf_hash,position";
      const leaf = isPruned ? fromHex(event.leaf_hash) : sha256(joined([0], bytesOf(line)));
      return { position: event.position, leaf, event: isPruned ? null : event };
    });
}

function checkEvents(entries) {
  const events = entries.map((entry) => entry.event),
    known = events.filter(Boolean),
    last = events[events.length - 1];
  need(events[0] && events[0].type === "JobSubmitted", "the submission is missing");
  events.forEach((event, i) => {
    if (!event) return;
    need(
      event.job_id === events[0].job_id && event.version === i + 1,
      `line ${i + 1} is not the next event of this job`,
    );
    need(i + 1 === events.length || !ENDS.includes(event.type), `there are events after the end, in line ${i + 1}`);
  });
  const rises = (entry, i) =>
    Number.isSafeInteger(entry.position) && (i ? entries[i - 1].position : 0) < entry.position;
  need(entries.every(rises), "the positions do not rise");
  need(
    known.every((event, i) => !i || known[i - 1].recorded_at <= event.recorded_at),
    "the times do not rise",
  );
  const pruned = events.length - known.length;
  return (
    `${events.length} events, none missing between the first and the last` +
    (pruned ? `; the content of ${pruned} was pruned` : "") +
    (ENDS.includes(last && last.type)
      ? "; the last one is the end of the job"
      : "; the job had not ended, so others may have followed")
  );
}

function rootOfTree(entries, hashes, first, end) {
  if (!entries.length) return (need(hashes.length, "the proof has too few hashes"), hashes.shift());
  if (end - first === 1) return entries[0].leaf;
  let half = 1;
  while (half * 2 < end - first) half *= 2;
  const lower = entries.filter((entry) => entry.position <= first + half);
  const left = rootOfTree(lower, hashes, first, first + half);
  return sha256(joined([1], left, rootOfTree(entries.slice(lower.length), hashes, first + half, end)));
}

function checkRoot(entries, proofText, note) {
  const proof = JSON.parse(proofText),
    [origin, sizeText, root] = note.split("\n"),
    size = Number(sizeText);
  need(Number.isSafeInteger(size) && proof.size === size && proof.root === root, "the proof is of another checkpoint");
  need(entries[entries.length - 1].position <= size, "the checkpoint does not cover the events");
  const hashes = proof.hashes.map(fromBase64),
    found = rootOfTree(entries, hashes, 0, size);
  need(!hashes.length && toBase64(found) === root, "the events do not lead to the root of the checkpoint");
  return `They are in the log ${origin}, as it was at ${size.toLocaleString("en")} entries`;
}

function checkSignature(keysText, note, given) {
  // `given`: the keys that the reader trusts
  const logs = given.filter((key) => !key.isWitness),
    witnesses = given.filter((key) => key.isWitness);
  const trusted = trustedKeys(keysText, logs),
    found = signersOf(note, [...trusted, ...witnesses]);
  need(
    found.some((key) => !key.isWitness),
    `no key that ${trusted[0].text} leads to has signed the checkpoint`,
  );
  for (const witness of witnesses) need(found.includes(witness), `the witness ${witness.text} has not signed it`);
  return `The checkpoint is signed by ${found.map((key) => key.text).join(" and ")}`;
}

function checkSums(sums, completed) {
  need(hexOf(sha256(bytesOf(sums))) === completed.data.model_digest, "SHA256SUMS is not that of this job's model");
  return "The list of the model's files, SHA256SUMS, is the one that the last event names";
}
