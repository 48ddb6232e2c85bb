"use strict";
// Sorting and searching the table of suspects.
(() => {
  const table = document.getElementById("suspects");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const search = document.getElementById("table-search");
  const words = new Intl.Collator(undefined, { numeric: true });

  function value(row, column) {
    const cell = row.cells[column];
    return column === 5 ? cell.querySelector("select").value : cell.textContent;
  }

  function sortBy(column) {
    const descending = heads[column].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    const numeric = heads[column].classList.contains("n");
    const compare = (a, b) => (numeric ? value(a, column) - value(b, column) : words.compare(value(a, column), value(b, column)));
    rows.sort((a, b) => (descending ? -1 : 1) * compare(a, b) || a.dataset.index - b.dataset.index);
    body.append(...rows);
  }

  function find() {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const text = [0, 1, 2, 3, 4].map((column) => row.cells[column].textContent).join("\n").toLowerCase();
      row.hidden = !text.includes(wanted);
      shown += !row.hidden;
    }
    document.getElementById("table-shown").textContent = `${shown.toLocaleString("en")} shown`;
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => sortBy(column)));
  search.addEventListener("input", find);
})();
