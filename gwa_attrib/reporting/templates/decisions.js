"use strict";
// What a person decides on each suspect: one map, with a way back, kept in this browser, written to and read from decisions.csv.
const report = (() => {
  const facts = JSON.parse(document.getElementById("report-facts").textContent);
  const DECISIONS = ["keep", "relabel", "drop"];
  const STORE = `gwa_attrib decisions ${facts.run}`;
  const SEEN = `gwa_attrib seen ${facts.run}`;
  const HEADER = ["sample_id", "key", "given_label", "new_label", "decision", "label_score", "note", "run_id"];
  const suspects = facts.suspects.map(([id, key, given, proposed, score]) => ({ id, key, given, proposed, score }));
  const indexOf = new Map(suspects.map(({ id }, index) => [id, index]));
  const decided = new Map();
  const seen = new Set();
  const steps = []; // each a list of [index, what was there before]: the way back
  const listeners = [];
  let pending = 0;
  let unsaved = false; // whether decisions were made here since the last writing: another tab may have made some, too

  function state(index) {
    return decided.get(index) ?? { decision: "", label: suspects[index].proposed, note: "" };
  }

  // `changes`: [index, {decision, label, note}, any of them] each. One call is one step of undo.
  function change(changes) {
    const step = changes.map(([index]) => [index, decided.get(index)]);
    for (const [index, to] of changes) decided.set(index, { ...state(index), ...to });
    steps.push(step);
    announce(step.map(([index]) => index));
  }

  // A note is typed letter by letter, and is one step.
  function note(index, text) {
    const last = steps.at(-1);
    const goesOn = last?.length === 1 && last[0][0] === index && last.isNote;
    if (goesOn) {
      decided.set(index, { ...state(index), note: text });
      announce([index]);
    } else {
      change([[index, { note: text }]]);
      steps.at(-1).isNote = true;
    }
  }

  // Clears every decision; undo brings them back.
  function clear() {
    const step = [...decided];
    decided.clear();
    steps.push(step);
    announce(step.map(([index]) => index));
  }

  // Indices of what the last step had changed; none if there is nothing to take back.
  function undo() {
    const step = steps.pop() ?? [];
    for (const [index, before] of step) {
      if (before === undefined) decided.delete(index);
      else decided.set(index, before);
    }
    const indices = step.map(([index]) => index);
    announce(indices);
    return indices;
  }

  function announce(indices) {
    for (const listener of listeners) listener(indices);
    unsaved = true;
    store();
  }

  function look(index) {
    if (seen.has(index)) return;
    seen.add(index);
    store();
  }

  function made() {
    return suspects.map((_, index) => index).filter((index) => state(index).decision);
  }

  function counts() {
    const found = { keep: 0, relabel: 0, drop: 0, all: 0 };
    for (const { decision } of decided.values()) {
      if (!decision) continue;
      found[decision] += 1;
      found.all += 1;
    }
    return found;
  }

  // Storage may be off, full, or forbidden for files: the page works without. Written a moment later, not at each letter.
  function store() {
    clearTimeout(pending);
    pending = setTimeout(storeNow, 150);
  }

  function storeNow() {
    clearTimeout(pending);
    const entries = [...decided].map(([index, { decision, label, note }]) => [suspects[index].id, decision, label, note]);
    try {
      if (unsaved) localStorage.setItem(STORE, JSON.stringify(entries));
      unsaved = false;
      localStorage.setItem(SEEN, JSON.stringify([...seen].map((index) => suspects[index].id)));
    } catch { /* go on without */ }
  }

  function restore() {
    restoreSeen();
    try {
      for (const [id, decision, label, note] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) {
        const known = indexOf.has(id) && ["", ...DECISIONS].includes(decision) && Number.isInteger(label) && label in facts.classes;
        if (known) decided.set(indexOf.get(id), { decision, label, note: String(note) });
      }
    } catch { /* go on without */ }
  }

  function restoreSeen() {
    try {
      for (const id of JSON.parse(localStorage.getItem(SEEN) ?? "[]")) if (indexOf.has(id)) seen.add(indexOf.get(id));
    } catch { /* go on without */ }
  }

  // The same report in two tabs is one set of decisions.
  addEventListener("storage", ({ key }) => {
    if (key === SEEN) restoreSeen();
    if (key !== STORE) return;
    const before = [...decided.keys()];
    decided.clear();
    steps.length = 0; // what they would bring back is older than what the other tab has decided
    restore();
    const indices = [...new Set([...before, ...decided.keys()])];
    for (const listener of listeners) listener(indices);
  });

  // A cell that a spreadsheet would run as a formula gets an apostrophe; plain numbers stay as they are.
  function neutral(text) {
    const number = /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i;
    return /^\s*[=+\-@\t\r\n＝＋－＠]/.test(text) && !number.test(text) ? `'${text}` : text;
  }

  function cell(value) {
    const text = neutral(String(value));
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv() {
    const lines = [HEADER];
    for (const index of made()) {
      const { id, key, given, score } = suspects[index];
      const { decision, label, note } = state(index);
      const chosen = { keep: facts.classes[given], relabel: facts.classes[label], drop: "" }[decision];
      lines.push([id, key, facts.classes[given], chosen, decision, score, note, facts.run]);
    }
    return lines.map((line) => line.map(cell).join(",") + "\n").join("");
  }

  // RFC 4180, with the separators of spreadsheets of other countries.
  function rowsOf(text) {
    const plain = text.replace(/^\ufeff/, "");
    const first = plain.slice(0, plain.search(/[\r\n]|$/));
    const separator = [",", ";", "\t"].reduce((best, one) => (first.split(one).length > first.split(best).length ? one : best));
    const stop = new RegExp(`[${separator}\\r\\n]`, "g");
    const rows = [[]];
    let at = 0;
    while (at < plain.length) {
      let value = "";
      if (plain[at] === '"') {
        for (at += 1; at < plain.length; at += 1) {
          if (plain[at] !== '"') value += plain[at];
          else if (plain[at + 1] === '"') value += plain[(at += 1)];
          else break;
        }
        at += 1;
      } else {
        stop.lastIndex = at;
        value = plain.slice(at, stop.exec(plain)?.index ?? plain.length);
        at += value.length;
      }
      rows.at(-1).push(value);
      if (plain[at] === separator) {
        at += 1;
        if (at === plain.length) rows.at(-1).push("");
      } else if (at < plain.length) {
        at += plain.startsWith("\r\n", at) ? 2 : 1;
        rows.push([]);
      }
    }
    return rows.filter((row) => row.some((value) => value !== ""));
  }

  function classNamed(text) {
    const same = (name) => text === name || text === neutral(name) || (text !== "" && name !== "" && Number(text) === Number(name));
    return facts.classes.findIndex(same);
  }

  // Decisions of a file, over those that are here; throws where the file is about something else.
  function load(text) {
    const [head = [], ...rows] = rowsOf(text);
    const column = Object.fromEntries(HEADER.map((name) => [name, head.indexOf(name)]));
    const missing = ["sample_id", "given_label", "new_label", "decision"].filter((name) => column[name] < 0);
    if (missing.length) throw new Error(`it has no column ${missing.join(", ")}: choose a decisions.csv that this page has saved`);
    const changes = [], refused = [];
    let replaced = 0;
    for (const row of rows) {
      const value = (name) => (column[name] < 0 ? "" : row[column[name]] ?? "");
      if (value("run_id") !== "" && value("run_id") !== facts.run) throw new Error(`its decisions are about another run (${value("run_id")}), not about this one (${facts.run})`);
      const decision = value("decision").trim().toLowerCase();
      if (decision === "") continue;
      const named = value("new_label");
      const index = indexOf.get(Number(value("sample_id")));
      const label = decision === "relabel" ? classNamed(named) : null;
      if (index === undefined) refused.push(`sample ${value("sample_id")} is no suspect in this page`);
      else if (!DECISIONS.includes(decision)) refused.push(`sample ${value("sample_id")}: no decision is called ${decision}`);
      else if (classNamed(value("given_label")) !== suspects[index].given) refused.push(`sample ${value("sample_id")} has another given label here`);
      else if (decision === "keep" && named !== "" && classNamed(named) !== suspects[index].given) refused.push(`sample ${value("sample_id")}: keep, and yet another new label, ${named}`);
      else if (label === -1) refused.push(`sample ${value("sample_id")}: no class is called ${value("new_label")}`);
      else {
        const text = value("note").replace(/^'(?=\s*[=+\-@\t\r\n＝＋－＠])/, "");
        const to = { decision, label: label ?? suspects[index].proposed, note: text };
        const now = decided.get(index);
        if (now?.decision && (now.decision !== decision || (decision === "relabel" && now.label !== to.label))) replaced += 1;
        changes.push([index, to]);
      }
    }
    if (changes.length) change(changes);
    return { taken: changes.length, replaced, refused };
  }

  restore();
  addEventListener("pagehide", storeNow);
  return {
    filtered: () => suspects.map((_, index) => index), // the gallery's filter, if there is a gallery
    facts, suspects, decided, seen, state, change, note, clear, undo, look, made, counts, csv, load, storeNow,
    steps: () => steps.length,
    listen: (listener) => listeners.push(listener),
    number: (value) => value.toLocaleString("en"),
  };
})();
