// What the page does when it is opened and when a reader gives it keys or files: checks, and says what it found.

function mark(list, isRight, text) {
  list.append(
    element(
      "li",
      {},
      element("b", { className: isRight ? "good" : "wrong" }, isRight ? "✓ right" : "✗ wrong"),
      element("span", {}, text),
    ),
  );
  return isRight;
}

function verifyAll(entries, keysText) {
  const list = byId("checks"),
    note = data["checkpoint.txt"],
    last = entries && entries[entries.length - 1].event;
  list.replaceChildren();
  const attempt = (check) => {
    try {
      return mark(list, true, check());
    } catch (error) {
      return mark(list, false, error.message);
    }
  };
  let given = [];
  const results = [
    attempt(() => checkEvents(entries)),
    attempt(() => checkRoot(entries, data["proof.json"], note)),
    attempt(() => {
      given = keysText.split(/\s+/).filter(Boolean).map(keyOf);
      return checkSignature(data["keys.txt"], note, given);
    }),
  ];
  const sums = data["model/SHA256SUMS"];
  if (sums !== null) results.push(attempt(() => checkSums(sums, last)));
  const isRight = results.every(Boolean),
    isTrusted = given.some((key) => !key.isWitness);
  const [tone, title, rest] = !isRight
    ? ["wrong", "Not verified.", "Something here is not as it was recorded and signed; see below."]
    : isTrusted
      ? ["good", "Verified.", "These events are in the log whose key you trust, unchanged."]
      : [
          "open",
          "Verified, if you trust its key.",
          "All of it fits together. Whether the key that signed it is the log's, you decide: paste the one you trust.",
        ];
  byId("verdict").className = `verdict ${tone}`;
  byId("verdict").replaceChildren(element("b", {}, title), " ", element("span", {}, rest));
}

async function checkFiles(files) {
  const list = byId("found"),
    sums = new Map(
      data["model/SHA256SUMS"]
        .split("\n")
        .filter(Boolean)
        .map((line) => [line.slice(66), line.slice(0, 64)]),
    );
  list.replaceChildren();
  for (const file of files) {
    const digest = hexOf(sha256(new Uint8Array(await file.arrayBuffer()))),
      expected = sums.get(file.name);
    if (file.name === "SHA256SUMS") mark(list, digest === hexOf(sha256(bytesOf(data["model/SHA256SUMS"]))), file.name);
    else mark(list, digest === expected, expected ? file.name : `${file.name} is not a file of this model`);
    sums.delete(file.name);
  }
  if (sums.size)
    list.append(element("li", {}, element("b", { className: "open" }, "not given"), [...sums.keys()].join(", ")));
}

function show() {
  let entries = null;
  try {
    entries = readEvents(data["events.jsonl"]);
    const known = entries.map((entry) => entry.event).filter(Boolean),
      last = known[known.length - 1];
    const claims = known.filter((event) => event.type === "JobClaimed");
    showHead(known, last);
    tellStory(known);
    showTimes(attemptsOf(known));
    showCurves(known, last.type === "JobCompleted" ? last : null);
    showResult(last);
    showOrigin(known[0], claims);
    showEvents(entries);
  } catch (error) {
    byId("head").append(element("p", { className: "wrong" }, `The events cannot be told: ${error.message}`));
  }
  verifyAll(entries, "");
  byId("trust").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    verifyAll(entries, byId("keys").value);
  });
  byId("files").hidden = data["model/SHA256SUMS"] === null;
  byId("chosen").addEventListener("change", () => checkFiles(byId("chosen").files));
}

show();
