// Schedules as they are now, and in the form when one would be due, while it is typed.
import { follow, throttled } from "./live.js";
import { fetchPage, replaceParts } from "./parts.js";

const CALM = 200; // how long nobody has typed before the timing is looked at
const OURS = /^(Schedule|Firing)/;
const form = document.getElementById("new-schedule");

const refresh = throttled(async () => {
  const page = await fetchPage(location.href).catch(() => null); // the stream says it, if the service is away
  if (page !== null) replaceParts(page);
}, 1000);

document.documentElement.classList.add("has-script");
follow("/api/v1/events", Number(document.getElementById("now").dataset.position), (event) => {
  if (OURS.test(event.type) || event.type.startsWith("Job") || event.type === "CancellationRequested") refresh();
});
if (form !== null) showWhileTyping();

function showWhileTyping() {
  const preview = document.getElementById("preview");
  const moments = document.getElementById("preview-moments");
  const fault = document.getElementById("preview-fault");
  let timer = null;
  let asked = 0;

  async function look() {
    const number = ++asked;
    const query = new URLSearchParams();
    for (const name of ["cron", "every", "timezone"]) {
      const value = form.elements[name].value.trim();
      if (value !== "") query.set(name, value);
    }
    let found;
    try {
      const answer = await fetch(`/schedules/preview?${query}`, { cache: "no-store" });
      found = await answer.json();
    } catch {
      found = { local: [], trouble: "The service cannot be reached." };
    }
    if (number === asked) tell(found.local, found.trouble); // unless somebody typed on meanwhile
  }

  function tell(texts, trouble) {
    moments.replaceChildren(...texts.map((text) => {
      const line = document.createElement("li");
      line.className = "mono";
      line.textContent = text.replace("T", " ");
      return line;
    }));
    fault.textContent = trouble;
    fault.hidden = trouble === "";
    preview.classList.remove("is-old");
  }

  form.addEventListener("input", (event) => {
    if (!["cron", "every", "timezone"].includes(event.target.name)) return;
    preview.classList.add("is-old");
    clearTimeout(timer);
    timer = setTimeout(look, CALM);
  });
  look();
}
