/* unfold's icons are words in an icon font; without this a screen reader says "space_dashboard Dashboard".
 * What it opens by a click on an <a> without an address, as the filters, the keyboard shall reach too. And the
 * names of columns begin with a capital, as their headings do where there is room for a table. */
"use strict";

for (const event of ["DOMContentLoaded", "htmx:load"]) {
  document.addEventListener(event, () => {
    for (const icon of document.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
      icon.setAttribute("aria-hidden", "true");
    }
    for (const cell of document.querySelectorAll("#result_list [data-label]")) {
      cell.dataset.label = cell.dataset.label.charAt(0).toUpperCase() + cell.dataset.label.slice(1);
    }
    for (const link of document.querySelectorAll("a[x-on\\:click]:not([href], [role])")) {
      link.setAttribute("role", "button");
      link.tabIndex = 0;
    }
  });
}

document.addEventListener("keydown", (pressed) => {
  if ((pressed.key === "Enter" || pressed.key === " ") && pressed.target.matches("a[role=button]:not([href])")) {
    pressed.preventDefault();
    pressed.target.click();
  }
});
