// Whether the program of this container works: it answers at HEALTH_URL, and not that it is broken. A page that wants a
// token first is one that works.

const timeoutMs = 4_000;
const { HEALTH_URL: url = "" } = process.env;
try {
  const { status } = await fetch(url, {
    redirect: "manual",
    signal: AbortSignal.timeout(timeoutMs),
  });
  console.log(`${url} answers ${status}`);
  process.exitCode = status < 500 ? 0 : 1;
} catch (error) {
  console.log(`${url} does not answer: ${error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
