// The form of a new job: an editor in place of the plain field, with what is wrong marked at its lines while one types.
import { completions } from "./completing.js";

const CALM = 350; // how long nobody has typed before the form is looked at
const DRAFT = "ktrdr-draft";

const form = document.getElementById("new-job");
const field = document.getElementById("strategy");
let annotations = [];
let timer = null;
let asked = 0;

document.documentElement.classList.add("has-script");
for (const hint of document.querySelectorAll("[data-with-script]")) hint.hidden = false;
restoreDraft();
const editor = CodeMirror.fromTextArea(field, {
  mode: "yaml",
  lineNumbers: true,
  matchBrackets: true,
  indentUnit: 2,
  tabSize: 2,
  indentWithTabs: false,
  screenReaderLabel: "Strategy",
  gutters: ["CodeMirror-lint-markers", "CodeMirror-linenumbers"],
  lint: { getAnnotations: () => annotations, lintOnChange: false, highlightLines: false },
  hintOptions: { hint: completions, completeSingle: false },
  extraKeys: {
    "Ctrl-Space": "autocomplete",
    Tab: (cm) => (cm.somethingSelected() ? cm.indentSelection("add") : cm.execCommand("insertSoftTab")),
    "Shift-Tab": (cm) => cm.indentSelection("subtract"),
    Esc: leaveByTab,
  },
});
showFindings(document.getElementById("findings"));
check();

editor.on("change", soon);
form.addEventListener("input", soon);
document.addEventListener("click", (event) => {
  const at = event.target.closest("[data-line]");
  if (at === null) return;
  event.preventDefault();
  editor.focus();
  const place = { line: Number(at.dataset.line) - 1, ch: Number(at.dataset.column) - 1 };
  editor.setCursor(place);
  editor.scrollIntoView(place, 120);
});
form.querySelector("button[value=load]").addEventListener("click", async (event) => {
  event.preventDefault();
  const answer = await fetch(`/new?strategy=${encodeURIComponent(form.elements.from.value)}`, { cache: "no-store" });
  if (!answer.ok) return form.requestSubmit(event.target); // the page says why
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  editor.setValue(page.getElementById("strategy").value); // undo brings back what was there
  editor.focus();
});
document.getElementById("upload").addEventListener("submit", keepDraft);

/** After Esc the next Tab goes on to the next field rather than indenting. */
function leaveByTab(cm) {
  const map = { Tab: false, "Shift-Tab": false };
  cm.addKeyMap(map);
  cm.on("blur", function left() {
    cm.removeKeyMap(map);
    cm.off("blur", left);
  });
}

function soon() {
  document.getElementById("findings").classList.add("is-old");
  clearTimeout(timer);
  timer = setTimeout(check, CALM);
}

async function check() {
  editor.save();
  const number = ++asked;
  let answer;
  try {
    answer = await fetch("/new/check", { method: "POST", body: new URLSearchParams(new FormData(form)), cache: "no-store" });
  } catch {
    return tellUnchecked("The service cannot be reached: this is not checked.");
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (number !== asked) return; // typed on meanwhile
  const findings = page.getElementById("findings");
  if (findings === null) return tellUnchecked(page.querySelector(".note")?.textContent ?? "This could not be checked.");
  const old = document.getElementById("findings");
  const isOpen = old.querySelector("#features")?.open;
  if (isOpen && findings.querySelector("#features")) findings.querySelector("#features").open = true;
  old.replaceWith(document.adoptNode(findings));
  showFindings(findings);
}

function tellUnchecked(words) {
  const state = document.querySelector("#findings .state");
  state.className = "state warn";
  state.textContent = words;
}

/** Marks each fault of the strategy at its place: what it is about from there to the end of its value. */
function showFindings(findings) {
  annotations = JSON.parse(findings.dataset.lint).map(({ line, column, text, severity }) => {
    const number = Math.min((line ?? 1) - 1, editor.lastLine());
    const content = editor.getLine(number);
    const start = Math.min((column ?? 1) - 1, Math.max(0, content.length - 1));
    return {
      message: text,
      severity,
      from: CodeMirror.Pos(number, start),
      to: CodeMirror.Pos(number, Math.max(start + 1, endOfValue(content, start))),
    };
  });
  editor.performLint();
}

function endOfValue(content, start) {
  const rest = content.slice(start);
  const isWithin = /[[{]/.test(content.slice(0, start).replace(/"[^"]*"|'[^']*'/g, ""));
  const end = isWithin ? rest.search(/[,\]}]|\s+#/) : rest.search(/\s+#|\s*$/);
  return start + (end < 0 ? rest.length : end);
}

/** An upload leaves the page; what was typed is there again after it. */
function keepDraft() {
  editor.save();
  sessionStorage.setItem(DRAFT, JSON.stringify([...new FormData(form)].filter(([name]) => name !== "key")));
}

function restoreDraft() {
  const draft = sessionStorage.getItem(DRAFT);
  sessionStorage.removeItem(DRAFT);
  if (draft === null || location.pathname === "/new" && !location.search.includes("imported")) return;
  const values = JSON.parse(draft);
  for (const element of form.elements) {
    const given = values.filter(([name]) => name === element.name).map(([, value]) => value);
    if (element.type === "checkbox") element.checked = given.includes(element.value);
    else if (element.tagName !== "BUTTON" && given.length > 0) element.value = given.at(-1);
  }
}
