"use strict";
// What a person decides on each suspect: kept in one map, shown in cards and table, stored, and downloaded.
(() => {
  const facts = JSON.parse(document.getElementById("report-facts").textContent);
  const DECISIONS = ["keep", "relabel", "drop"];
  const STORE = `gwa_attrib decisions ${facts.run}`;
  const suspects = facts.suspects.map(([id, key, given, proposed, score]) => ({ id, key, given, proposed, score }));
  const cards = [...document.querySelectorAll(".card")];
  const rows = [...document.querySelectorAll("#suspects tbody tr")];
  let decided = restore();
  let before = null; // what was there before "Clear", to bring it back

  function state(index) {
    return decided.get(index) ?? { decision: "", label: suspects[index].proposed, note: "" };
  }

  function decide(index, change) {
    decided.set(index, { ...state(index), ...change });
    before = null;
    show();
  }

  // Storage may be off, or forbidden for files: the page works without.
  function restore() {
    const found = new Map();
    try {
      const number = new Map(suspects.map(({ id }, index) => [id, index]));
      for (const [id, decision, label, note] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) {
        const known = number.has(id) && ["", ...DECISIONS].includes(decision) && Number.isInteger(label) && label in facts.classes;
        if (known) found.set(number.get(id), { decision, label, note: String(note) });
      }
    } catch { /* go on without */ }
    return found;
  }

  function store() {
    const entries = [...decided].map(([index, { decision, label, note }]) => [suspects[index].id, decision, label, note]);
    try {
      localStorage.setItem(STORE, JSON.stringify(entries));
    } catch { /* go on without */ }
  }

  function fill(select, index) {
    const { given, proposed } = suspects[index];
    const option = (label) => new Option(facts.names[label], label);
    const others = facts.names.map((_, label) => label).filter((label) => label !== given && label !== proposed);
    select.replaceChildren(...[proposed, ...others].map(option));
  }

  function prepareCard(card) {
    const index = Number(card.dataset.index);
    const select = card.querySelector("select");
    fill(select, index);
    for (const radio of card.querySelectorAll("input[type=radio]")) {
      radio.addEventListener("change", () => decide(index, { decision: radio.value }));
    }
    select.addEventListener("change", () => decide(index, { decision: "relabel", label: Number(select.value) }));
    const note = card.querySelector(".comment");
    note.addEventListener("input", () => decide(index, { note: note.value }));
  }

  function prepareRow(row) {
    const index = Number(row.dataset.index);
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Decision for ${row.cells[1].textContent}`);
    select.append(new Option("undecided", ""), new Option("keep", "keep"), new Option("", "relabel"), new Option("drop", "drop"));
    select.addEventListener("change", () => decide(index, { decision: select.value }));
    row.cells[5].append(select);
  }

  function show() {
    for (const card of cards) {
      const { decision, label, note } = state(Number(card.dataset.index));
      card.dataset.decision = decision;
      for (const radio of card.querySelectorAll("input[type=radio]")) radio.checked = radio.value === decision;
      card.querySelector("select").value = String(label);
      const comment = card.querySelector(".comment");
      if (comment.value !== note) comment.value = note;
    }
    for (const row of rows) {
      const { decision, label } = state(Number(row.dataset.index));
      const select = row.cells[5].querySelector("select");
      select.options[2].textContent = `relabel to ${facts.names[label]}`;
      select.value = decision;
    }
    say(summary());
    const clear = document.getElementById("clear-all");
    if (clear) clear.textContent = before ? "Undo clear" : "Clear";
    store();
  }

  function made() {
    return suspects.map((_, index) => index).filter((index) => state(index).decision);
  }

  function summary() {
    const count = (decision) => made().filter((index) => state(index).decision === decision).length;
    const parts = DECISIONS.map((decision) => `${count(decision)} ${decision}`).join(", ");
    return `${made().length.toLocaleString("en")} of ${suspects.length.toLocaleString("en")} decided: ${parts}.`;
  }

  function say(text) {
    for (const status of document.querySelectorAll(".status")) status.textContent = text;
  }

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
    const lines = [["sample_id", "key", "given_label", "new_label", "decision", "label_score", "note", "run_id"]];
    for (const index of made()) {
      const { id, key, given, score } = suspects[index];
      const { decision, label, note } = state(index);
      const chosen = { keep: facts.classes[given], relabel: facts.classes[label], drop: "" }[decision];
      lines.push([id, key, facts.classes[given], chosen, decision, score, note, facts.run]);
    }
    return lines.map((line) => line.map(cell).join(",") + "\n").join("");
  }

  function download() {
    if (!made().length) return say("Nothing is decided yet, so there is nothing to download.");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = "decisions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    return say(`${summary()} Saved as decisions.csv.`);
  }

  function acceptAll() {
    suspects.forEach((_, index) => {
      if (!state(index).decision) decided.set(index, { ...state(index), decision: "relabel" });
    });
    before = null;
    show();
  }

  function clearAll() {
    [decided, before] = before ? [before, null] : [new Map(), decided];
    show();
  }

  cards.forEach(prepareCard);
  rows.forEach(prepareRow);
  if (!suspects.length) return;
  document.getElementById("accept-all").addEventListener("click", acceptAll);
  document.getElementById("clear-all").addEventListener("click", clearAll);
  for (const button of document.querySelectorAll(".download")) button.addEventListener("click", download);
  show();
})();
