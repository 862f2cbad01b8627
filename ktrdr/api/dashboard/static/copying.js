// A button beside each command that puts it on the clipboard.

export function offerCopies(node) {
  for (const code of node.querySelectorAll("code[data-copy]")) {
    if (!navigator.clipboard || code.parentElement.classList.contains("copied")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy: ${code.textContent}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    code.parentElement.classList.add("copied");
    code.parentElement.append(button);
  }
}
