// The page's own script: shows pages large with what is marked on them, refuses uploads that are too large before they
// are sent, and switches language and theme. It loads nothing and keeps one cookie and one setting.
(() => {
  const STEP = 1.25, THEME = "glyph-theme";
  let dialog, views = [], at = 0, zoom = 0; // zoom 0: as large as fits in width
  const said = (name) => document.querySelector(".glyph-top")?.dataset[name] ?? name;

  function build() {
    dialog = document.createElement("dialog");
    dialog.className = "glyph-viewer";
    dialog.innerHTML = '<div class="bar"><span></span></div><div class="desk" tabindex="0"><div class="glyph-sheet"></div></div>';
    const bar = dialog.querySelector(".bar");
    for (const [sign, name, act] of [
      ["‹", "previous", () => turn(-1)], ["›", "next", () => turn(1)], ["−", "zoomOut", () => scale(1 / STEP)],
      ["⤢", "zoomFit", () => scale(0)], ["+", "zoomIn", () => scale(STEP)], ["✕", "close", () => dialog.close()],
    ]) {
      const button = document.createElement("button");
      button.type = "button"; button.textContent = sign; button.title = said(name);
      button.setAttribute("aria-label", said(name)); button.dataset.act = name;
      button.addEventListener("click", act);
      bar.append(button);
    }
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener("keydown", (event) => {
      const act = { "+": () => scale(STEP), "=": () => scale(STEP), "-": () => scale(1 / STEP), "0": () => scale(0),
        PageDown: () => turn(1), PageUp: () => turn(-1), ArrowRight: () => turn(1), ArrowLeft: () => turn(-1) }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    document.querySelector(".gradio-container").append(dialog);
  }

  function open(list, index) {
    if (!dialog?.isConnected) build();
    views = list; at = index; zoom = 0;
    dialog.showModal();
    show();
    dialog.querySelector(".desk").focus();
  }

  function show() {
    const view = views[at], sheet = dialog.querySelector(".glyph-sheet");
    dialog.setAttribute("aria-label", view.caption);
    dialog.querySelector(".bar span").textContent = view.caption;
    sheet.innerHTML = view.overlay;
    const image = new Image();
    image.alt = view.caption; image.src = view.url;
    sheet.prepend(image);
    for (const [name, off] of [["previous", at === 0], ["next", at === views.length - 1]])
      dialog.querySelector(`[data-act=${name}]`).disabled = off;
    fit();
    sheet.querySelector("rect")?.scrollIntoView({ block: "center" });
  }

  function fit() {
    const view = views[at], desk = dialog.querySelector(".desk"), sheet = dialog.querySelector(".glyph-sheet");
    const width = zoom ? view.width * zoom : Math.min(desk.clientWidth - 32, view.width * 1.6);
    sheet.style.width = `${width}px`;
    sheet.style.height = `${(width * view.height) / view.width}px`;
  }

  function scale(by) {
    const now = dialog.querySelector(".glyph-sheet").clientWidth / views[at].width;
    zoom = by ? Math.min(8, Math.max(0.2, now * by)) : 0;
    fit();
    dialog.querySelector("rect")?.scrollIntoView({ block: "center", inline: "center" });
  }

  function turn(by) {
    if (views[at + by]) { at += by; show(); }
  }

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const cite = target?.closest("button[data-views]"), thumb = target?.closest("button.thumb");
    if (cite) open(JSON.parse(cite.dataset.views), 0);
    if (thumb) {
      const all = [...thumb.closest(".glyph-gallery").querySelectorAll("button.thumb")];
      open(all.map((one) => ({ url: one.dataset.url, caption: one.dataset.caption, width: +one.dataset.width,
        height: +one.dataset.height, overlay: one.querySelector("svg").outerHTML })), all.indexOf(thumb));
    }
    const language = target?.closest("a[data-language]")?.dataset.language;
    if (language) document.cookie = `glyph_language=${language};path=/;max-age=31536000;samesite=lax`;
    if (target?.closest("[data-theme-switch]")) {
      const dark = document.body.classList.toggle("dark");
      localStorage.setItem(THEME, dark ? "dark" : "light");
    }
  });

  // Gradio's own listeners stand on the elements: ours come before them, on the way down.
  function refuseLarge(event, list) {
    const limit = +said("maxBytes"), large = [...(list ?? [])].find((file) => limit && file.size > limit);
    const message = document.querySelector("#message");
    if (!large || !message) return;
    event.preventDefault(); event.stopImmediatePropagation();
    if (event.type === "change") event.target.value = "";
    const size = (bytes) => bytes >= 1048576 ? `${(bytes / 1048576).toFixed(1)} MB` : `${Math.ceil(bytes / 1024)} kB`;
    const text = said("tooLarge").replace("{name}", large.name).replace("{size}", size(large.size)).replace("{limit}", size(limit));
    const note = document.createElement("div");
    note.className = "glyph-problem client"; note.setAttribute("role", "alert"); note.textContent = text;
    document.querySelectorAll(".glyph-problem.client").forEach((old) => old.remove());
    (event.target.closest?.(".tabitem")?.querySelector(".glyph-message") ?? message).prepend(note);
    note.scrollIntoView({ block: "nearest" });
  }
  document.addEventListener("change", (event) => {
    document.querySelectorAll(".glyph-problem.client").forEach((old) => old.remove());
    if (event.target.type === "file") refuseLarge(event, event.target.files);
  }, true);
  document.addEventListener("drop", (event) => refuseLarge(event, event.dataTransfer?.files), true);

  const theme = localStorage.getItem(THEME);
  if (theme) new MutationObserver((_, observer) => {
    if (document.body?.classList.contains("dark") !== (theme === "dark")) document.body?.classList.toggle("dark", theme === "dark");
    if (document.querySelector(".glyph-top")) observer.disconnect();
  }).observe(document.documentElement, { childList: true, subtree: true, attributes: true });
})();
