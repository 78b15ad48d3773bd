import type { Event } from "../gen/connectquic/worker/v1/console_pb.js";
import { element, Rows } from "./dom.ts";
import { formatTime } from "./format.ts";
import type { PageModel } from "./page-model.ts";

/** What has happened, the latest first. */
export function createLogView(root: HTMLElement): (model: PageModel) => void {
  const list = element("ol", { class: "events", tabindex: 0, "aria-label": "Events" });
  root.append(element("h2", { id: "log-title" }, "Events"), list);
  const rows = new Rows<Event>(
    list,
    ({ number }) => String(number),
    ({ atMs, text, warning }) => {
      const time = new Date(Number(atMs));
      return {
        node: element(
          "li",
          { class: warning ? "warning" : "" },
          element("time", { datetime: time.toISOString() }, formatTime(Number(atMs))),
          element("span", { dir: "auto" }, text),
        ),
        update: () => {},
      };
    },
  );
  return ({ events }) => rows.update([...events].reverse());
}
