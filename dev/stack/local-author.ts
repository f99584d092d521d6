// The author of the firmware of `npm start`. In real life these keys are on machines of their own, and never where the service runs
// (docs/devices.md); here they only show what devices do that were made with a root.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../clients/api/src/index.ts';
import { readSigningKey, type SigningKey } from '../../clients/cli/src/signing/signing-key.ts';
import { type SignedFile, type SignedRoot, signRelease, signRoot, toRoot } from '../../clients/cli/src/signing/statement.ts';
import { readPrivateJson, writePrivateFile } from '../../ops/private-file.ts';
import { Root } from '../simulator/author-verifier.ts';

const OWNER = 'local-author';
/** `npm start` is for trying things out; nobody keeps it for so long. */
const YEARS = 10;

export const authorKeyFile = (directory: string): string => join(directory, 'author.pem');

export interface LocalAuthor {
  /** For devices when they are made. */
  root: Root;
  /** Has the service demand and believe the author's signature; `approver` is somebody else, who approves a new key where that is needed. May be repeated. */
  introduce(api: Client, approver: Client): Promise<void>;
  /** What the author says about a file. */
  sign(file: SignedFile): Promise<string[]>;
}

/** With the keys of an earlier start, if there are any in this folder, so that devices of that time still believe them. */
export async function keepLocalAuthor(directory: string, hardware_types: readonly string[]): Promise<LocalAuthor> {
  const key = await keepKey(authorKeyFile(directory));
  const document = await keepRoot(join(directory, 'author-root.json'), { key, hardware_types });
  return {
    root: Root.parse(JSON.parse(Buffer.from(document.payload, 'base64url').toString('utf8'))),
    async introduce(api, approver) {
      const added = { owner: OWNER, public_key: key.publicKey as never, hardware_types: [...hardware_types] };
      const { id, needs_approval, approved_dt } = await api.addAuthorKey(added);
      if (needs_approval && approved_dt === null) await approver.approveAuthorKey(id);
      await api.publishAuthorRoot(1, document);
      for (const name of hardware_types) await api.changeHardwareType(name, { author_signatures_required: 1 });
    },
    sign: async (file) => [await signRelease(file, key, new Date())],
  };
}

const keepKey = async (file: string): Promise<SigningKey> => {
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('ed25519');
    writePrivateFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  }
  return readSigningKey(file);
};

const keepRoot = async (file: string, { key, hardware_types }: { key: SigningKey; hardware_types: readonly string[] }) => {
  const kept = readPrivateJson<SignedRoot>(file);
  if (kept) return kept;
  const rootKey = await keepKey(`${file.replace(/\.json$/, '')}.pem`);
  const begin = Math.floor(Date.now() / 1_000);
  const claims = {
    ...{ version: 1, iat: begin, exp: begin + YEARS * 365 * 86_400, root_keys: [rootKey.publicKey], root_threshold: 1 },
    authors: [{ owner: OWNER, keys: [key.publicKey], hardware_types }],
    signatures_required: Object.fromEntries(hardware_types.map((type) => [type, 1])),
  };
  const document = await signRoot(toRoot(claims), rootKey);
  writePrivateFile(file, JSON.stringify(document));
  return document;
};
