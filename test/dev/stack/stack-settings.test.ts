import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';
import { settleStackSettings } from '../../../dev/stack/stack-settings.ts';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'settings-'));
  file = join(directory, 'settings.json');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const kept = async () => JSON.parse(await readFile(file, 'utf8'));

describe('the settings of a stack', () => {
  it('give every part a port of its own, and are the same the next time', async () => {
    const first = await settleStackSettings(file, undefined);
    expect(new Set(Object.values(first.ports)).size).toBe(7);
    expect(await settleStackSettings(file, undefined)).toEqual(first);
    expect(await kept()).toEqual(first);
  });

  it.each(['lambda', 'postgres', 's3', 'sqs', 'identity', 'simulator'] as const)(
    '--port equal to the remembered port of %s: the API gets it, the other part another one, and all others keep theirs',
    async (part) => {
      const first = await settleStackSettings(file, undefined);
      const second = await settleStackSettings(file, first.ports[part]);
      expect(second.ports).toEqual({ ...first.ports, api: first.ports[part], [part]: second.ports[part] });
      expect(new Set(Object.values(second.ports)).size).toBe(7);
      expect(await settleStackSettings(file, undefined)).toEqual(second);
    },
  );

  it('are mended where an earlier run had given one port to two parts', async () => {
    const first = await settleStackSettings(file, undefined);
    const { api } = first.ports;
    await writeFile(file, JSON.stringify({ ...first, ports: { ...first.ports, s3: api } }));
    const { ports } = await settleStackSettings(file, undefined);
    expect(ports).toEqual({ ...first.ports, s3: ports.s3 });
    expect(ports.s3).not.toBe(api);
  });

  it('are made anew from a file that somebody has cut or emptied', async () => {
    for (const content of ['', '{', '{}', '{"ports": {"api": null}}']) {
      await writeFile(file, content);
      expect(new Set(Object.values((await settleStackSettings(file, undefined)).ports)).size).toBe(7);
    }
  });

  it('refuse a port that another program has, in a sentence, and stay as they were', async () => {
    const first = await settleStackSettings(file, undefined);
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    await expect(settleStackSettings(file, port)).rejects.toThrow(
      `Port ${port} is taken by another program. Choose another one with --port, or leave the option out for any free port.`,
    );
    other.close();
    await once(other, 'close');
    expect(await kept()).toEqual(first);
  });

  it('refuse a port that this user may not listen on, in a sentence', async () => {
    // What the system refuses depends on the machine; that there is no such port is refused on all of them, by the same call.
    await expect(settleStackSettings(file, 65_536)).rejects.toThrow(/^Port 65536 cannot be used by this user \(\w+\)\. Choose another one/);
  });

  it('leave a remembered port to the program that has it now', async () => {
    const first = await settleStackSettings(file, await freePort());
    const other = createServer().listen(first.ports.s3, '127.0.0.1');
    await once(other, 'listening');
    const { ports } = await settleStackSettings(file, undefined);
    other.close();
    await once(other, 'close');
    expect(ports).toEqual({ ...first.ports, s3: ports.s3 });
    expect(ports.s3).not.toBe(first.ports.s3);
  });
});
