// What making packages costs: bytes per second, memory, requests to S3; compared with the system's cpio and the same bytes in local files.
import { fork, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { stop as stopBundler } from 'esbuild';
import { startS3Server } from '../dev/local-aws/s3-server.ts';
import { startPostgres } from '../dev/stack/postgres.ts';
import { withUndo } from '../dev/stack/undo.ts';
import { AssemblyRequest } from '../lib/assembly/assembly.ts';
import { requestAssembly } from '../lib/assembly/request-assembly.ts';
import { createDatabase } from '../lib/db/database.ts';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { insertDraft, makeAvailable } from '../lib/firmware/draft-queries.ts';
import { createS3Storage } from '../lib/ports/s3-storage.ts';
import { build } from '../ops/build.ts';
import { createPackageKeys } from '../ops/signing-keys.ts';

export interface AssemblyFigures {
  mebibytes: number;
  seconds: number;
  /** Of the function's process. */
  cpu_seconds: number;
  cpio_seconds: number | undefined;
  requests: number;
  idle: number;
  highest: number;
}

const mebibyte = 1024 ** 2;
const bucket = 'bench';
const credentials = { accessKeyId: 'bench', secretAccessKey: 'bench-secret' };
/** A small package first: it opens connections and loads modules, before anything is measured. */
const warmUpMebibytes = 0.003;

/** @param sizes of packages in MiB; each has three parts. */
export const benchAssembly = (sizes: readonly number[] = [1, 50, 600]): Promise<AssemblyFigures[]> =>
  withUndo(async (undo) => {
    const directory = await mkdtemp(join(tmpdir(), 'bench-assembly-'));
    undo.push(() => rm(directory, { recursive: true }));
    const postgres = await startPostgres({});
    undo.push(postgres.stop);
    const databaseUrl = await postgres.createDatabase('assembly');
    await migrateToLatest(databaseUrl);
    const db = createDatabase({ url: databaseUrl, maxConnections: 1 });
    undo.push(() => db.destroy());
    const server = await startS3Server({ directory: join(directory, 's3'), credentials, buckets: [bucket] });
    undo.push(server.close);
    const counter = countRequests(server.port);
    undo.push(counter.close);
    const client = new S3Client({
      ...{ endpoint: server.url, region: 'eu-central-1', forcePathStyle: true, credentials },
      ...{ requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' },
    });
    undo.push(() => client.destroy());
    const storage = createS3Storage({ bucket, now: () => new Date() });
    await build({ directory: join(directory, 'build') });
    await stopBundler();
    const bundle = pathToFileURL(join(directory, 'build', 'functions', 'assemble-firmware', 'index.js')).href;
    const child = fork(fileURLToPath(new URL('assembly-process.mjs', import.meta.url)), {
      // As Lambda sets them for 1,024 MB; the last one so that what is idle is known.
      execArgv: ['--max-semi-space-size=51', '--max-old-space-size=921', '--expose-gc'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: {
        ...{ PATH: process.env['PATH'], DATABASE_URL: databaseUrl, FIRMWARE_BUCKET: bucket, ...createPackageKeys() },
        ...{ AWS_ENDPOINT_URL_S3: server.url, AWS_REGION: 'eu-central-1', POWERTOOLS_METRICS_DISABLED: 'true' },
        ...{ AWS_ACCESS_KEY_ID: credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey },
        ASSEMBLIES_QUEUE_URL: 'http://127.0.0.1:9/queue',
      },
    });
    undo.push(() => child.kill());

    const figures: AssemblyFigures[] = [];
    for (const mebibytes of [warmUpMebibytes, ...sizes]) {
      const files = join(directory, String(mebibytes));
      await mkdir(files);
      const parts: { firmware_id: number }[] = [];
      for (const hardware_type of ['vega_mcu', 'vega_gsm', 'audio_lock']) {
        const size = Math.round((mebibytes * mebibyte) / 3);
        const hashes = { sha256: createHash('sha256'), sha1: createHash('sha1'), md5: createHash('md5') };
        for await (const chunk of generated(size)) for (const hash of Object.values(hashes)) hash.update(chunk);
        const version = `bench-${mebibytes}`;
        const object_key = `firmwares/${hardware_type}/${version}/firmware.bin`;
        const Body = Readable.from(generated(size), { objectMode: false });
        const { VersionId = '' } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: object_key, Body, ContentLength: size }));
        const created_dt = new Date();
        const draft = { hardware_type, version, object_key, size_bytes: size, sha256: null, comment: '', created_by: 'bench', created_dt };
        const { id } = (await insertDraft(db, draft)) ?? { id: 0 };
        const file_link = storage.toLink({ key: object_key, version_id: VersionId });
        const digest = { sha256: hashes.sha256.digest('hex'), sha1: hashes.sha1.digest('hex'), md5: hashes.md5.digest('hex') };
        await makeAvailable(db, { id, object_key }, { file_link, size_bytes: size, ...digest });
        parts.push({ firmware_id: id });
        await pipeline(generated(size), createWriteStream(join(files, `${hardware_type}.bin`)));
      }
      const request = AssemblyRequest.parse({ hardware_type: 'cabinet', version: `bench-${mebibytes}`, parts });
      const by = { idempotency_key: undefined, created_by: 'bench', request_id: 'bench' };
      const deps = { db, now: () => new Date(), assemblies: { send: async () => {} } };
      const { id, created_dt } = await requestAssembly(deps, { ...request, ...by });
      counter.requests = 0;
      child.send({ bundle, message: { assembly_id: id, created_dt } });
      const [measured] = (await once(child, 'message')) as [
        Omit<AssemblyFigures, 'mebibytes' | 'requests' | 'cpio_seconds'> & { failures: number },
      ];
      if (measured.failures > 0) throw new Error(`The package of ${mebibytes} MiB was not made`);
      const { requests } = counter;
      figures.push({ mebibytes, requests, cpio_seconds: await runCpio(files), ...measured });
    }
    return figures.slice(1);
  });

/** The same bytes each time, and hard to compress. */
async function* generated(size: number): AsyncGenerator<Uint8Array> {
  const block = randomBlock;
  for (let at = 0; at < size; at += block.length) yield block.subarray(0, Math.min(block.length, size - at));
}
const randomBlock = randomBytes(mebibyte);

/** Counts what comes to S3. A server in between would take as long as S3 itself. */
const countRequests = (port: number) => {
  const counter = { requests: 0, close: () => unsubscribe(channel, count) };
  const channel = 'http.server.request.start';
  const count = (message: unknown) => {
    if ((message as { socket: Socket }).socket.localPort === port) counter.requests += 1;
  };
  subscribe(channel, count);
  return counter;
};

/** Seconds; undefined without cpio. */
const runCpio = async (directory: string): Promise<number | undefined> => {
  if (!['/usr/bin/cpio', '/bin/cpio'].some(existsSync)) return undefined;
  const started = performance.now();
  const child = spawn('sh', ['-c', 'ls | cpio -o -H newc --quiet > ../package.cpio'], { cwd: directory, stdio: 'ignore' });
  await once(child, 'close');
  return (performance.now() - started) / 1_000;
};

export function printAssembly(figures: readonly AssemblyFigures[]): void {
  console.log(
    '| package MiB | MB/s | per second of processor MB | cpio MB/s | ratio | requests to S3 | idle MiB | at most MiB | above idle MiB |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  for (const { mebibytes, seconds, cpu_seconds, cpio_seconds = Number.NaN, requests, idle, highest } of figures) {
    const speed = (each: number) => ((mebibytes * mebibyte) / 1e6 / each).toFixed(0);
    const [low, high] = [idle, highest].map((bytes) => bytes / mebibyte) as [number, number];
    const memory = [low, high, high - low].map((value) => value.toFixed(0));
    console.log(
      `| ${[mebibytes, speed(seconds), speed(cpu_seconds), speed(cpio_seconds), (cpio_seconds / seconds).toFixed(2), requests, ...memory].join(' | ')} |`,
    );
  }
}

if (import.meta.main) printAssembly(await benchAssembly());
