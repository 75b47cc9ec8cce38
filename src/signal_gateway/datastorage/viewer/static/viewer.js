// Every page works without this file. It adds keys, copying, times in your time zone and a busy state.
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const rows = all(".row");
  const help = byId("help");

  const say = (text) => { byId("status").textContent = text; };

  // buttons that need a script are hidden without one
  for (const element of all("button[hidden]")) element.hidden = false;

  for (const time of all("time")) {
    const local = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
    time.title = `${local}\n${time.dateTime}`;
  }

  // forms: omit empty fields from the URL, and show a busy state

  for (const form of all("form[method=get]")) {
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
    });
    form.addEventListener("submit", () => {
      const button = form.querySelector("button[data-busy]");
      button.dataset.idle = button.textContent;
      button.textContent = button.dataset.busy;
      form.setAttribute("aria-busy", "true");
      say(button.dataset.busy);
    });
  }

  window.addEventListener("pageshow", () => {
    for (const form of all("form[aria-busy]")) {
      const button = form.querySelector("button[data-busy]");
      button.textContent = button.dataset.idle;
      form.removeAttribute("aria-busy");
    }
  });

  // copying

  const selectAll = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  const copy = async (element) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
    selectAll(element); // a page from another host without TLS has no clipboard
    if (!document.execCommand("copy")) throw new Error("refused");
  };

  for (const button of all("[data-copy]")) {
    const idle = button.textContent;
    const target = byId(button.dataset.copy);
    button.addEventListener("click", async () => {
      try {
        await copy(target);
        button.textContent = "Copied";
        say("Copied");
      } catch {
        selectAll(target);
        button.textContent = "Selected: press Ctrl+C";
        say("Copying failed. The text is selected: press Ctrl+C.");
      }
    });
    button.addEventListener("blur", () => { button.textContent = idle; });
  }

  // payloads; "Expand all" skips sensitive ones

  const openAll = (isOpen) => {
    for (const payload of all(".payload")) if (!isOpen || !("sensitive" in payload.dataset)) payload.open = isOpen;
  };

  byId("expand")?.addEventListener("click", () => openAll(true));
  byId("collapse")?.addEventListener("click", () => openAll(false));

  // keys

  const move = (step) => {
    if (rows.length === 0) return;
    const now = rows.indexOf(document.activeElement);
    const next = now === -1 ? startingRow(step) : Math.min(Math.max(now + step, 0), rows.length - 1);
    rows[next].focus();
    rows[next].scrollIntoView({ block: "nearest" });
  };

  const startingRow = (step) => {
    const target = document.querySelector(":target .row");
    if (target) return rows.indexOf(target);
    return step > 0 ? 0 : rows.length - 1;
  };

  const leave = (element) => {
    const isInPage = element !== document.body && element !== null;
    if (isInPage && element.matches("input, select")) element.blur();
    else if (byId("back")) goBack();
    else if (isInPage) element.blur();
  };

  const goBack = () => {
    if (window.navigation?.canGoBack) history.back(); // only counts pages of this origin
    else location.assign(byId("back").href);
  };

  const keys = {
    "/": () => { byId("correlation_id").focus(); byId("correlation_id").select(); },
    "?": () => help.showModal(),
    j: () => move(1),
    k: () => move(-1),
  };

  byId("open-help").addEventListener("click", () => help.showModal());

  document.addEventListener("keydown", (event) => {
    const element = document.activeElement;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || help.open) return;
    if (event.key === "Escape") {
      leave(element);
      return;
    }
    if (element?.matches("input, select, textarea")) return;
    const isOnRow = rows.includes(element); // elsewhere, arrow keys scroll
    const action = keys[event.key] ?? (isOnRow && { ArrowDown: keys.j, ArrowUp: keys.k }[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  });
})();
