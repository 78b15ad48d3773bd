import {
  type Benchmark,
  BenchmarkState,
  Direction,
  type Peer,
  PeerState,
} from "../gen/connectquic/worker/v1/console_pb.js";
import { consoleClient, describeFailure } from "./console-client.ts";
import { element, type Row, Rows, setAttribute, setHidden, setText, svgElement } from "./dom.ts";
import { formatBytes, formatRate, formatSeconds } from "./format.ts";
import type { PageModel } from "./page-model.ts";
import { plotArea, plotLine } from "./plot.ts";

export interface BenchmarkView {
  update(model: PageModel, peer: Peer): void;
}

const sizes = [2 ** 20, 2 ** 24, 2 ** 26, 2 ** 28, 2 ** 30, 2 ** 32] as const;
const defaultSize = 2 ** 26;
const plotSize = { width: 320, height: 56 };
/** Of a peer, the latest first. */
const maxShown = 5;

/** Benchmarks with a peer: begin, watch, cancel. */
export function createBenchmarkView(root: HTMLElement): BenchmarkView {
  let peerId = "";
  const size = element(
    "select",
    { id: "size" },
    ...sizes.map((bytes) =>
      element("option", { value: bytes, selected: bytes === defaultSize }, formatBytes(bytes)),
    ),
  );
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const start = (direction: Direction) => (): void => {
    setHidden(problem, true);
    consoleClient
      .startBenchmark({ peerId, direction, totalBytes: BigInt(size.value) })
      .catch((error: unknown) => {
        setText(problem, describeFailure(error));
        setHidden(problem, false);
      });
  };
  const upload = element(
    "button",
    { type: "button", class: "secondary", onClick: start(Direction.UPLOAD) },
    "Send",
  );
  const download = element(
    "button",
    { type: "button", class: "secondary", onClick: start(Direction.DOWNLOAD) },
    "Receive",
  );
  const list = element("ul", { class: "runs" });
  root.append(
    element("h3", {}, "Benchmark"),
    element(
      "div",
      { class: "row" },
      element("label", { for: "size", class: "visually-hidden" }, "Size"),
      size,
      upload,
      download,
    ),
    problem,
    list,
  );
  const rows = new Rows<Benchmark>(list, ({ number }) => String(number), createRun);
  return {
    update: ({ benchmarks }, peer) => {
      peerId = peer.id;
      upload.disabled = peer.state !== PeerState.CONNECTED;
      download.disabled = upload.disabled;
      const shown = [...benchmarks.values()].filter((benchmark) => benchmark.peerId === peer.id);
      rows.update(shown.reverse().slice(0, maxShown));
    },
  };
}

function createRun({ number }: Benchmark): Row<Benchmark> {
  const title = element("span", { class: "name" });
  const rate = element("span", { class: "rate" });
  const progress = element("progress", { max: 1, value: 0 });
  const detail = element("span", { class: "hint" });
  const area = svgElement("path", { class: "area" });
  const line = svgElement("path", { class: "line" });
  const plot = svgElement(
    "svg",
    {
      class: "rates",
      viewBox: `0 0 ${plotSize.width} ${plotSize.height}`,
      preserveAspectRatio: "none",
      role: "img",
    },
    area,
    line,
  );
  const cancel = element(
    "button",
    {
      type: "button",
      class: "quiet",
      // It may have ended just before.
      onClick: () => void consoleClient.cancelBenchmark({ number }).catch(() => {}),
    },
    "Cancel",
  );
  return {
    node: element(
      "li",
      { class: "run" },
      element("div", { class: "row" }, title, rate),
      plot,
      progress,
      element("div", { class: "row" }, detail, cancel),
    ),
    update: (benchmark) => {
      const { doneBytes, totalBytes, elapsedMs, rates, state } = benchmark;
      const done = Number(doneBytes);
      const running = state === BenchmarkState.RUNNING;
      const mean = elapsedMs > 0 ? (done * 1_000) / elapsedMs : 0;
      const what = benchmark.direction === Direction.UPLOAD ? "Sending" : "Receiving";
      const name = `${what} ${formatBytes(Number(totalBytes))}`;
      const now = running ? (rates.at(-1) ?? mean) : mean;
      setText(title, name);
      setText(rate, formatRate(now));
      progress.value = done / Number(totalBytes);
      setAttribute(progress, "aria-label", name);
      setAttribute(progress, "class", state === BenchmarkState.DONE ? "done" : "");
      setAttribute(area, "d", plotArea(rates, plotSize));
      setAttribute(line, "d", plotLine(rates, plotSize));
      setAttribute(
        plot,
        "aria-label",
        `Rate over time, at most ${formatRate(Math.max(0, ...rates))}`,
      );
      plot.classList.toggle("none", rates.length < 2);
      setText(detail, describe(benchmark));
      setAttribute(detail, "class", state === BenchmarkState.FAILED ? "hint problem" : "hint");
      setHidden(cancel, !running);
    },
  };
}

function describe({ state, doneBytes, elapsedMs, problem, begunHere }: Benchmark): string {
  const who = begunHere ? "" : " · begun by the peer";
  const progress = `${formatBytes(Number(doneBytes))} in ${formatSeconds(elapsedMs)}`;
  switch (state) {
    case BenchmarkState.DONE:
      return `Done: ${progress}${who}`;
    case BenchmarkState.CANCELLED:
      return `${problem.charAt(0).toUpperCase()}${problem.slice(1)} after ${progress}${who}`;
    case BenchmarkState.FAILED:
      return `Failed after ${progress}: ${problem}${who}`;
    default:
      return `${progress}${who}`;
  }
}
