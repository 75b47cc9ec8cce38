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

  // times in the zone of the reader, with UTC beside

  const two = (number) => String(number).padStart(2, "0");

  const stamp = (date) => {
    const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
    const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
    return `${day} ${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
  };

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  const times = all("time").map((element) => ({ element, date: new Date(element.dateTime) }));
  if ([new Date(), ...times.map(({ date }) => date)].some((date) => date.getTimezoneOffset() !== 0)) {
    byId("zone").textContent = `${zone}, with UTC beside`;
    for (const { element, date } of times) {
      const utc = document.createElement("span");
      utc.className = "utc";
      const clock = element.textContent.slice(11, 19);
      utc.textContent = ` ${stamp(date).slice(0, 10) === element.textContent.slice(0, 10) ? "" : `${element.textContent.slice(0, 10)} `}${clock} UTC`;
      element.textContent = stamp(date);
      element.append(utc);
    }
  }

  for (const { element, date } of times) {
    const local = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
    element.title = `${local}\n${element.dateTime}`;
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

  for (const button of all("[data-copy-link]")) {
    const idle = button.textContent;
    const link = byId(button.dataset.copyLink);
    button.addEventListener("click", async () => {
      const text = document.createElement("span");
      text.textContent = link.href; // absolute
      button.after(text);
      try {
        await copy(text);
        button.textContent = "Copied";
        say("Copied");
        text.remove();
      } catch {
        selectAll(text);
        say("Copying failed. The link is selected: press Ctrl+C.");
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

  const bars = all(".plot a");

  const moveBar = (step) => {
    const now = bars.indexOf(document.activeElement);
    const next = bars[Math.min(Math.max(now + step, 0), bars.length - 1)];
    for (const bar of bars) bar.setAttribute("tabindex", bar === next ? "0" : "-1");
    next.focus();
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
    "/": () => { const field = byId("text") ?? byId("correlation_id"); field.focus(); field.select(); },
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
    const isOnBar = bars.includes(element);
    const action = keys[event.key]
      || (isOnRow && { ArrowDown: keys.j, ArrowUp: keys.k }[event.key])
      || (isOnBar && { ArrowLeft: () => moveBar(-1), ArrowRight: () => moveBar(1) }[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  });
})();
