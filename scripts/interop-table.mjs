// A reporter of node's test runner: prints who was tested against which other implementation, in which role, and what
// passed. It reads the names: a suite is "<implementation> as <role>", and its tests are "<column>: <sentence>".

// biome-ignore lint/style/noDefaultExport: that is how node finds a reporter
export default async function* interopTable(events) {
  const columns = new Set();
  /** By suite, what came of each column. */
  const suites = new Map();
  const skippedSuites = new Set();
  const reasons = [];
  // Of its suite, a test tells neither name nor id: it is the one that was begun last in its file.
  const suiteOf = new Map();
  for await (const { type, data } of events) {
    const { file, name, nesting } = data;
    if (type === "test:start" && nesting === 0) {
      suiteOf.set(file, name);
    }
    const suite = suiteOf.get(file);
    if ((type !== "test:pass" && type !== "test:fail") || nesting > 1 || !isOfTable(suite)) {
      continue;
    }
    const outcomes = suites.get(suite) ?? new Map();
    suites.set(suite, outcomes);
    const skipped = reasonOf(data);
    if (skipped?.startsWith("test name does not match")) {
      // Because of --name.
      continue;
    }
    if (nesting === 1) {
      const column = name.split(":")[0];
      columns.add(column);
      outcomes.set(column, skipped === undefined ? outcomeOf[type] : "skipped");
    } else if (skipped !== undefined) {
      skippedSuites.add(suite);
    }
    if (skipped !== undefined) {
      reasons.push(nesting === 0 ? `${suite}: ${skipped}` : `${suite}, ${name}: ${skipped}`);
    }
  }
  if (suites.size > 0) {
    yield `\n${table([...columns], suites, skippedSuites)}\n\n`;
    yield reasons.map((reason) => `skipped: ${reason}\n`).join("");
  }
}

const outcomeOf = { "test:pass": "passed", "test:fail": "FAILED" };

function isOfTable(suite) {
  return / as (?:client|server)$/.test(suite ?? "");
}

/** Why a test was skipped, if it was. */
function reasonOf({ skip }) {
  return skip === undefined || skip === false ? undefined : `${skip}`;
}

/** In Markdown, as README.md has it. */
function table(columns, suites, skippedSuites) {
  const head = ["peer", "role", ...columns];
  const rows = [...suites].map(([suite, outcomes]) => {
    const at = suite.lastIndexOf(" as ");
    const missing = skippedSuites.has(suite) ? "skipped" : "–";
    const cells = columns.map((column) => outcomes.get(column) ?? missing);
    return [suite.slice(0, at), suite.slice(at + 4), ...cells];
  });
  const lines = [head, head.map(() => "---"), ...rows];
  const widths = head.map((_, index) => Math.max(...lines.map((line) => line[index].length)));
  return lines
    .map((line) => `| ${line.map((cell, index) => cell.padEnd(widths[index])).join(" | ")} |`)
    .join("\n");
}
