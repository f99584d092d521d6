import { generateKeyPairSync } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type AuthorKey, all } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, collected } from '../command.ts';
import { UsageError } from '../exit-codes.ts';
import { formatTime } from '../format.ts';
import type { Column } from '../output.ts';
import { keyIdOf, readPublicKey } from '../signing/signing-key.ts';

const columns: Column<AuthorKey>[] = [
  { title: 'id', of: ({ id }) => id },
  { title: 'owner', of: ({ owner }) => owner },
  { title: 'signs', of: ({ hardware_types }) => hardware_types.join(', ') },
  { title: 'until', of: ({ valid_until_dt }) => formatTime(valid_until_dt) },
  { title: 'waits for approval', of: ({ needs_approval, approved_dt }) => (needs_approval && approved_dt === null ? 'yes' : null) },
  { title: 'revoked', of: ({ revoked_dt }) => formatTime(revoked_dt) },
  { title: 'key', of: ({ kid }) => kid },
];

/** `scu key …`: with which keys firmware is signed by those who make it. */
export const addKeyCommands = (program: Command): void => {
  const group = addGroup(program, 'key', 'keys of those who make firmware');
  addCommand(group, 'new <file>', {
    summary: 'make a key pair on this machine',
    details: 'Writes the private key to <file>, which only you may read, and the public one to <file>.pub. Nothing is sent.',
    examples: ['scu key new author.pem'],
  }).action(
    action<object, [string]>(async ({ output }, _, file) => {
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      await writeNew(file, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 0o600);
      await writeNew(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }).toString(), 0o644);
      const kid = keyIdOf(await readPublicKey(`${file}.pub`));
      await output.item({ file, public_key: `${file}.pub`, kid }, () => [`${file} is the private key, ${file}.pub the public one: ${kid}`]);
    }),
  );
  addCommand(group, 'list', { summary: 'list author keys', examples: ['scu key list'], hasCsv: true }).action(
    action(async ({ client, output }) => {
      const api = client();
      await output.list(
        all((page) => api.listAuthorKeys(page)),
        columns,
      );
    }),
  );
  addCommand(group, 'add <file>', {
    summary: 'have the service believe a key',
    details: '<file>: the public key in PEM or JWK. Of a private one only the public half is sent.',
    examples: ['scu key add author.pem.pub --owner ada --type vega_mcu --type vega_gsm'],
  })
    .requiredOption('--owner <name>', 'whose key it is')
    .requiredOption('--type <name>', 'a hardware type that it may sign; may be repeated', collected)
    .option('--until <time>', 'when it ends, for example 2028-01-01T00:00:00Z')
    .action(
      action<{ owner: string; type: string[]; until?: string }, [string]>(async ({ client, output }, { owner, type, until }, file) => {
        const key = await client().addAuthorKey({
          ...{ owner, hardware_types: type, public_key: (await readPublicKey(file)) as never },
          ...(until !== undefined && { valid_until_dt: until }),
        });
        const waits = key.needs_approval ? `; somebody else has to approve it: scu key approve ${key.id}` : '';
        await output.item(key, () => [`Author key ${key.id} of ${owner} is added: ${key.kid}${waits}`]);
      }),
    );
  addCommand(group, 'approve <id>', {
    summary: 'have the service believe a key that somebody else has added',
    examples: ['scu key approve 3'],
  }).action(
    action<object, [string]>(async ({ client, output }, _, id) => {
      const key = await client().approveAuthorKey(authorKeyIdOf(id));
      await output.item(key, () => [`Author key ${id} of ${key.owner} is believed.`]);
    }),
  );
  addCommand(group, 'revoke <id>', {
    summary: 'have the service believe a key no longer, for good',
    examples: ['scu key revoke 3 --reason "laptop was stolen"'],
    asks: true,
  })
    .requiredOption('--reason <text>', 'why; shown with the key')
    .action(
      action<{ reason: string }, [string]>(async ({ client, output, confirm }, { reason }, id) => {
        const number = authorKeyIdOf(id);
        await confirm(`Revoke author key ${id}? Devices go by the root: publish one without it, too.`);
        const key = await client().revokeAuthorKey(number, { reason });
        await output.item(key, () => [`Author key ${id} of ${key.owner} is revoked.`]);
      }),
    );
};

const authorKeyIdOf = (id: string): number => {
  if (!/^\d+$/.test(id)) throw new UsageError(`${id} is no id: scu key list shows them`);
  return Number(id);
};

/** @throws when the file is there already: a key is never overwritten. */
const writeNew = async (file: string, text: string, mode: number): Promise<void> => {
  try {
    await writeFile(file, text, { mode, flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw new UsageError(`${file} is there already`);
    throw error;
  }
};
