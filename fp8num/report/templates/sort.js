"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const grouped = table.tBodies.length > 1;
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("plain")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (item) => {
        const row = grouped ? item.rows[0] : item;
        const text = row.cells[column].dataset.v ?? row.cells[column].textContent;
        const number = parseFloat(text.replace(/−/g, "-").replace(/[,<>]/g, "").replace("∞", "Infinity"));
        return text === "–" ? -Infinity : Number.isNaN(number) ? text : number;
      };
      const compare = (a, b) => (a === b ? 0 : typeof a === typeof b ? (a < b ? -1 : 1) : typeof a === "number" ? -1 : 1);
      const parent = grouped ? table : table.tBodies[0];
      const items = [...(grouped ? table.tBodies : parent.rows)].map((item) => [key(item), item]);
      items.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
      parent.append(...items.map((pair) => pair[1]));
    });
  });
}
