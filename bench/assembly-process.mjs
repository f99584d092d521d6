// assemble-firmware as Lambda runs it: one process with nothing but its bundle. Tells how much memory each message has taken at most.
import { readFileSync, writeFileSync } from 'node:fs';

/** Linux keeps the highest resident size since this was last written. */
const forgetHighest = () => writeFileSync('/proc/self/clear_refs', '5');
const highest = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1_024;
const context = { awsRequestId: 'bench', functionName: 'bench', getRemainingTimeInMillis: () => 300_000 };

let handler;
process.on('message', async ({ bundle, message }) => {
  handler ??= (await import(bundle)).handler;
  globalThis.gc();
  const idle = process.memoryUsage.rss();
  forgetHighest();
  const [started, usedBefore] = [performance.now(), process.cpuUsage()];
  const record = { messageId: '1', body: JSON.stringify(message) };
  const { batchItemFailures } = await handler({ Records: [record] }, context);
  const { user, system } = process.cpuUsage(usedBefore);
  process.send({
    seconds: (performance.now() - started) / 1_000,
    cpu_seconds: (user + system) / 1e6,
    idle,
    highest: highest(),
    failures: batchItemFailures.length,
  });
});
