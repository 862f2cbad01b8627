// Following the log: every event once and in order, across lost connections and restarts of the service.

const TYPES = document.documentElement.dataset.eventTypes.split(" ");
const WORDS = {
  live: "live",
  reconnecting: "reconnecting …",
  stopped: "stopped",
  past: "showing the past",
  none: "",
};
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10_000;

/** Says in the frame how live the page is: one of WORDS, with other words where given. */
export function showLiveState(state, words = WORDS[state]) {
  const shown = document.getElementById("live-state");
  if (shown.dataset.state !== state) shown.dataset.state = state;
  if (shown.textContent !== words) shown.textContent = words;
}

/**
 * Follows the events at `address` after a position and gives each to `take(event)`.
 *
 * EventSource connects again by itself, with Last-Event-ID, after a lost connection. After an answer that is no
 * stream (a proxy's 502 while the service restarts, 204 where the job has ended) it gives up, and then we look why.
 * `ended()` is called once nothing more can come. Gives a function that stops it.
 */
export function follow(address, after, take, { ended = () => {}, show = showLiveState } = {}) {
  let source = null;
  let timer = null;
  let last = after;
  let pause = FIRST_PAUSE;
  let isStopped = false;

  function stop(words) {
    if (isStopped) return;
    isStopped = true;
    source?.close();
    clearTimeout(timer);
    if (words !== undefined) show("stopped", words);
  }

  function heard(message) {
    const position = Number(message.lastEventId);
    if (position <= last) return; // seen before
    last = position;
    take(JSON.parse(message.data));
  }

  function open() {
    source = new EventSource(`${address}?after=${last}`);
    source.onopen = () => {
      pause = FIRST_PAUSE;
      show("live");
    };
    source.onerror = () => {
      if (isStopped) return;
      show("reconnecting");
      if (source.readyState === EventSource.CLOSED) lookWhy();
    };
    for (const type of TYPES) source.addEventListener(type, heard);
    source.onmessage = heard;
  }

  async function lookWhy() {
    try {
      const answer = await fetch(address, {
        headers: { Accept: "text/event-stream", "Last-Event-ID": String(last) }, cache: "no-store",
      });
      answer.body?.cancel();
      if (answer.status === 204) {
        stop("ended");
        ended();
        return;
      }
      if (answer.status === 401 || answer.status === 403) return stop("stopped: sign in again");
      if (answer.status === 404 || answer.status === 422) return stop("stopped: nothing to follow");
      if (answer.ok) pause = 0;
    } catch {
      // The service cannot be reached: try again.
    }
    timer = setTimeout(open, pause);
    pause = Math.min(Math.max(pause, FIRST_PAUSE) * 2, LONGEST_PAUSE);
  }

  open();
  addEventListener("pagehide", () => stop(), { once: true });
  return stop;
}

/** A function that calls `act` soon after it was called, at most once in `milliseconds`, never two at once. */
export function throttled(act, milliseconds) {
  let timer = null;
  let isBusy = false;
  let isWanted = false;
  let free = 0;

  async function go() {
    timer = null;
    isBusy = true;
    isWanted = false;
    try {
      await act();
    } finally {
      isBusy = false;
      free = performance.now() + milliseconds;
      if (isWanted) ask();
    }
  }

  function ask() {
    isWanted = true;
    if (isBusy || timer !== null) return;
    timer = setTimeout(go, Math.max(0, free - performance.now()));
  }

  return ask;
}
