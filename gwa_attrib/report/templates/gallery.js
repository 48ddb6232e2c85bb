"use strict";
// Sorting the cards of the gallery, and showing those of one class.
(() => {
  const list = document.getElementById("cards");
  if (!list) return;
  const facts = JSON.parse(document.getElementById("report-facts").textContent);
  const sort = document.getElementById("gallery-sort");
  const only = document.getElementById("gallery-class");
  const cards = [...list.children].map((element) => {
    const index = Number(element.dataset.index);
    const [id, , given, proposed] = facts.suspects[index];
    return { element, index, id, given, proposed };
  });

  function arrange() {
    const wanted = only.value === "" ? null : Number(only.value);
    let shown = 0;
    for (const card of cards.sort((a, b) => a[sort.value] - b[sort.value] || a.index - b.index)) {
      const visible = wanted === null || card.given === wanted || card.proposed === wanted;
      card.element.hidden = !visible;
      shown += visible;
      list.append(card.element);
    }
    document.getElementById("gallery-shown").textContent = `${shown} shown`;
  }

  sort.addEventListener("change", arrange);
  only.addEventListener("change", arrange);
})();
