// The behaviour of Connect over any transport: all kinds of methods, all protocols, formats and compressions, and what
// applications rely on beyond: errors, deadlines, cancellation, metadata, interceptors, limits, concurrency.

import { after, before, describe, test } from "node:test";
import { cancellationTests } from "./cancellation.ts";
import { concurrencyTests } from "./concurrency.ts";
import { deadlineTests } from "./deadlines.ts";
import { errorTests } from "./errors.ts";
import { flowTests } from "./flow.ts";
import { httpGetTests } from "./http-get.ts";
import { interceptorTests } from "./interceptors.ts";
import { limitTests } from "./limits.ts";
import { loadTests } from "./load.ts";
import { type Cell, everyCell, everyFormat, everyProtocol } from "./matrix.ts";
import { metadataTests } from "./metadata.ts";
import type { TestOptions, Topic } from "./register.ts";
import { Stage } from "./stage.ts";
import { streamingTests } from "./streaming.ts";
import type { Capabilities, Deviation, RunningSubject, Subject } from "./subject.ts";
import { unaryTests } from "./unary.ts";

interface Chapter {
  readonly title: string;
  readonly topic: Topic;
  readonly cells: readonly Cell[];
  /** The first of them that the subject has. */
  readonly once?: true;
}

const chapters: readonly Chapter[] = [
  { title: "unary", topic: unaryTests, cells: everyCell },
  { title: "streaming", topic: streamingTests, cells: everyCell },
  { title: "metadata", topic: metadataTests, cells: everyFormat },
  { title: "errors", topic: errorTests, cells: everyFormat },
  { title: "deadlines", topic: deadlineTests, cells: everyProtocol },
  { title: "cancellation", topic: cancellationTests, cells: everyProtocol },
  { title: "interceptors", topic: interceptorTests, cells: everyProtocol },
  { title: "limits", topic: limitTests, cells: everyProtocol },
  { title: "HTTP GET", topic: httpGetTests, cells: everyFormat },
  { title: "flow", topic: flowTests, cells: everyProtocol, once: true },
  { title: "concurrency", topic: concurrencyTests, cells: everyProtocol, once: true },
];

const slowChapters: readonly Chapter[] = [
  { title: "flow", topic: flowTests, cells: everyProtocol },
  { title: "concurrency", topic: concurrencyTests, cells: everyProtocol },
  { title: "load", topic: loadTests, cells: everyProtocol, once: true },
];

/**
 * Registers the tests. What the subject cannot do is skipped with its reason, and where it is known to deviate the test has to
 * fail, so the list of deviations is never longer than the truth.
 */
export function behaviourSuite(subject: Subject): void {
  register(subject, chapters);
  checkDeviations(subject);
}

/** Registers few of the tests, and each once: for a subject that has all of them elsewhere. */
export function behaviourSample(subject: Subject): void {
  register(
    subject,
    [unaryTests, deadlineTests, cancellationTests].map((topic) => ({
      title: "a sample",
      topic,
      cells: everyProtocol,
      once: true,
    })),
  );
}

function checkDeviations(subject: Subject): void {
  const names = new Set<string>();
  for (const { topic } of chapters) {
    topic((name) => names.add(name));
  }
  for (const name of subject.deviations?.flatMap(({ tests }) => tests) ?? []) {
    if (!names.has(name)) {
      throw new Error(`a deviation of ${subject.name} names no test: ${name}`);
    }
  }
}

/** Registers the tests that take minutes. */
export function behaviourLoadSuite(subject: Subject): void {
  register(subject, slowChapters);
}

function register(subject: Subject, selection: readonly Chapter[]): void {
  describe(`behaviour over ${subject.name}`, () => {
    let running: RunningSubject | undefined;
    let calls = 0;
    // A call that hangs without a socket would let the process end in the middle of its test.
    let alive: NodeJS.Timeout | undefined;
    before(async () => {
      alive = setInterval(() => {}, 60_000);
      running = await subject.start();
    });
    after(async () => {
      clearInterval(alive);
      await running?.close();
    });

    const stage = (cell: Cell): Stage => {
      if (running === undefined) {
        throw new Error(`${subject.name} did not start`);
      }
      return new Stage(running, cell.config, `call ${++calls} over ${subject.name}`);
    };
    for (const { title, topic, cells, once } of selection) {
      for (const cell of once ? firstCell(subject, cells) : cells) {
        describe(`${title} (${cell.title})`, () => {
          topic((name, body, options = {}) => {
            registerTest(name, options, subject, cell, () => body(stage(cell)));
          });
        });
      }
    }
  });
}

/** Of a protocol that the subject has, or simply the first. */
function firstCell({ capabilities }: Subject, cells: readonly Cell[]): readonly Cell[] {
  const known = cells.find(({ config }) => capabilities[config.protocol] === true);
  return known === undefined ? cells.slice(0, 1) : [known];
}

function registerTest(
  name: string,
  options: TestOptions,
  subject: Subject,
  cell: Cell,
  body: () => Promise<void>,
): void {
  const timeout = options.timeoutMs ?? 30_000;
  const obstacle = findObstacle(options, subject, cell);
  if (obstacle !== undefined) {
    test(name, { skip: obstacle });
    return;
  }
  const deviation = findDeviation(name, subject, cell);
  if (deviation === undefined) {
    test(name, { timeout }, body);
  } else if (deviation.outcome === "hangs" || deviation.outcome === "varies") {
    test(name, { skip: `${deviation.outcome}: ${deviation.reason}` });
  } else {
    test(`${name} [known to fail: ${deviation.reason}]`, { timeout }, () => mustFail(body));
  }
}

/** Why the subject cannot run the test. */
function findObstacle(options: TestOptions, subject: Subject, cell: Cell): string | undefined {
  if (cell.missing !== undefined) {
    return cell.missing;
  }
  const { protocol, useBinaryFormat, sendCompression } = cell.config;
  const ofCell: (keyof Capabilities)[] = [
    protocol,
    ...(useBinaryFormat === false ? (["json"] as const) : []),
    ...(sendCompression === undefined ? [] : (["compression"] as const)),
  ];
  return [...ofCell, ...(options.needs ?? [])]
    .map((capability) => subject.capabilities[capability])
    .find((capability) => capability !== true);
}

function findDeviation(name: string, subject: Subject, cell: Cell): Deviation | undefined {
  return subject.deviations?.find(
    ({ tests, protocols }) =>
      tests.includes(name) && (protocols?.includes(cell.config.protocol) ?? true),
  );
}

async function mustFail(body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch {
    return;
  }
  throw new Error("passes, so its deviation is out of date");
}
