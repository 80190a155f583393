// What a control shows later is read from a file when the control is first used, and a tap on a phone enlarges a figure.
(() => {
  const explorers = [...document.querySelectorAll("[data-states]")];
  const files = explorers.map((explorer) => explorer.dataset.states);
  window.lmStates = (number, states) => {
    const places = explorers[number].querySelectorAll(":scope > .lm-state");
    states.forEach((state, i) => places[i].insertAdjacentHTML("beforeend", state));
    offer(explorers[number]);
  };
  explorers.forEach((explorer, number) => {
    const read = () => {
      if (!files[number]) return;
      const script = document.createElement("script");
      script.src = files[number];
      files[number] = null;
      document.head.append(script);
    };
    const control = explorer.querySelector(":scope > .lm-control");
    for (const use of ["pointerenter", "focusin", "input"]) control.addEventListener(use, read);
  });

  const dialog = document.createElement("dialog");
  dialog.className = "lm-large";
  dialog.innerHTML = '<form method="dialog"><button class="btn" autofocus>Close</button></form><div tabindex="0" role="group"></div>';
  const [, place] = dialog.children;
  let picture, home;
  const enlarge = (figure) => {
    picture = figure.querySelector(".wide");
    home = picture.nextSibling;
    place.ariaLabel = picture.getAttribute("aria-label");
    place.append(picture); // itself, not a copy: its parts have names that a page holds once
    document.body.append(dialog);
    dialog.showModal();
    dialog.onclose = () => figure.insertBefore(picture, home);
  };
  const offer = (part) => {
    for (const figure of part.querySelectorAll(".lm-figure:not(:has(.lm-enlarge))")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "lm-enlarge";
      button.ariaLabel = "Enlarge the figure";
      figure.append(button);
      figure.addEventListener("click", () => {
        if (getComputedStyle(button).display !== "none") enlarge(figure);
      });
    }
  };
  offer(document);
})();
