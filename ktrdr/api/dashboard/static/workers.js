// Workers and queue as they are now: again after each change of a job, and every few seconds for the workers' beats.
import { offerCopies } from "./copying.js";
import { follow, throttled } from "./live.js";
import { fetchPage, replaceParts } from "./parts.js";
import { secondsText } from "./times.js";

const BEAT = 3000;

let offset = 0; // how much later it is here than where the page was made
let refreshed = Date.now();

const refresh = throttled(async () => {
  const page = await fetchPage(location.href).catch(() => null); // the stream says it, if the service is away
  if (page === null) return;
  replaceParts(page);
  refreshed = Date.now();
  setOffset();
  showSince();
}, 1000);

function setOffset() {
  offset = Date.now() - Date.parse(document.getElementById("now").dataset.now);
}

function showSince() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, (Date.now() - offset - Date.parse(element.dataset.since)) / 1000);
    const words = seconds < 1 ? "just now" : `${secondsText(Math.round(seconds)).replace(".0", "")} ago`;
    if (element.textContent !== words) element.textContent = words;
  }
}

setOffset();
showSince();
offerCopies(document);
setInterval(() => {
  showSince();
  if (!document.hidden && Date.now() - refreshed >= BEAT) refresh();
}, 1000);
follow("/api/v1/events", Number(document.getElementById("now").dataset.position), (event) => {
  if (event.type !== "BatchProgressed") refresh();
});
