import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startSimulator } from '../../dev/simulator/server.ts';
import { BackendRefusal, BackendUnavailable, type FirmwareCommand } from '../../lib/ports/backend.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const simulator = await startSimulator({ token: 't0ken', scooters: 200, cabinets: 2, install_seconds: 3_600 });
afterAll(() => simulator.close());
const usual = simulator.behaviour();
afterEach(() => void simulator.change(usual));

// Nobody listens there: devices that accepted a command go on trying to download.
const file = { url: 'http://127.0.0.1:9/firmware.bin', sha256: createHash('sha256').update('x').digest('hex'), size_bytes: 1 };

let lastExecution = 0;
const command = (fields: Partial<FirmwareCommand> = {}): FirmwareCommand => {
  lastExecution += 1;
  return {
    execution_id: lastExecution,
    attempt: 1,
    kind: 'scooter',
    external_id: `S-${String((lastExecution % 200) + 1).padStart(5, '0')}`,
    hardware_type: 'vega_mcu',
    version: '2.0.0',
    ...file,
    expires_dt: '2099-01-01T00:00:00.000Z',
    manifest: 'unsigned',
    ...fields,
  };
};

const call = (fields: { timeoutMilliseconds?: number } = {}) => ({
  idempotencyKey: 'dispatch-1',
  requestId: 'request-1',
  timeoutMilliseconds: 5_000,
  ...fields,
});

const simulated = createHttpBackend({ url: simulator.url, token: 't0ken' });
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('a backend that works', () => {
  it('accepts a hundred commands, one outcome each', async () => {
    const commands = Array.from({ length: 100 }, () => command());
    const outcomes = await simulated.sendCommands(commands, call());
    expect(outcomes.map(({ execution_id }) => execution_id)).toEqual(commands.map(({ execution_id }) => execution_id));
    expect(new Set(outcomes.map(({ outcome }) => outcome))).toEqual(new Set(['accepted']));
  });

  it('accepts some and rejects others with a reason', async () => {
    const [known, unknown] = [command(), command({ external_id: 'nobody' })];
    expect(await simulated.sendCommands([known, unknown], call())).toEqual([
      { execution_id: known.execution_id, outcome: 'accepted' },
      { execution_id: unknown.execution_id, outcome: 'rejected', reason: expect.stringMatching(/./) },
    ]);
  });

  it('defers with a reason and a time', async () => {
    simulator.change({ deferral_rate: 1, deferral_min_seconds: 7, deferral_max_seconds: 7 });
    const deferred = command();
    expect(await simulated.sendCommands([deferred], call())).toEqual([
      { execution_id: deferred.execution_id, outcome: 'deferred', reason: expect.stringMatching(/./), retry_after_seconds: 7 },
    ]);
  });

  it('commands a device once, however often the same command comes', async () => {
    const before = simulator.commands().duplicate_commands;
    const same = command();
    const first = await simulated.sendCommands([same], call());
    expect(await simulated.sendCommands([same, same], call())).toEqual([...first, ...first]);
    expect(simulator.commands().duplicate_commands - before).toBe(2);
  });

  it('tells what devices run, and leaves out those it does not know', async () => {
    const devices = await simulated.findVersions('scooter', ['S-00001', 'nobody'], call());
    expect(devices.map(({ external_id }) => external_id)).toEqual(['S-00001']);
    expect(devices[0]?.firmwares).toContainEqual(expect.objectContaining({ hardware_type: 'vega_mcu', version: expect.any(String) }));
  });

  it('names every device in pages, each once', async () => {
    const names = new Set<string>();
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof simulated.listDevices>> = await simulated.listDevices({ cursor, limit: 90 }, call());
      for (const { kind, external_id } of page.items) names.add(`${kind} ${external_id}`);
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(names.size).toBe(202);
  });
});

describe('a backend that does not work is unavailable', () => {
  it.each([
    ['503', 2],
    ['429', 2],
    ['500', undefined],
  ] as const)('when it answers %s, for the time it asks for', async (outage, retryAfterSeconds) => {
    simulator.change({ outage });
    const error = await failureOf(simulated.sendCommands([command()], call()));
    expect(error).toBeInstanceOf(BackendUnavailable);
    expect(error).toMatchObject({ retryAfterSeconds, message: `backend answered ${outage}` });
  });

  it('when it takes the call and never answers', async () => {
    simulator.change({ outage: 'hang' });
    const error = await failureOf(simulated.sendCommands([command()], call({ timeoutMilliseconds: 50 })));
    expect(error).toBeInstanceOf(BackendUnavailable);
    expect(error).toMatchObject({ message: 'backend did not answer in time' });
  });

  it('when it answers too late; the same command sent again is answered as if it were the first', async () => {
    simulator.change({ slow_ms: 600_000 });
    const late = command();
    expect(await failureOf(simulated.sendCommands([late], call({ timeoutMilliseconds: 50 })))).toBeInstanceOf(BackendUnavailable);
    simulator.change(usual);
    expect(await simulated.sendCommands([late], call())).toEqual([{ execution_id: late.execution_id, outcome: 'accepted' }]);
  });

  it('when the body of its answer never ends', async () => {
    const { url } = await startScriptedServer((response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.write('{"results":[');
    });
    const backend = createHttpBackend({ url, token: 't0ken' });
    expect(await failureOf(backend.sendCommands([command()], call({ timeoutMilliseconds: 50 })))).toBeInstanceOf(BackendUnavailable);
  });

  it('when the token is wrong, which somebody has to mend', async () => {
    const backend = createHttpBackend({ url: simulator.url, token: 'an-old-one' });
    const error = await failureOf(backend.sendCommands([command()], call()));
    expect(error).toBeInstanceOf(BackendUnavailable);
    expect(String(error)).not.toContain('an-old-one');
  });

  it('when nobody listens', async () => {
    const backend = createHttpBackend({ url: 'http://127.0.0.1:9', token: 't0ken' });
    expect(await failureOf(backend.sendCommands([command()], call()))).toBeInstanceOf(BackendUnavailable);
  });

  it('when there is no time left to ask', async () => {
    for (const timeoutMilliseconds of [0, -1]) {
      expect(await failureOf(simulated.sendCommands([command()], call({ timeoutMilliseconds })))).toBeInstanceOf(BackendUnavailable);
    }
  });

  it.each([
    ['no JSON', '<html>Bad gateway</html>'],
    ['nothing', ''],
    ['null', 'null'],
    ['a list', '[]'],
    ['no results', '{}'],
    ['a result without an id', '{"results":[{"outcome":"accepted"}]}'],
    ['an id that is text', '{"results":[{"execution_id":"1","outcome":"accepted"}]}'],
    ['more results than anybody asked for', JSON.stringify({ results: Array.from({ length: 2_001 }, () => null) })],
  ])('when it answers %s, and the text says that the answer is wrong and where', async (_, body) => {
    const { url } = await startScriptedServer((response) => response.writeHead(200, { 'content-type': 'application/json' }).end(body));
    const backend = createHttpBackend({ url, token: 't0ken' });
    const error = await failureOf(backend.sendCommands([command()], call()));
    expect(error).toBeInstanceOf(BackendUnavailable);
    expect(String(error)).toMatch(/something else than its contract says: (it is no JSON|answer|results\.0\.execution_id)/);
  });

  it('when its answer has more bytes than a function can hold: it is not read to its end', async () => {
    const chunk = Buffer.alloc(2 ** 20, ' ');
    let written = 0;
    const { url } = await startScriptedServer(async (response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      // 200 MiB, as fast as they are taken.
      const stop = new Promise((resolve) => response.once('close', resolve));
      for (; written < 200 && !response.destroyed; written += 1) {
        if (!response.write(chunk)) await Promise.race([stop, new Promise((resolve) => response.once('drain', resolve))]);
      }
    });
    const error = await failureOf(
      createHttpBackend({ url, token: 't0ken' }).sendCommands([command()], call({ timeoutMilliseconds: 20_000 })),
    );
    expect(error).toMatchObject({ message: 'backend answered something else than its contract says: it has more than 8 MiB' });
    expect(written).toBeLessThan(100);
  });

  it('when it answers with a compressed text that is small and becomes large', async () => {
    const body = gzipSync(Buffer.alloc(64 * 2 ** 20, ' '));
    const { url } = await startScriptedServer((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(body));
    const error = await failureOf(createHttpBackend({ url, token: 't0ken' }).findVersions('scooter', ['S-1'], call()));
    expect(error).toMatchObject({ message: 'backend answered something else than its contract says: it has more than 8 MiB' });
  });

  it.each([300, 304, 307, 403, 404, 409, 418, 422, 451])(
    'when it answers %i, which its contract gives no meaning: nobody is given up',
    async (status) => {
      const { url } = await startScriptedServer((response) => response.writeHead(status, { location: 'http://127.0.0.1:9/' }).end());
      const error = await failureOf(createHttpBackend({ url, token: 't0ken' }).sendCommands([command()], call()));
      expect(error).toMatchObject({ name: 'BackendUnavailable', message: `backend answered ${status}` });
    },
  );

  it('when nobody listens, and the text says so, of that alone', async () => {
    const textOf = async (url: string, token = 't0ken') => {
      const error = await failureOf(createHttpBackend({ url, token }).sendCommands([command()], call()));
      return (error as Error).message;
    };
    const refusing = await startScriptedServer((response) => response.writeHead(401).end());
    expect(await textOf('http://127.0.0.1:9')).toBe('backend cannot be reached');
    expect(await textOf(refusing.url)).toBe('backend answered 401: it refuses the token, which was read again just now');
    // Nobody answers for the secret: there are no credentials, and no Secrets Manager at this address.
    process.env['AWS_ENDPOINT_URL'] = 'http://127.0.0.1:9';
    const unreadable = await textOf(refusing.url, 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:token');
    delete process.env['AWS_ENDPOINT_URL'];
    expect(unreadable).toBe('the token for the backend cannot be read');
  });

  it('when it sends elsewhere, so that the token goes nowhere else', async () => {
    const elsewhere = await startScriptedServer((response) => response.end('{"results":[]}'));
    const { url } = await startScriptedServer((response) => response.writeHead(307, { location: elsewhere.url }).end());
    const backend = createHttpBackend({ url, token: 't0ken' });
    expect(await failureOf(backend.sendCommands([command()], call()))).toBeInstanceOf(BackendUnavailable);
    expect(elsewhere.requests).toEqual([]);
  });

  it.each([
    ['120', 120],
    ['0', 0],
    ['121', 120],
    ['31536000', 120],
    ['Fri, 01 Jan 2100 00:00:00 GMT', 120],
    ['Thu, 01 Jan 1970 00:00:00 GMT', undefined],
    ['soon', undefined],
    ['-5', undefined],
    ['', undefined],
  ])('and Retry-After %j means so many seconds: %s', async (header, retryAfterSeconds) => {
    const { url } = await startScriptedServer((response) => response.writeHead(503, { 'retry-after': header }).end());
    const error = await failureOf(createHttpBackend({ url, token: 't0ken' }).sendCommands([command()], call()));
    expect(error).toMatchObject({ name: 'BackendUnavailable', retryAfterSeconds });
  });
});

describe('a backend that refuses', () => {
  it.each([
    ['what is not well-formed', { size_bytes: 0 }],
    ['a device without an id', { external_id: '' }],
    ['a link that is none', { url: 'file:///etc/passwd' }],
  ])('%s does so for good, and commands nobody', async (_, fields) => {
    const good = command();
    const error = await failureOf(simulated.sendCommands([good, command(fields)], call()));
    expect(error).toBeInstanceOf(BackendRefusal);
    expect(error).toMatchObject({ message: 'backend answered 400' });
    const duplicates = simulator.commands().duplicate_commands;
    await simulated.sendCommands([good], call());
    expect(simulator.commands().duplicate_commands).toBe(duplicates);
  });

  it.each([400, 413])('with %i does so for good', async (status) => {
    const { url } = await startScriptedServer((response) => response.writeHead(status).end('{}'));
    const backend = createHttpBackend({ url, token: 't0ken' });
    expect(await failureOf(backend.sendCommands([command()], call()))).toBeInstanceOf(BackendRefusal);
  });
});

describe('an item that is odd', () => {
  const outcomesOf = async (...results: unknown[]) => {
    const { url } = await startScriptedServer((response) => response.end(JSON.stringify({ results })));
    return createHttpBackend({ url, token: 't0ken' }).sendCommands([command()], call());
  };

  it.each([
    ['into the past', -1],
    ['for a week and a second', 604_801],
    ['for ever', 1e300],
    ['without a time', undefined],
  ])('a deferral %s is a deferral of that device for a minute, and nothing to the others', async (_, retry_after_seconds) => {
    const odd = { execution_id: 2, outcome: 'deferred', reason: 'in a ride', retry_after_seconds };
    expect(
      await outcomesOf({ execution_id: 1, outcome: 'accepted' }, odd, { execution_id: 3, outcome: 'rejected', reason: 'scrapped' }),
    ).toEqual([
      { execution_id: 1, outcome: 'accepted' },
      {
        execution_id: 2,
        outcome: 'deferred',
        reason: expect.stringMatching(/wrong: result\.retry_after_seconds: /),
        retry_after_seconds: 60,
      },
      { execution_id: 3, outcome: 'rejected', reason: 'scrapped' },
    ]);
  });

  it('an outcome that nobody knows is unclear; a result of no execution is left out', async () => {
    const unknown = { execution_id: 2, outcome: 'maybe' };
    expect(await outcomesOf({ execution_id: 1, outcome: 'accepted' }, unknown, { outcome: 'accepted' }, null)).toEqual([
      { execution_id: 1, outcome: 'accepted' },
      { execution_id: 2, outcome: 'unclear', reason: expect.stringMatching(/wrong: result\.outcome: /) },
    ]);
  });

  it('a device whose versions are odd is left out of a look-up, and of a list', async () => {
    const good = { external_id: 'S-1', version: 1, firmwares: [], kind: 'scooter' };
    const answer = JSON.stringify({ devices: [good, { ...good, version: '1' }], items: [good, null], next_cursor: null });
    const { url } = await startScriptedServer((response) => response.end(answer));
    const backend = createHttpBackend({ url, token: 't0ken' });
    expect(await backend.findVersions('scooter', ['S-1'], call())).toMatchObject([{ external_id: 'S-1' }]);
    expect(await backend.listDevices({ cursor: null, limit: 10 }, call())).toMatchObject({ items: [{ external_id: 'S-1' }] });
  });

  it('when nothing else was answered, the text names the device and the field', async () => {
    const devices = [{ external_id: 'S-00012', version: 1, firmwares: 'none' }];
    const { url } = await startScriptedServer((response) => response.end(JSON.stringify({ devices })));
    const error = await failureOf(createHttpBackend({ url, token: 't0ken' }).findVersions('scooter', ['S-00012'], call()));
    expect(error).toMatchObject({ message: expect.stringContaining('contract says: devices.0 (S-00012).firmwares: ') });
  });
});

describe('a call', () => {
  it('carries the token, the key that makes repeating it safe, the request id and the commands', async () => {
    const { url, requests } = await startScriptedServer((response) => response.end('{"results":[]}'));
    const sent = command();
    await createHttpBackend({ url, token: 't0ken' }).sendCommands([sent], call());
    expect(requests).toMatchObject([
      {
        method: 'POST',
        path: '/v1/firmware-commands',
        headers: {
          authorization: 'Bearer t0ken',
          'content-type': 'application/json',
          'idempotency-key': 'dispatch-1',
          'x-request-id': 'request-1',
        },
      },
    ]);
    expect(JSON.parse(requests[0]?.body ?? '')).toEqual({ commands: [sent] });
  });

  it.each(['/fleet/api', '/fleet/api/'])('goes to the path that the backend’s address has: %s', async (base) => {
    const { url, requests } = await startScriptedServer((response) => response.end('{"results":[]}'));
    await createHttpBackend({ url: url + base, token: 't0ken' }).sendCommands([command()], call());
    expect(requests.map(({ path }) => path)).toEqual(['/fleet/api/v1/firmware-commands']);
  });

  it('may be answered with fields that nobody knows yet, and with reasons that no database could store', async () => {
    const results = [{ execution_id: 1, outcome: 'rejected', reason: 'no\u0000 such 🛴', since: '2026' }];
    const { url } = await startScriptedServer((response) => response.end(JSON.stringify({ results, more: true })));
    expect(await createHttpBackend({ url, token: 't0ken' }).sendCommands([command()], call())).toEqual([
      { execution_id: 1, outcome: 'rejected', reason: 'no such 🛴' },
    ]);
  });
});
