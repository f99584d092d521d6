import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SignedRoot } from '../../clients/cli/src/signing/statement.ts';

export interface Offer {
  manifest: string;
  bytes: Uint8Array;
}

export interface Heard {
  execution: string;
  result: { finished: string };
  details: string[];
}

/**
 * Somebody in the place of the service: offers each device that polls one deployment after the other, each until the device has said how it
 * ended. `heard` has what the device said, `downloads` how often it asked for a file.
 */
export async function startImpostor({ offers = [], roots = [] }: { offers?: Offer[]; roots?: SignedRoot[] } = {}) {
  const heard: Heard[] = [];
  const impostor = { url: '', heard, downloads: 0, polls: 0, offers, roots, close: () => {} };
  const ended = () => heard.filter(({ execution }) => execution !== 'proceeding').length;
  const answerTo = (path: string, host: string): unknown => {
    const base = `http://${host}`;
    if (path.startsWith('/v1/author-roots')) {
      const after = Number(new URL(path, base).searchParams.get('after_version'));
      return { items: impostor.roots.filter((root) => versionOf(root) > after).map((document) => ({ document })) };
    }
    const offer = offers[ended()];
    if (path.includes('/deploymentBase/')) {
      const artifacts = [{ _links: { download: { href: `${base}/file` } } }];
      return { id: String(ended() + 1), deployment: { chunks: [{ artifacts, metadata: [{ key: 'manifest', value: offer?.manifest }] }] } };
    }
    impostor.polls += 1;
    const _links = offer && { deploymentBase: { href: `${base}${path}/deploymentBase/${ended() + 1}` } };
    return { config: { polling: { sleep: '00:00:00' } }, _links };
  };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (request.method === 'POST') heard.push(JSON.parse(Buffer.concat(chunks).toString()).status);
    if (request.url !== '/file') return response.end(JSON.stringify(answerTo(request.url ?? '', request.headers.host ?? '')));
    impostor.downloads += 1;
    return response.end(offers[ended()]?.bytes);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  impostor.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  impostor.close = () => server.close();
  return impostor;
}

const versionOf = ({ payload }: SignedRoot): number => JSON.parse(Buffer.from(payload, 'base64url').toString()).version;
