import type { Command } from 'commander';
import { type AuthorRoot, all } from '../../../api/src/index.ts';
import { action, addCommand, addGroup } from '../command.ts';
import { UsageError } from '../exit-codes.ts';
import { formatTime } from '../format.ts';
import { readText } from '../input.ts';
import type { Column } from '../output.ts';
import { keyHelp, readSigningKey } from '../signing/signing-key.ts';
import { type SignedRoot, signRoot, toRoot } from '../signing/statement.ts';

const columns: Column<AuthorRoot>[] = [
  { title: 'version', of: ({ version }) => version },
  { title: 'signatures', of: ({ document }) => document.signatures.length },
  { title: 'published', of: ({ created_dt }) => formatTime(created_dt) },
  { title: 'by', of: ({ created_by }) => created_by },
];

/** `scu root …`: which author keys devices believe. */
export const addRootCommands = (program: Command): void => {
  const group = addGroup(program, 'root', 'roots: which author keys devices believe');
  addCommand(group, 'sign <file>', {
    summary: 'sign a root, and print it',
    details:
      '<file>: what the root says, in JSON (docs/devices.md), or a root that others have signed already. Enough root keys of the root before ' +
      'have to sign, and enough of its own. Nothing is sent.',
    examples: ['scu root sign root-2.json --key root-a.pem > half.json', 'scu root sign half.json --key root-b.pem > signed.json'],
  })
    .requiredOption('--key <key>', keyHelp)
    .option('--public-key <file>', 'the public half, with --key exec:')
    .action(
      action<{ key: string; publicKey?: string }, [string]>(async ({ output }, { key, publicKey }, file) => {
        const content = parse(await readText(file), file);
        const root = 'payload' in content ? (content as unknown as SignedRoot) : toRoot(content);
        const signed = await signRoot(root, await readSigningKey(key, publicKey));
        await output.item(signed, () => [JSON.stringify(signed)]);
      }),
    );
  addCommand(group, 'publish <file>', {
    summary: 'publish a signed root for devices',
    examples: ['scu root publish signed.json'],
    asks: true,
  }).action(
    action<object, [string]>(async ({ client, output, confirm }, _, file) => {
      const document = parse(await readText(file), file) as unknown as SignedRoot;
      const { version } = parse(Buffer.from(document.payload ?? '', 'base64url').toString(), file) as { version?: number };
      if (version === undefined) throw new UsageError(`${file} is no root: scu root sign makes one`);
      await confirm(`Publish root ${version}? Devices that take it never go back.`);
      const root = await client().publishAuthorRoot(version, document);
      await output.item(root, () => [`Root ${version} is published.`]);
    }),
  );
  addCommand(group, 'list', { summary: 'list roots', examples: ['scu root list'], hasCsv: true }).action(
    action(async ({ client, output }) => {
      const api = client();
      await output.list(
        all((page) => api.listAuthorRoots(page)),
        columns,
      );
    }),
  );
};

const parse = (text: string, file: string): Record<string, unknown> => {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new UsageError(`${file} is no JSON`);
  }
};
