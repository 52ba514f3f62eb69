/* unfold's icons are words in an icon font; without this a screen reader says "space_dashboard Dashboard". */
"use strict";

for (const event of ["DOMContentLoaded", "htmx:load"]) {
  document.addEventListener(event, () => {
    for (const icon of document.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
      icon.setAttribute("aria-hidden", "true");
    }
  });
}
