import { element, setText } from "./dom.ts";
import { shortId } from "./format.ts";
import type { PageModel } from "./page-model.ts";
import { qrCode } from "./qr-code.ts";

/** Who this worker is, and what to hand to others. */
export function createSelfView(root: HTMLElement): (model: PageModel) => void {
  const title = element("h1", { id: "self-title" });
  const id = element("code", { class: "id" });
  const ticket = element("code", { class: "ticket", tabindex: 0, "aria-label": "Ticket" });
  const code = element("div", { class: "qr-frame" });
  const copied = element("span", { class: "hint", role: "status" });
  const copy = (what: string, source: HTMLElement): void => {
    const text = source.textContent ?? "";
    navigator.clipboard.writeText(text).then(
      () => setText(copied, `${what} copied`),
      () => {
        // Without a permission, people can still do it themselves.
        getSelection()?.selectAllChildren(source);
        setText(copied, "Press Ctrl+C to copy");
      },
    );
  };
  root.append(
    element("p", { class: "eyebrow" }, "This worker"),
    title,
    element(
      "div",
      { class: "field" },
      element("span", { class: "label" }, "Id"),
      id,
      element(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": "Copy the id",
          onClick: () => copy("Id", id),
        },
        "Copy",
      ),
    ),
    element(
      "div",
      { class: "field" },
      element("span", { class: "label" }, "Ticket"),
      ticket,
      element(
        "button",
        {
          type: "button",
          class: "quiet",
          "aria-label": "Copy the ticket",
          onClick: () => copy("Ticket", ticket),
        },
        "Copy",
      ),
    ),
    element(
      "details",
      {},
      element("summary", {}, "QR code"),
      code,
      element("p", { class: "hint" }, "The ticket, for a camera."),
    ),
    copied,
  );
  return ({ self }) => {
    if (self === undefined) {
      return;
    }
    const name = self.name === "" ? shortId(self.id) : self.name;
    setText(title, name);
    setText(id, self.id);
    if (ticket.textContent !== self.ticket) {
      setText(ticket, self.ticket);
      code.replaceChildren(qrCode(self.ticket, "QR code of the ticket"));
    }
    document.title = `${name} · connect-quic worker`;
  };
}
