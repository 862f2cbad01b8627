// The story of the job, told from the events that the page verifies. Every text of the events is set as text.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function drawn(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const soft = (text) => element("span", { className: "soft" }, text);
const code = (text) => element("code", {}, text);
const words = (name) => String(name).replaceAll("_", " ");
const momentOf = (event) => Date.parse(event.recorded_at);
const clock = (instant) => `${instant.slice(0, 10)} ${instant.slice(11, 19)} UTC`;

function duration(seconds) {
  if (seconds < 0.1) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds),
    two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

function numberText(value) {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 0.001 ? value.toLocaleString("en", { maximumFractionDigits: 4 }) : value.toExponential(3);
}

function pairs(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", {}, ...known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function table(heads, rows) {
  const cell = (value) =>
    element(
      "td",
      { className: typeof value === "number" ? "number" : "" },
      typeof value === "number" ? numberText(value) : (value ?? ""),
    );
  return element(
    "div",
    { className: "scroll" },
    element(
      "table",
      {},
      element(
        "tr",
        {},
        ...heads.map((head, i) =>
          element("th", { className: rows.every((row) => typeof (row[i] ?? 0) === "number") ? "number" : "" }, head),
        ),
      ),
      ...rows.map((row) => element("tr", {}, ...row.map(cell))),
    ),
  );
}

// --- Sentences.

const OUTCOMES = {
  not_started: "before it had started",
  stopped: "it stopped itself",
  killed: "its process did not react and was ended",
  finished_first: "it had just finished, and the model was discarded",
  failed: "it broke after the request",
  worker_lost: "its worker was lost after the request",
};

function sentence(event, actor) {
  const said = event.data;
  switch (event.type) {
    case "JobSubmitted": {
      const origin = said.parent ? ` as a ${said.relation} of ${said.parent}` : "";
      const over = `${said.symbols.join(", ")} (${said.timeframes.join(", ")})`;
      return `${actor} submitted ${said.name} over ${over}${origin}.`;
    }
    case "JobClaimed": {
      const device = said.capabilities.device ? ` on ${said.capabilities.device}` : "";
      const fallback = said.fallback ? ` It would rather have had a GPU, but ${said.fallback}.` : "";
      const verb = said.continues === null ? "began" : "went on with";
      return `The ${said.worker_kind} worker ${said.worker} ${verb} attempt ${said.attempt}${device}.${fallback}`;
    }
    case "TrainingResumed": {
      const passed = said.passed_over.map(
        (one) => ` The checkpoint of epoch ${one.epoch} could not be used: ${one.problem}.`,
      );
      return (
        (said.digest ? `The training went on after epoch ${said.epoch}.` : "The training began from the start.") +
        passed.join("")
      );
    }
    case "CancellationRequested":
      return `${said.by} asked to cancel it${said.reason ? `: ${said.reason}` : "."}`;
    case "JobCancelled": {
      const after = said.batches_after_request,
        where = said.where ? `, at ${words(said.where)}` : "";
      const count = after === null ? "" : `, ${after} ${after === 1 ? "batch" : "batches"} after the request`;
      return `Cancelled: ${OUTCOMES[said.outcome] || said.outcome}${where}${count}.`;
    }
    case "LeaseExpired":
      return `Worker ${said.worker} was not heard of any more.`;
    case "JobRequeued":
      return `Back in the queue: ${said.message}.`;
    case "JobFailed":
      return `Failed${said.where ? ` at ${words(said.where)}` : ""}: ${said.message}`;
    case "JobCompleted":
      return `Completed after ${said.epochs_trained} epochs. The model is that of epoch ${said.best_epoch}.`;
    default:
      return null;
  }
}

function storyLine(text, seconds) {
  return element("li", {}, element("time", {}, `+ ${duration(seconds)}`), element("p", {}, text));
}

function tellStory(known) {
  const begun = momentOf(known[0]);
  let epochs = [],
    saved = 0;
  const flush = () => {
    if (epochs.length) {
      const [first, last] = [epochs[0], epochs[epochs.length - 1]];
      const which = first === last ? `Epoch ${first.data.epoch}` : `Epochs ${first.data.epoch} to ${last.data.epoch}`;
      const losses = `validation loss ${numberText(last.data.validation_loss)} at the end`;
      const checkpoints = saved ? `; ${saved} ${saved === 1 ? "checkpoint" : "checkpoints"} saved` : "";
      byId("story").append(
        storyLine(`${which} of ${last.data.epochs}: ${losses}${checkpoints}.`, (momentOf(last) - begun) / 1000),
      );
    }
    epochs = [];
    saved = 0;
  };
  for (const event of known) {
    if (event.type === "EpochFinished") epochs.push(event);
    if (event.type === "CheckpointSaved") saved += 1;
    const said = sentence(event, event.actor);
    if (said === null) continue;
    flush();
    byId("story").append(storyLine(said, (momentOf(event) - begun) / 1000));
  }
  flush();
}

// --- Facts.

function flat(values, prefix = "") {
  // plain numbers by their names
  return Object.entries(values || {}).flatMap(([name, value]) => {
    if (typeof value === "number") return [[words(prefix + name), value]];
    return value && typeof value === "object" && !Array.isArray(value) ? flat(value, `${prefix}${name}, `) : [];
  });
}

function showResult(last) {
  const section = byId("result"),
    said = last.data;
  if (last.type === "JobCompleted") {
    const figures = flat(said.metrics),
      without = "no skill ";
    const isFirst = ([name]) => !name.includes(",") && !name.startsWith(without);
    const others = new Map(
      figures.filter(([name]) => name.startsWith(without)).map(([name, value]) => [name.slice(without.length), value]),
    );
    const rest = figures.filter((figure) => !isFirst(figure) && !figure[0].startsWith(without));
    section.append(
      element("p", {}, "On data that it never saw, as the worker reported it:"),
      table(
        ["metric", "model", "without skill"],
        figures.filter(isFirst).map(([name, value]) => [name, value, others.get(name)]),
      ),
    );
    if (rest.length)
      section.append(element("details", {}, element("summary", {}, "More metrics"), table(["metric", "value"], rest)));
    const symbols = Object.keys(said.symbol_metrics || {});
    if (symbols.length > 1) {
      const columns = new Map(symbols.map((symbol) => [symbol, new Map(flat(said.symbol_metrics[symbol]))]));
      const names = [...new Set(symbols.flatMap((symbol) => [...columns.get(symbol).keys()]))];
      section.append(
        element(
          "details",
          {},
          element("summary", {}, "Symbol by symbol"),
          table(
            ["metric", ...symbols],
            names.map((name) => [name, ...symbols.map((symbol) => columns.get(symbol).get(name))]),
          ),
        ),
      );
    }
    section.append(
      pairs([
        ["model", code(said.model_digest)],
        ["weights", code(said.weights_digest)],
      ]),
    );
  } else if (last.type === "JobFailed") {
    section.append(
      pairs([
        ["kind", said.kind],
        ["message", said.message],
        ["where", words(said.where)],
        ["what helps", said.fix],
      ]),
    );
  } else {
    section.append(
      element(
        "p",
        {},
        last.type === "JobCancelled" ? "No model: the job was cancelled." : "The job had not ended when this was made.",
      ),
    );
  }
}

function showOrigin(submitted, claims) {
  const said = submitted.data,
    section = byId("made-from");
  const series = [
    ...said.prices.map((one) => [`prices of ${one.symbol}, ${one.timeframe}`, code(one.digest)]),
    ...said.context.map((one) => [`context series ${one.name}`, code(one.digest)]),
  ];
  section.append(
    pairs([
      ["strategy", said.name],
      ...series,
      ["from, to", `${said.start || "the first bar"} – ${said.end || "the last bar"}`],
      ["seed", String(said.seed)],
      ["version of ktrdr", said.code_version],
    ]),
  );
  section.append(
    element(
      "details",
      {},
      element("summary", {}, "The strategy, as it was resolved"),
      element("pre", {}, JSON.stringify(said.strategy, null, 2)),
    ),
  );
  if (claims.length)
    section.append(
      element(
        "details",
        {},
        element("summary", {}, "What it was computed with"),
        ...claims.map((claim) =>
          element(
            "pre",
            {},
            JSON.stringify(
              { worker: claim.data.worker, ...claim.data.capabilities, ...claim.data.numeric_profile },
              null,
              2,
            ),
          ),
        ),
      ),
    );
}

function showHead(known, last) {
  const submitted = known[0],
    said = submitted.data,
    ended = ENDS.includes(last.type);
  const status =
    { JobCompleted: "completed", JobFailed: "failed", JobCancelled: "cancelled" }[last.type] || "not ended yet";
  const tone = { completed: "good", failed: "wrong" }[status] || "open";
  const labels = Object.entries(said.labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
  const attempts = known.filter((event) => event.type === "JobClaimed");
  document.title = `${said.name}: a training job and its proof`;
  byId("head").append(
    element("h1", {}, said.name, element("span", { className: `badge ${tone}` }, status)),
    element("p", { className: "soft" }, `${said.symbols.join(", ")} · ${said.timeframes.join(", ")}`),
    pairs([
      ["job", code(submitted.job_id)],
      ["submitted", `${clock(submitted.recorded_at)} by ${submitted.actor}`],
      ["labels", labels],
      ["workers", [...new Set(attempts.map((event) => event.data.worker))].join(", ")],
      [ended ? "took" : "so far", duration((momentOf(last) - momentOf(submitted)) / 1000)],
    ]),
  );
}

function showEvents(entries) {
  const place = byId("events");
  place.firstElementChild.textContent = `All ${entries.length} events, as they stand in the log`;
  place.addEventListener("toggle", () => {
    if (place.childElementCount > 1) return;
    place.append(
      table(
        ["position", "time, event", "what it says"],
        entries.map(({ position, event, leaf }) =>
          event
            ? [
                position,
                element("div", {}, element("div", { className: "soft" }, clock(event.recorded_at)), event.type),
                element("pre", {}, JSON.stringify(event.data)),
              ]
            : [position, "pruned", soft(`what it said is gone; its hash is ${hexOf(leaf)}`)],
        ),
      ),
    );
  });
}
