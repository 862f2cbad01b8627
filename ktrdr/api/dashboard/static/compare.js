// Curves of several jobs over each other; while one of them still trains, everything on the page goes on with it.
import { lineChart, percent } from "./charts.js";
import { follow, showLiveState, throttled } from "./live.js";
import { fetchPage, replaceParts } from "./parts.js";

const DASHES = { A: undefined, B: [9, 4], C: [3, 3], D: [11, 4, 2, 4], E: [5, 2] };
const STEP = 1000;

let shown = read(document);
const charts = new Map();
for (const element of document.querySelectorAll("[data-curve]")) charts.set(element, makeChart(element));
draw();
listen();

function read(page) {
  return JSON.parse(page.getElementById("series").textContent);
}

function makeChart(element) {
  const format = element.dataset.curve.endsWith("accuracy") ? percent : undefined;
  return lineChart(element, {
    series: shown.jobs.map((job, number) => ({
      label: job.letter, color: `series-${number + 1}`, dash: DASHES[job.letter], format, points: false,
    })),
    x: { label: "Epoch" },
    y: { format },
    sync: "compared",
  });
}

function draw() {
  const last = Math.max(0, ...shown.jobs.flatMap((job) => job.epochs));
  const epochs = Array.from({ length: last }, (_, number) => number + 1);
  for (const [element, chart] of charts) {
    const lines = shown.jobs.map((job) => {
      const at = new Map(job.epochs.map((epoch, place) => [epoch, job[element.dataset.curve][place]]));
      return epochs.map((epoch) => at.get(epoch) ?? null);
    });
    chart.setData([epochs, ...lines]);
    const isEmpty = lines.every((line) => line.every((value) => value === null));
    element.closest("figure").hidden = isEmpty && shown.jobs.some((job) => job.epochs.length > 0);
  }
}

function listen() {
  const watched = new Set(shown.jobs.map((job) => job.id));
  if (shown.jobs.every((job) => job.is_final)) return showLiveState("stopped", "all have ended");
  const refresh = throttled(async () => {
    const page = await fetchPage(location.href).catch(() => null); // the stream says it, if the service is away
    if (page === null || page.getElementById("series") === null) return;
    shown = read(page);
    replaceParts(page);
    draw();
    if (shown.jobs.every((job) => job.is_final)) {
      stop();
      showLiveState("stopped", "all have ended");
    }
  }, STEP);
  const stop = follow("/api/v1/events", shown.position, (event) => {
    if (watched.has(event.job_id) && event.type !== "BatchProgressed") refresh();
  });
}
