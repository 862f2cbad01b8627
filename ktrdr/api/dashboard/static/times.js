// Moments and durations as people read them.

const SHOWN = new Intl.DateTimeFormat("sv-SE", { // ISO order: 2026-11-24 09:30:00
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

/** Shows each <time datetime> below a node in the browser's zone; UTC stays at hand as its title. */
export function showTimes(node) {
  for (const time of node.querySelectorAll("time[datetime]")) {
    if (time.title) continue;
    time.title = time.textContent;
    time.textContent = SHOWN.format(new Date(time.dateTime));
  }
}

/** `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`: as the service writes it. */
export function secondsText(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}
