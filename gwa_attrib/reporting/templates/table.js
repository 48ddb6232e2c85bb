"use strict";
// The table of suspects: rows are made a page at a time; sorting and searching are over all of them.
(() => {
  const table = document.getElementById("suspects");
  if (!table) return;
  const { facts, suspects } = report;
  const PAGE = 100;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const search = document.getElementById("table-search");
  const more = document.getElementById("table-more");
  const rows = new Map();
  const keys = suspects.map(({ key }, index) => facts.visibleKeys[index] ?? key);
  // Numbers inside a name count as numbers: img9 before img10. Worked out once, compared often.
  const padded = (text) => text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
  const places = [...facts.names.keys()].sort((a, b) => (padded(facts.names[a]) < padded(facts.names[b]) ? -1 : 1));
  const placeOf = new Map(places.map((label, place) => [label, place]));
  const found = suspects.map(({ id, given, proposed }, index) => `${id}\n${keys[index]}\n${facts.names[given]}\n${facts.names[proposed]}`.toLowerCase());
  let sortedKeys = null;
  const VALUES = [
    (index) => suspects[index].id,
    (index) => (sortedKeys ??= keys.map(padded))[index],
    (index) => placeOf.get(suspects[index].given),
    (index) => placeOf.get(suspects[index].proposed),
    (index) => suspects[index].score,
    (index) => report.state(index).decision,
  ];
  let order = suspects.map((_, index) => index);
  let shown = 0;

  function rowOf(index) {
    if (!rows.has(index)) rows.set(index, made(index));
    return rows.get(index);
  }

  function made(index) {
    const { id, given, proposed, score } = suspects[index];
    const row = document.createElement("tr");
    row.dataset.index = index;
    for (const [text, kind] of [[id, "n"], [keys[index], ""], [facts.names[given], ""], [facts.names[proposed], ""], [score.toFixed(4), "n"]]) {
      const cell = row.insertCell();
      cell.className = kind;
      const inner = document.createElement("bdi");
      inner.textContent = text;
      cell.append(inner);
    }
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Decision for ${keys[index]}`);
    select.append(new Option("undecided", ""), new Option("keep", "keep"), new Option("", "relabel"), new Option("drop", "drop"));
    select.addEventListener("change", () => report.change([[index, { decision: select.value }]]));
    row.insertCell().append(select);
    update(row, index);
    return row;
  }

  function update(row, index) {
    const { decision, label } = report.state(index);
    const select = row.cells[5].firstElementChild;
    select.options[2].textContent = `relabel to ${facts.names[label]}`;
    select.value = decision;
  }

  function arrange() {
    const wanted = search.value.trim().toLowerCase();
    const column = heads.findIndex((head) => head.hasAttribute("aria-sort"));
    const direction = heads[column].getAttribute("aria-sort") === "descending" ? -1 : 1;
    const value = VALUES[column];
    order = suspects.map((_, index) => index).filter((index) => found[index].includes(wanted));
    order.sort((a, b) => {
      const [one, other] = [value(a), value(b)];
      return direction * (one < other ? -1 : one > other ? 1 : 0) || a - b;
    });
    shown = 0;
    body.replaceChildren();
    showMore();
  }

  function showMore() {
    const next = order.slice(shown, shown + PAGE);
    body.append(...next.map(rowOf));
    shown += next.length;
    document.getElementById("table-shown").textContent = `${report.number(shown)} of ${report.number(order.length)} shown`;
    more.hidden = shown >= order.length;
    more.textContent = `Show ${report.number(Math.min(PAGE, order.length - shown))} more`;
  }

  function sortBy(column) {
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    arrange();
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(column)));
  search.addEventListener("input", arrange);
  more.addEventListener("click", showMore);
  report.listen((indices) => {
    for (const index of indices) if (rows.has(index)) update(rows.get(index), index);
  });
  showMore();
})();
