// What can be written at the cursor of a strategy, from its JSON Schema: keys, and the words that a key takes.

let schema = null;

/** For CodeMirror's show-hint: `{list, from, to}`; a promise until the schema is here. */
export async function completions(cm) {
  schema ??= await (await fetch("/api/v1/strategy-schema")).json();
  const cursor = cm.getCursor();
  const before = cm.getLine(cursor.line).slice(0, cursor.ch);
  const { path, word, isValue, siblings } = placeOf(cm, cursor.line, before);
  const found = isValue ? wordsAt(path) : keysAt(path, siblings);
  const list = [...found]
    .filter(([name]) => name.toLowerCase().startsWith(word.toLowerCase()))
    .map(([name, about]) => ({
      text: isValue ? name : `${name}: `,
      render(element) {
        element.append(name);
        if (!about) return;
        const words = document.createElement("span");
        words.className = "about";
        words.textContent = about;
        element.append(words);
      },
    }));
  return { list, from: CodeMirror.Pos(cursor.line, cursor.ch - word.length), to: cursor };
}

/** Where the cursor stands: the path of the map around it, what is typed of the word, and the keys beside it. */
function placeOf(cm, line, before) {
  const bare = before.replace(/^(\s*)- /, "$1  ");
  const [, indent] = /^(\s*)/.exec(bare);
  const value = /^\s*([\w.]+):\s+(\S*)$/.exec(bare);
  const flow = /[{,]\s*([\w.]*)$/.exec(bare);
  const flowValue = /[{,]\s*([\w.]+):\s*([^\s,{}[\]]*)$/.exec(bare);
  const depth = indent.length;
  const path = [];
  for (let above = line - 1, level = depth; above >= 0 && level > 0; above--) {
    const key = /^(\s*)([\w.]+):/.exec(cm.getLine(above).replace(/^(\s*)- /, "$1  "));
    if (key === null || key[1].length >= level) continue;
    path.unshift(key[2]);
    level = key[1].length;
  }
  const own = /^\s*(?:- )?([\w.]+):\s*\{/.exec(before);
  if (own && before.lastIndexOf("{") > before.lastIndexOf("}")) path.push(own[1]);
  if (flowValue && before.includes("{")) return { path: [...path, flowValue[1]], word: flowValue[2], isValue: true, siblings: new Map() };
  if (flow && before.includes("{")) return { path, word: flow[1], isValue: false, siblings: siblingsIn(before) };
  if (value) return { path: [...path, value[1]], word: value[2], isValue: true, siblings: new Map() };
  return { path, word: bare.trimStart(), isValue: false, siblings: siblingsAround(cm, line, depth) };
}

function siblingsIn(text) {
  return new Map([...text.slice(text.lastIndexOf("{")).matchAll(/([\w.]+):\s*([\w.]+)/g)].map(([, key, value]) => [key, value]));
}

/** Keys at the same depth around a line, with their values. */
function siblingsAround(cm, line, depth) {
  const found = new Map();
  for (const step of [-1, 1]) {
    for (let at = line + step; at >= 0 && at <= cm.lastLine(); at += step) {
      const key = /^(\s*)([\w.]+):\s*([\w.]*)/.exec(cm.getLine(at).replace(/^(\s*)- /, "$1  "));
      if (key === null) continue;
      if (key[1].length < depth) break;
      if (key[1].length === depth) found.set(key[2], key[3]);
    }
  }
  return found;
}

function keysAt(path, siblings) {
  const found = new Map();
  for (const part of partsAt(path, siblings)) {
    for (const [name, inner] of Object.entries(part.properties ?? {})) {
      if (!siblings.has(name) && inner !== true) found.set(name, inner.description ?? found.get(name) ?? "");
    }
  }
  return found;
}

function wordsAt(path) {
  const found = new Map();
  for (const part of partsAt(path, new Map())) {
    for (const word of part.enum ?? ("const" in part ? [part.const] : [])) found.set(String(word), "");
    if (part.type === "boolean") found.set("true", "").set("false", "");
  }
  return found;
}

/** The parts of the schema that apply at a path: all branches, but of those that a key beside chooses only that one. */
function partsAt(path, siblings) {
  let parts = unfolded([schema], path.length === 0 ? siblings : new Map());
  path.forEach((key, depth) => {
    const inner = parts.flatMap((part) => {
      const own = part.properties?.[key] ?? (typeof part.additionalProperties === "object" ? part.additionalProperties : null);
      return own === null || own === true ? [] : [own];
    });
    parts = unfolded(inner, depth === path.length - 1 ? siblings : new Map());
  });
  return parts;
}

function unfolded(schemas, siblings, depth = 0) {
  if (depth > 12) return [];
  return schemas.flatMap((part) => {
    if (typeof part !== "object" || part === null) return [];
    const inner = [
      ...(part.$ref ? [schema.$defs[part.$ref.split("/").at(-1)]] : []),
      ...(part.allOf ?? []), ...(part.anyOf ?? []), ...(part.oneOf ?? []),
      ...(part.then && applies(part.if, siblings) ? [part.then] : []),
      ...(part.items && typeof part.items === "object" ? [part.items] : []),
    ];
    return [part, ...unfolded(inner, siblings, depth + 1)];
  });
}

/** Whether the keys beside choose a branch; where they say nothing, each one may. */
function applies(condition, siblings) {
  const conditions = condition.anyOf ?? [condition];
  return conditions.some((one) => Object.entries(one.properties ?? {}).every(([name, wanted]) => {
    if (!siblings.has(name)) return true;
    const words = wanted.enum ?? (wanted.anyOf ?? []).flatMap((option) => option.enum ?? []);
    return words.length === 0 || words.includes(siblings.get(name).toLowerCase());
  }));
}
