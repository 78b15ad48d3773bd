import { type HostName, hostNames } from "../lab/topology.ts";
import type { PathKind } from "../peer/peer-protocol.ts";
import type { LabSession } from "./lab-session.ts";
import type { Measurement } from "./measurement.ts";

/** Waits until the dialer has had an answer. Resolves with false when there is none in time. */
export async function firstAnswer(session: LabSession): Promise<boolean> {
  const { a } = session.peers;
  const outcome = await a.until(
    () => a.last("lost") ?? a.last("calls")?.calls.firstAnswerAt,
    firstAnswerTimeoutMs,
  );
  return typeof outcome === "number";
}

/** Waits until the dialer sends by a path of this kind; false when it does not in time. */
export async function pathBecomes(
  session: LabSession,
  kind: PathKind,
  timeoutMs: number,
): Promise<boolean> {
  const { a } = session.peers;
  const path = await a.until(
    () => a.last("lost") ?? (a.last("path")?.kind === kind ? "there" : undefined),
    timeoutMs,
  );
  return path === "there";
}

export interface ConcludeOptions {
  /** The path that packets should take now. */
  readonly expected: PathKind;
  /** Whose packets. Default: those of both. */
  readonly ends?: readonly HostName[];
  /** From when on stalls count. Default: from the first answer. */
  readonly since?: number;
}

/** Ends the calls and says how it went. */
export async function concludeSession(
  session: LabSession,
  { expected, ends = hostNames, since = 0 }: ConcludeOptions,
): Promise<Measurement> {
  const { a, b } = session.peers;
  const observed = await session.observedPath("a");
  a.send({ type: "finish" });
  await a.until(() => a.last("finished"), finishTimeoutMs);
  const dialedAt = a.last("dialed")?.at ?? 0;
  const calls = a.last("calls");
  const logs = calls === undefined ? [] : [calls.calls, calls.messages];
  const begun = sum(logs.map((log) => log.begun));
  const lost = begun - sum(logs.map((log) => log.answered));
  // Messages wait for each other, so that pauses between their answers are longer on longer ways.
  const stalls = calls?.calls.stalls.filter(({ from, ms }) => from + ms > since) ?? [];
  const longestStallMs = Math.max(0, ...stalls.map(({ ms }) => ms));
  const connectedAt = a.last("connected")?.at;
  const firstAnswerAt = calls?.calls.firstAnswerAt;
  const directAt = a.events.find((event) => event.type === "path" && event.kind === "direct");
  const dialer = a.last("path")?.kind;
  const dialed = b.last("path")?.kind;
  const areOurs = [a, b].every(({ kind }) => kind === "ours");
  const path = {
    ...(dialer && { dialer }),
    ...(dialed && { dialed }),
    ...(observed && { observed }),
  };
  const problems = [
    ...[a, b].flatMap((peer) => {
      const event = peer.last("lost");
      return event === undefined ? [] : [`${peer.host} lost the connection: ${event.reason}`];
    }),
    ...(firstAnswerAt === undefined ? ["no answer at all"] : []),
    ...(lost === 0 ? [] : [`${lost} of ${begun} calls and messages lost`]),
    ...logs.flatMap(({ problem }) => problem ?? []),
    ...(areOurs && longestStallMs > longestStallOfOursMs
      ? [`no answer for ${longestStallMs.toFixed(0)} ms`]
      : []),
    ...ends.flatMap((host) => problemsOfPath(host, expected, path)),
    ...[a, b].flatMap(({ host, complaints }) =>
      complaints === "" ? [] : [`${host} complains: ${complaints}`],
    ),
  ];
  return {
    ...(connectedAt !== undefined && { connectMs: connectedAt - dialedAt }),
    ...(firstAnswerAt !== undefined && { firstAnswerMs: firstAnswerAt - dialedAt }),
    ...(directAt?.type === "path" && { directMs: directAt.at - dialedAt }),
    path,
    begun,
    lost,
    longestStallMs,
    problems,
  };
}

/** What comes to the dialer has been sent by the other end. */
function problemsOfPath(
  sender: HostName,
  expected: PathKind,
  { dialer, dialed, observed }: Measurement["path"],
): string[] {
  const said = sender === "a" ? dialer : dialed;
  return [
    ...(sender === "a" || observed === expected
      ? []
      : [`bytes come by ${observed ?? "nothing"}, not ${expected}`]),
    ...(said === expected ? [] : [`${sender} says that it sends by ${said}`]),
  ];
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

const firstAnswerTimeoutMs = 20_000;
const finishTimeoutMs = 35_000;
/** Two of ours are back after a second or two. Far from that, so that a machine with too much to do is no failure. */
const longestStallOfOursMs = 10_000;
