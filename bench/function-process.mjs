// A function as Lambda runs it: one process with nothing but its bundle. Makes the calls that it is sent and tells what memory that took.
// Plain JavaScript, because whatever strips types would be measured too.
process.once('message', async ({ bundle, events }) => {
  const { handler } = await import(bundle);
  for (const event of events) {
    const { statusCode, body } = await handler(event, {
      awsRequestId: 'bench',
      functionName: 'bench',
      getRemainingTimeInMillis: () => 29_000,
    });
    if (statusCode !== 200) throw new Error(`${event.httpMethod} ${event.resource} was answered ${statusCode}: ${body}`);
  }
  const { rss, heapUsed } = process.memoryUsage();
  process.send({ rss, heapUsed, highestRss: process.resourceUsage().maxRSS * 1_024 });
  process.disconnect();
  process.exit();
});
