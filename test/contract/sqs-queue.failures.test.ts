import { describe, expect, it } from 'vitest';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const queueAt = (endpoint: string) => {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  return createSqsQueue<{ n: number }>(`${endpoint}/000000000000/work`, { endpoint, region: 'eu-central-1', credentials });
};

const answer = (body: object) => ({ headers: { 'content-type': 'application/x-amz-json-1.0' }, text: JSON.stringify(body) });
const none = answer({ Successful: [], Failed: [] });

describe('SQS that is broken', () => {
  it('is unavailable when it takes only a part of a batch', async () => {
    const { headers, text } = answer({
      Successful: [],
      Failed: [{ Id: '0', Code: 'InternalError', SenderFault: false, Message: 'no' }],
    });
    const { url } = await startScriptedServer((response) => response.writeHead(200, headers).end(text));
    await expect(queueAt(url).send([{ n: 1 }])).rejects.toMatchObject({ code: 'queue.unavailable' });
  });

  it('is unavailable when a later batch of several is refused', async () => {
    const { headers, text } = answer({ Successful: [], Failed: [{ Id: '0', Code: 'InternalError', SenderFault: false }] });

    const { url, requests } = await startScriptedServer((response, count) => {
      response.writeHead(200, headers).end(count === 1 ? none.text : text);
    });
    const messages = Array.from({ length: 11 }, (_, n) => ({ n }));
    await expect(queueAt(url).send(messages)).rejects.toMatchObject({ code: 'queue.unavailable' });
    expect(requests).toHaveLength(2);
  });

  it('is unavailable when the queue does not exist', async () => {
    const { headers, text } = answer({ __type: 'com.amazonaws.sqs#QueueDoesNotExist', message: 'no' });
    const { url } = await startScriptedServer((response) => response.writeHead(400, headers).end(text));
    await expect(queueAt(url).send([{ n: 1 }])).rejects.toMatchObject({ code: 'queue.unavailable' });
  });

  it('that hangs is given up and sent to again', async () => {
    const { url, requests } = await startScriptedServer((response, count) => {
      if (count > 1) response.writeHead(200, none.headers).end(none.text);
    });
    await queueAt(url).send([{ n: 1 }]);
    expect(requests).toHaveLength(2);
  });
});
