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
  const attempt = (call: Promise<unknown>): void => {
    setHidden(problem, true);
    call.catch((error: unknown) => {
      setText(problem, describeFailure(error));
      setHidden(problem, false);
    });
  };
  const start = (direction: Direction) => (): void =>
    attempt(consoleClient.startBenchmark({ peerId, direction, totalBytes: BigInt(size.value) }));
  const chosen = element("input", {
    id: "file",
    type: "file",
    hidden: true,
    onChange: () => {
      for (const file of chosen.files ?? []) {
        attempt(sendFile(peerId, file));
      }
      // The same one can be chosen again.
      chosen.value = "";
    },
  });
  const choose = element(
    "button",
    { type: "button", class: "secondary", onClick: () => chosen.click() },
    "Send a file…",
  );
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
    element("h3", {}, "Benchmark and files"),
    element(
      "div",
      { class: "row wrap" },
      element("label", { for: "size", class: "visually-hidden" }, "Size"),
      size,
      upload,
      download,
      choose,
      chosen,
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
      choose.disabled = upload.disabled;
      const shown = [...benchmarks.values()].filter((benchmark) => benchmark.peerId === peer.id);
      rows.update(shown.reverse().slice(0, maxShown));
    },
  };
}

async function sendFile(peerId: string, file: File): Promise<void> {
  const { name, size } = file;
  const { number } = await consoleClient.startFile({ peerId, name, size: BigInt(size) });
  // What comes of it is in the state.
  await fetch(`files/${number}`, { method: "POST", body: file }).catch(() => {});
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
  const digest = element("code", { class: "digest" });
  const save = element("a", { href: `files/${number}`, download: true, hidden: true }, "Save");
  return {
    node: element(
      "li",
      { class: "run" },
      element("div", { class: "row" }, title, rate),
      plot,
      progress,
      element("div", { class: "row" }, detail, save, cancel),
      digest,
    ),
    update: (benchmark) => {
      const { doneBytes, totalBytes, elapsedMs, rates, state } = benchmark;
      const done = Number(doneBytes);
      const running = state === BenchmarkState.RUNNING;
      const mean = elapsedMs > 0 ? (done * 1_000) / elapsedMs : 0;
      const what = benchmark.direction === Direction.UPLOAD ? "Sending" : "Receiving";
      const bytes = formatBytes(Number(totalBytes));
      const name = `${what} ${benchmark.fileName === "" ? bytes : `${benchmark.fileName}, ${bytes}`}`;
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
      setHidden(save, !benchmark.kept);
      setAttribute(save, "aria-label", `Save ${benchmark.fileName}`);
      setHidden(digest, benchmark.sha256.length === 0);
      setText(digest, `SHA-256 ${hex(benchmark.sha256)}`);
    },
  };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function describe(benchmark: Benchmark): string {
  const { state, doneBytes, elapsedMs, problem, begunHere, fileName, kept } = benchmark;
  const isGone = fileName !== "" && !begunHere && !kept && state === BenchmarkState.DONE;
  const who = `${begunHere ? "" : " · begun by the peer"}${isGone ? " · not kept" : ""}`;
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
