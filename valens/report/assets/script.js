"use strict";
// Tables sort by their heads and are filtered by their names; without this script they are plain tables.
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  function keyOf(cell) {
    if (!("key" in cell.dataset)) return cell.textContent === "–" ? null : cell.textContent;
    return cell.dataset.key === "" || cell.dataset.key === "nan" ? null : Number(cell.dataset.key);
  }

  // What is missing stays last both ways, and equals keep their order.
  function compare(one, other, sign) {
    if (one === null || other === null) return (one === null) - (other === null);
    return sign * (typeof one === "number" ? one - other : collator.compare(one, other));
  }

  function sort(table, place, sign) {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, key: keyOf(row.cells[place]) }));
    rows.sort((one, other) => compare(one.key, other.key, sign));
    body.append(...rows.map((each) => each.row));
  }

  function makeSortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.ariaSort = "none";
      button.addEventListener("click", () => {
        const up = head.ariaSort !== "ascending";
        heads.forEach((each) => { each.ariaSort = "none"; });
        head.ariaSort = up ? "ascending" : "descending";
        sort(table, place, up ? 1 : -1);
      });
    });
  }

  function choices(head, values) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    label.append(`${head.textContent} `, select);
    select.append(new Option("all", ""));
    values.forEach((value) => select.append(new Option(value, value)));
    return { label, select };
  }

  function makeFiltered(table) {
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    const bar = document.createElement("div");
    const told = document.createElement("output");
    const chosen = heads.flatMap((head, place) => {
      if (!("filter" in head.dataset)) return [];
      const values = [...new Set(rows.map((row) => row.cells[place].textContent))];
      return [{ place, ...choices(head, values) }];
    });
    if (!chosen.length) return;
    const apply = () => {
      rows.forEach((row) => {
        row.hidden = chosen.some(({ place, select }) => select.value && row.cells[place].textContent !== select.value);
      });
      const shown = rows.filter((row) => !row.hidden).length;
      told.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
    };
    bar.className = "filters";
    chosen.forEach(({ label, select }) => {
      select.addEventListener("change", apply);
      bar.append(label);
    });
    bar.append(told);
    table.closest(".scroll").before(bar);
  }

  document.querySelectorAll("table[data-sortable]").forEach((table) => {
    makeFiltered(table);
    makeSortable(table);
  });

  // Paper has no folds.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((each) => { each.open = true; });
  });
  window.addEventListener("afterprint", () => folded.forEach((each) => { each.open = false; }));
})();
