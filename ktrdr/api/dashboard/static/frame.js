// What every page does: moments in the browser's own zone, also in parts that arrive later.
import { showTimes } from "./times.js";

showTimes(document);

// A page that the browser had put away has stopped following the log: what it shows may be old.
addEventListener("pageshow", (event) => event.persisted && location.reload());
