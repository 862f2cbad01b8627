// Parts of a page that the server renders again: fetched, and put in place of the old ones without losing the reader.
import { showTimes } from "./times.js";

/** The page at an address as a document; null if the service gave none. Throws where it cannot be reached. */
export async function fetchPage(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok) return null;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  showTimes(page);
  return page;
}

/**
 * Replaces each element with `data-part` by the one of the same name in another document, if it is different.
 *
 * Focus, open <details>, what is typed and which boxes are ticked stay; a part in which someone types is left alone.
 */
export function replaceParts(page) {
  const changed = [];
  for (const fresh of page.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`[data-part="${fresh.dataset.part}"]`);
    if (old === null || fresh.parentElement.closest("[data-part]")) continue;
    if (old.isEqualNode(fresh)) continue;
    const node = document.importNode(fresh, true);
    keepReading(old, node);
    old.replaceWith(node);
    changed.push(node);
  }
  return changed;
}

function keepReading(old, fresh) {
  for (const details of old.querySelectorAll("details[id]")) {
    const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
    if (same) same.open = details.open;
  }
  for (const field of old.querySelectorAll("input[id], textarea[id], select[id]")) {
    const same = fresh.querySelector(`#${CSS.escape(field.id)}`);
    if (!same) continue;
    if (field.type === "checkbox" || field.type === "radio") same.checked = field.checked;
    else if (field.type !== "hidden") same.value = field.value;
  }
  const focused = document.activeElement;
  if (focused?.id && old.contains(focused)) {
    const { id, selectionStart, selectionEnd } = focused;
    requestAnimationFrame(() => {
      const same = document.getElementById(id);
      same?.focus({ preventScroll: true });
      if (selectionStart != null && same?.setSelectionRange) same.setSelectionRange(selectionStart, selectionEnd);
    });
  }
}
