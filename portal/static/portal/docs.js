/* The pages of the API are dark where the admin's own switch says so in this browser, else where the system is. */
"use strict";

(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      return JSON.parse(localStorage.getItem("adminTheme")); // as unfold keeps it: light, dark or auto
    } catch {
      return null;
    }
  }

  function draw() {
    const theme = chosen();
    const dark = theme === "dark" || (theme !== "light" && system.matches);
    document.documentElement.classList.toggle("dark-mode", dark);
  }

  draw();
  system.addEventListener("change", draw);
  addEventListener("storage", draw); // switched in another tab
})();
