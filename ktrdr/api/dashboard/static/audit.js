// The newest events and what is signed as the log grows; a verification while it goes on.
import { offerCopies } from "./copying.js";
import { follow, throttled } from "./live.js";
import { fetchPage, replaceParts } from "./parts.js";

const LOOK = 400;

const refresh = throttled(async () => {
  const page = await fetchPage("/audit").catch(() => null); // the stream says it, if the service is away
  if (page === null) return;
  replaceParts(page);
  offerCopies(document);
  watchVerification();
}, 1000);

let isWatching = false;

async function watchVerification() {
  if (isWatching || !isRunning()) return;
  isWatching = true;
  while (isRunning()) {
    await new Promise((resolve) => setTimeout(resolve, LOOK));
    const page = await fetchPage("/audit/verification").catch(() => null);
    if (page !== null) replaceParts(page);
  }
  isWatching = false;
}

function isRunning() {
  return document.getElementById("verification").hasAttribute("data-running");
}

offerCopies(document);
watchVerification();
follow("/api/v1/events", Number(document.getElementById("head").dataset.position), refresh);
