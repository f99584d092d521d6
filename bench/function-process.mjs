// A function as Lambda runs it: one process with nothing but its bundle. Makes the calls that it is sent and tells what memory that took, and
// how long after its start it had answered the first. Plain JavaScript, because whatever strips types would be measured too.
import { readFileSync } from 'node:fs';

/** Of this program alone: getrusage() begins with what the process that started it once had. */
const highestRss = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1_024;

process.once('message', async ({ bundle, events }) => {
  const { handler } = await import(bundle);
  let firstAnswer;
  for (const event of events) {
    const answer = await handler(event, {
      awsRequestId: 'bench',
      functionName: 'bench',
      getRemainingTimeInMillis: () => 29_000,
    });
    firstAnswer ??= performance.now(); // since the process was made
    const { statusCode = 200, body, batchItemFailures = [] } = answer ?? {};
    if (statusCode > 299 || batchItemFailures.length > 0)
      throw new Error(`${event.httpMethod ?? 'A message'} ${event.resource ?? JSON.stringify(event)} failed: ${statusCode} ${body}`);
  }
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ firstAnswer, rss, heapUsed, highestRss: highestRss() });
  process.disconnect();
  process.exit();
});
