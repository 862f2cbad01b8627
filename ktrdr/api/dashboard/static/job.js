// The page of a job: follows its events, goes to any moment of it and back, and draws its curves.
import { JobCharts } from "./job_charts.js";
import { follow, showLiveState, throttled } from "./live.js";
import { fetchPage, replaceParts } from "./parts.js";
import { secondsText } from "./times.js";

const REFRESH_MILLISECONDS = 600;
const SPEAK_MILLISECONDS = 15_000;
const PLAY_STEPS = 120;
const PLAY_MILLISECONDS = 90;

const state = () => document.getElementById("job-state").dataset;
const jobId = state().job;
const slider = document.getElementById("moment");
const play = document.getElementById("play");
const charts = new JobCharts(document.getElementById("curves"));
let stopFollowing = () => {};
let renderedAt = performance.now();
let spokenAt = 0;
let spoken = "";
//: The position that the page shall be as of; null for the present.
let wanted = state().past === "yes" ? Number(new URLSearchParams(location.search).get("as_of")) || Number(state().position) : null;
let positions = null;

function address() {
  const parameters = new URLSearchParams(location.search);
  parameters.delete("as_of");
  if (wanted !== null) parameters.set("as_of", wanted);
  const text = parameters.toString();
  return `/jobs/${jobId}${text ? `?${text}` : ""}`;
}

async function show() {
  const asked = wanted;
  let page;
  try {
    page = await fetchPage(address());
  } catch {
    return; // the service is away: the next event, or the next move of the slider, asks again
  }
  if (page === null || asked !== wanted) return;
  replaceParts(page);
  shown();
  if (wanted === null && state().final === "yes") goOn(); // which says that it has ended
}

/** What depends on the parts that the server renders. */
function shown() {
  renderedAt = performance.now();
  const { version, versions, past, status } = state();
  slider.max = versions;
  if (document.activeElement !== slider || past === "no") slider.value = version;
  slider.setAttribute("aria-valuetext", document.querySelector('[data-part="moment-text"]').textContent.trim());
  charts.draw(JSON.parse(document.getElementById("curves-data").dataset.curves));
  document.title = `${document.querySelector("h1").firstChild.textContent.trim()}: ${status} · ktrdr`;
  showReport(status === "completed");
  sayInFoot();
  speak();
}

function sayInFoot() {
  const place = document.querySelector(".foot-live");
  const words = document.getElementById("live-state").textContent;
  if (place && words) place.textContent = words;
}

/** Says the headline to those who hear the page: when the status changes, otherwise now and then. */
function speak() {
  const { headline, status } = state();
  const now = performance.now();
  if (spoken === status && now - spokenAt < SPEAK_MILLISECONDS) return;
  if (spoken !== "") document.getElementById("spoken").textContent = headline;
  spoken = status;
  spokenAt = now;
}

const refresh = throttled(show, REFRESH_MILLISECONDS);
const showMoment = throttled(show, 40);

// Live

function take(event) {
  if (event.type === "BatchProgressed") {
    const bar = document.getElementById("progress");
    const { epoch, epochs, batch, batches } = event.data ?? {};
    if (bar && epochs) {
      bar.max = epochs;
      bar.value = Math.max(bar.value, epoch - 1 + batch / batches);
      return;
    }
  }
  refresh();
}

function goOn() {
  stopFollowing();
  if (state().final === "yes" && state().past === "no") {
    showLiveState("stopped", "ended");
    return;
  }
  stopFollowing = follow(`/api/v1/jobs/${jobId}/events`, Number(state().position), take, { ended: refresh });
}

// The past

async function goTo(version) {
  positions ??= (await (await fetch(`/jobs/${jobId}/moments`)).json()).positions;
  if (version > positions.length && version > state().versions) return;
  if (version >= Number(slider.max)) return goLive();
  stopFollowing();
  showLiveState("past");
  wanted = positions[version - 1];
  history.replaceState(null, "", address() + location.hash);
  showMoment();
}

async function goLive() {
  stopPlaying();
  const wasPast = wanted !== null;
  wanted = null;
  positions = null;
  history.replaceState(null, "", address() + location.hash);
  await show();
  if (wasPast) goOn();
}

slider.addEventListener("input", () => {
  stopPlaying();
  goTo(Number(slider.value));
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("#back-to-live");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    slider.focus({ preventScroll: true });
    goLive();
  }
});

let playing = null;

function stopPlaying() {
  clearInterval(playing);
  playing = null;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}

play.addEventListener("click", () => {
  if (playing !== null) return stopPlaying();
  const step = Math.max(1, Math.round(Number(slider.max) / PLAY_STEPS));
  if (Number(slider.value) >= Number(slider.max)) slider.value = 1;
  play.textContent = "Pause";
  play.setAttribute("aria-pressed", "true");
  playing = setInterval(() => {
    slider.value = Math.min(Number(slider.value) + step, Number(slider.max));
    if (Number(slider.value) >= Number(slider.max)) goLive();
    else goTo(Number(slider.value));
  }, PLAY_MILLISECONDS);
});

// The report of a finished training comes after the page.

let report = null;

async function showReport(isWanted) {
  const place = document.getElementById("report");
  if (!isWanted) {
    place.replaceChildren();
    return;
  }
  document.getElementById("report-link")?.setAttribute("hidden", "");
  if (place.childElementCount > 0) return;
  try {
    report ??= fetchPage(`/jobs/${jobId}/report`);
    const content = (await report)?.getElementById("report-content");
    if (content && state().status === "completed" && place.childElementCount === 0) {
      place.append(document.importNode(content, true));
    }
    if (!content) report = null;
  } catch {
    report = null;
  }
}

// Small things

function tick() {
  if (wanted !== null) return;
  const passed = (performance.now() - renderedAt) / 1000;
  const now = Date.parse(state().now) + passed * 1000;
  for (const element of document.querySelectorAll("#job-state [data-since]")) {
    element.textContent = secondsText(Math.max(0, (now - Date.parse(element.dataset.since)) / 1000));
  }
  for (const element of document.querySelectorAll("#job-state [data-left]")) {
    element.textContent = secondsText(Math.max(0, Number(element.dataset.left) - passed));
  }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
}

slider.hidden = false;
play.hidden = false;
setInterval(tick, 1000);
new MutationObserver(sayInFoot).observe(document.getElementById("live-state"), { childList: true });
shown();
if (wanted === null) goOn();
else showLiveState("past");
