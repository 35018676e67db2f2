"use strict";
// The page is whole without this: it sorts by a column's head and hides what a search leaves out.
const body = document.querySelector("tbody");
const rows = [...body.rows];
const texts = new Map(rows.map((row) => {
  const cause = row.querySelector(".cause");
  const text = row.querySelector("th").textContent + " " + (cause ? cause.textContent : "");
  return [row, text.toLocaleLowerCase()];
}));
const search = document.getElementById("search");
const count = document.getElementById("count");
const find = () => {
  const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !words.every((word) => texts.get(row).includes(word));
    if (!row.hidden) shown += 1;
  }
  count.textContent = words.length ? `${shown} of ${rows.length}` : `${rows.length} in all`;
  document.getElementById("none").hidden = shown > 0 || rows.length === 0;
};
search.addEventListener("input", find);
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const sort = (head) => {
  const down = head.getAttribute("aria-sort") === "descending";
  const isText = head.dataset.sort === "text";
  // Numbers begin with the largest, names with the first.
  const rising = head.hasAttribute("aria-sort") ? down : isText;
  for (const other of document.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  const at = head.cellIndex;
  const value = (row) => {
    const cell = row.cells[at];
    if (!cell || cell.dataset.value === undefined || cell.dataset.value === "") return null;
    return isText ? cell.dataset.value : Number(cell.dataset.value);
  };
  const keyed = rows.map((row) => [value(row), row]);
  keyed.sort(([a], [b]) => {
    // What has no value is last in both directions.
    if (a === null || b === null) return (a === null) - (b === null);
    const order = isText ? collator.compare(a, b) : a - b;
    return rising ? order : -order;
  });
  body.append(...keyed.map(([, row]) => row));
};
for (const head of document.querySelectorAll("th[data-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  button.addEventListener("click", () => sort(head));
  head.replaceChildren(button);
}
document.querySelector(".tools").hidden = false;
find();
