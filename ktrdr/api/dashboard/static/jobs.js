// The list of jobs, kept fresh: each event of the log leads to a new look at this very page, throttled.
import { follow, throttled } from "./live.js";
import { fetchPage, replaceParts } from "./parts.js";
import { secondsText } from "./times.js";

const REFRESH_MILLISECONDS = 1000;

const rows = () => document.querySelector('[data-part="rows"]');
const clockSkew = Date.now() - Date.parse(rows().dataset.now ?? new Date().toISOString());

let isLeaving = false;

const refresh = throttled(async () => {
  const page = await fetchPage(location.href).catch(() => null); // the stream says it, if the service is away
  if (page === null || isLeaving) return;
  if (page.querySelector(".counts") && !document.querySelector(".counts")) {
    location.reload(); // the first job: another page
    return;
  }
  replaceParts(page);
  const shown = page.querySelector("[data-position-shown]");
  document.querySelector("[data-position-shown]").textContent = shown.textContent;
  countChosen();
}, REFRESH_MILLISECONDS);

const position = Number(document.querySelector("[data-position-shown]").textContent.replaceAll(",", ""));
const stopFollowing = follow("/api/v1/events", position, refresh);
// A page that is about to be left must not load itself again.
document.addEventListener("submit", () => {
  isLeaving = true;
  stopFollowing();
});

// How many are chosen to be compared.
const button = document.getElementById("compare-button");
const hint = document.getElementById("compare-hint");

function countChosen() {
  if (button === null) return;
  const chosen = document.querySelectorAll('input[name="job"]:checked').length;
  const { fewest, most } = button.dataset;
  const fits = chosen >= fewest && chosen <= most;
  button.disabled = !fits;
  button.textContent = fits ? `Compare ${chosen} jobs` : "Compare the chosen";
  const words = chosen > most
    ? `${chosen} chosen: at most ${most} are compared at once.`
    : fits ? "" : `${chosen ? `${chosen} chosen. ` : ""}Choose ${fewest} to ${most} jobs.`;
  if (hint.textContent !== words) hint.textContent = words;
}

document.addEventListener("change", countChosen);
countChosen();

setInterval(() => {
  for (const cell of document.querySelectorAll("[data-since]")) {
    const seconds = (Date.now() - clockSkew - Date.parse(cell.dataset.since)) / 1000;
    cell.textContent = secondsText(Math.max(0, seconds));
  }
}, 1000);
