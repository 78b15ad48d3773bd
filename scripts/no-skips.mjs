// A reporter of node's test runner: prints the tests that were skipped, and makes the run fail for them. Where everything is
// to be installed, a skipped test is one that nobody noticed to be missing. What a machine cannot have is no fault, nor
// what another implementation does not.

// biome-ignore lint/style/noDefaultExport: that is how node finds a reporter
export default async function* noSkips(events) {
  for await (const { type, data } of events) {
    if (type === "test:pass" && isFault(data.skip)) {
      process.exitCode = 1;
      const reason = data.skip === true ? "" : `: ${data.skip}`;
      yield `not allowed to be skipped: ${data.name}${reason}\n`;
    }
  }
}

function isFault(skip) {
  return skip !== undefined && skip !== false && !/^this (?:machine|stack)/.test(`${skip}`);
}
