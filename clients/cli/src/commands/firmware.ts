import { openAsBlob } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { all, type FirmwareDownload, type FirmwareListItem, type ListFirmwaresSort, uploadFirmware } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, type Context, collected, wholeNumber } from '../command.ts';
import { CommandError, exitCodes, UsageError } from '../exit-codes.ts';
import { firmwareIdOf, firmwareNameHelp } from '../firmware-name.ts';
import { formatBytes, formatTime } from '../format.ts';
import { limited } from '../limited.ts';
import type { Column } from '../output.ts';
import { bytesShownBy } from '../progress.ts';
import { keyHelp, readSigningKey } from '../signing/signing-key.ts';
import { signDowngrade, signRelease } from '../signing/statement.ts';
import { sortOption } from '../sort-option.ts';

/** `scu firmware …`: the catalogue. */
export const addFirmwareCommands = (program: Command): void => {
  const group = addGroup(program, 'firmware', 'the catalogue: every version that was ever made');
  addUpload(group);
  addSign(group);
  addList(group);
  addView(group);
  addDownload(group);
  addRevisions(group);
  addWithdraw(group);
};

interface UploadOptions {
  type: string;
  version: string;
  comment?: string;
  filename?: string;
  requires?: string[];
  minimumFrom?: number;
  versionNum?: number;
  revision?: string[];
  signWith?: string;
  publicKey?: string;
}

const addUpload = (group: Command): void => {
  addCommand(group, 'upload <file>', {
    summary: 'add a version and upload its file',
    details: 'Waits until the version is registered. May be repeated: the same command again uploads nothing.',
    examples: [
      'scu firmware upload build/mcu.bin --type vega_mcu --version 1.5.0',
      'scu firmware upload mcu.bin --type vega_mcu --version "$TAG" --json',
    ],
  })
    .requiredOption('--type <name>', 'its hardware type')
    .requiredOption('--version <text>', 'its version, as devices report it')
    .option('--comment <text>', 'what is new')
    .option('--filename <name>', 'the name of the file for those who download it; default: that of the file')
    .option('--requires <type@number>', 'what devices have to run of another type: type and lowest version_num; may be repeated', collected)
    .option('--minimum-from <number>', 'the lowest version_num that it may be installed over', wholeNumber)
    .option('--version-num <number>', 'its place in the order of versions; default: as the hardware type says', wholeNumber)
    .option('--revision <text>', 'a revision of hardware that it fits; may be repeated; default: it fits all', collected)
    .addOption(new Option('--sign-with <key>', `sign it as its author: ${keyHelp}`).env('SCU_SIGN_WITH'))
    .addOption(new Option('--public-key <file>', 'the public half, with --sign-with exec:').env('SCU_PUBLIC_KEY'))
    .action(
      action<UploadOptions, [string]>(async ({ client, output, progress, signal }, options, file) => {
        if (!(await stat(file)).isFile()) throw new UsageError(`${file} is no file`);
        const { type: hardware_type, version, comment, minimumFrom, versionNum, revision: revisions } = options;
        const firmware = await uploadFirmware(
          client(),
          {
            ...{ hardware_type, version, filename: options.filename ?? basename(file) },
            ...(comment !== undefined && { comment }),
            ...(options.requires && { requires: options.requires.map(toRequirement) }),
            ...(minimumFrom !== undefined && { minimum_from_version_num: minimumFrom }),
            ...(versionNum !== undefined && { version_num: versionNum }),
            ...(revisions && { revisions }),
          },
          await openAsBlob(file),
          { signal, onProgress: bytesShownBy(progress), ...(await signerOf(options)) },
        );
        progress.clear();
        const { id, size_bytes, sha256 } = firmware;
        await output.item(withoutLink(firmware), () => [
          `Firmware ${id} ${isWaiting(firmware) ? 'waits for signatures of its authors' : 'is available'}: ${hardware_type} ${version}, ${formatBytes(size_bytes)}, SHA-256 ${sha256}`,
        ]);
      }),
    );
};

const isWaiting = ({ status }: FirmwareDownload): boolean => status === 'awaiting_signature';

const signerOf = async ({ signWith, publicKey, type: hardware_type, version }: UploadOptions) => {
  if (signWith === undefined) return {};
  const key = await readSigningKey(signWith, publicKey);
  return {
    sign: async (file: { size_bytes: number; sha256: string }) => [await signRelease({ hardware_type, version, ...file }, key, new Date())],
  };
};

interface SignOptions {
  type: string;
  version: string;
  key: string;
  publicKey?: string;
  authorVersion?: number;
  downgradeUntil?: string;
  firmware?: string;
}

const addSign = (group: Command): void => {
  addCommand(group, 'sign <file>', {
    summary: 'sign a file as its author',
    details: 'Prints what is signed, one statement a line. With --firmware it is sent, too; without it nothing is.',
    examples: [
      'scu firmware sign build/mcu.bin --type vega_mcu --version 1.5.0 --key author.pem',
      'scu firmware sign mcu.bin --type vega_mcu --version 1.4.0 --key author.pem --downgrade-until 2026-12-01T00:00:00Z --firmware 17',
    ],
  })
    .requiredOption('--type <name>', 'its hardware type')
    .requiredOption('--version <text>', 'its version')
    .addOption(new Option('--key <key>', keyHelp).env('SCU_SIGN_WITH').makeOptionMandatory())
    .addOption(new Option('--public-key <file>', 'the public half, with --key exec:').env('SCU_PUBLIC_KEY'))
    .option('--author-version <number>', 'a number of yours that only grows; default: the seconds since 1970', wholeNumber)
    .option('--downgrade-until <time>', 'also say that devices may go back to it until then')
    .option('--firmware <firmware>', `add it to this firmware: ${firmwareNameHelp}`)
    .action(
      action<SignOptions, [string]>(async ({ client, output }, options, path) => {
        const statements = await signFile(path, options);
        if (options.firmware === undefined) return output.item({ signatures: statements }, () => statements);
        const api = client();
        const firmware = await api.signFirmware(await firmwareIdOf(api, options.firmware), { signatures: statements });
        return output.item(firmware, () => [`Firmware ${firmware.id} is ${firmware.status}.`]);
      }),
    );
};

const signFile = async (path: string, { type: hardware_type, version, ...options }: SignOptions): Promise<string[]> => {
  const key = await readSigningKey(options.key, options.publicKey);
  const bytes = await openAsBlob(path);
  const file = { hardware_type, version, size_bytes: bytes.size, sha256: await hashOf(bytes) };
  const now = new Date();
  const author_version = options.authorVersion ?? Math.floor(now.getTime() / 1_000);
  const release = await signRelease(file, key, now, author_version);
  if (options.downgradeUntil === undefined) return [release];
  const until = new Date(options.downgradeUntil);
  if (Number.isNaN(until.getTime())) throw new UsageError(`--downgrade-until ${options.downgradeUntil} is no time: 2026-12-01T00:00:00Z`);
  return [release, await signDowngrade(file, key, now, { until, author_version })];
};

const hashOf = async (file: Blob): Promise<string> => {
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  for await (const chunk of file.stream() as unknown as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex');
};

const toRequirement = (text: string) => {
  const [, hardware_type = '', number = ''] = /^(.+)@(\d+)$/.exec(text) ?? [];
  if (hardware_type === '') throw new UsageError(`--requires ${text}: a hardware type and a version_num are wanted, vega_gsm@12`);
  return { hardware_type, minimum_version_num: Number(number) };
};

/** A signed link lets anybody have the file: it does not belong into the log of a pipeline. */
const withoutLink = ({ download_url: _, download_expires_dt: __, ...firmware }: FirmwareDownload) => firmware;

interface ListOptions {
  type?: string;
  revision?: string;
  status?: FirmwareListItem['status'];
  version?: string;
  sort?: ListFirmwaresSort;
  limit?: number;
}

const columns: Column<FirmwareListItem>[] = [
  { title: 'id', of: ({ id }) => id },
  { title: 'type', of: ({ hardware_type }) => hardware_type },
  { title: 'version', of: ({ version }) => version },
  { title: 'status', of: ({ status }) => status },
  { title: 'size', of: ({ size_bytes }) => formatBytes(size_bytes) },
  { title: 'devices', of: ({ device_count }) => device_count },
  { title: 'created', of: ({ created_dt }) => formatTime(created_dt) },
  { title: 'comment', of: ({ comment }) => comment },
];

const addList = (group: Command): void => {
  addCommand(group, 'list', {
    summary: 'list versions, the newest first',
    examples: ['scu firmware list --type vega_mcu', `scu firmware list --status available --json | jq -r .version`],
    hasCsv: true,
  })
    .option('--type <name>', 'of this hardware type')
    .addOption(
      new Option('--status <status>', 'in this status').choices([
        'awaiting_upload',
        'awaiting_signature',
        'available',
        'lost',
        'withdrawn',
        'rejected',
      ]),
    )
    .option('--version <text>', 'of this version')
    .option('--revision <text>', 'that fit devices of this revision of hardware')
    .addOption(
      sortOption<ListFirmwaresSort>(['version_num_descending', 'version_num_ascending', 'created_dt_descending', 'created_dt_ascending']),
    )
    .option('--limit <number>', 'so many at most', wholeNumber)
    .action(
      action<ListOptions>(async ({ client, output }, { type, status, version, revision, sort, limit }) => {
        const named = { ...(type && { hardware_type: type }), ...(status && { status }), ...(version && { version }) };
        const conditions = { ...named, ...(revision && { revision }), ...(sort && { sort }) };
        const api = client();
        const firmwares = all((page) => api.listFirmwares({ ...conditions, links: false, ...page })) as AsyncIterable<FirmwareListItem>;
        await output.list(limited(firmwares, limit), columns);
      }),
    );
};

const addView = (group: Command): void => {
  addCommand(group, 'view <firmware>', {
    summary: 'show one version',
    details: `<firmware>: ${firmwareNameHelp}`,
    examples: ['scu firmware view vega_mcu@1.5.0', 'scu firmware view 17 --json'],
  }).action(
    action<object, [string]>(async ({ client, output }, _, name) => {
      const api = client();
      const firmware = await api.getFirmware(await firmwareIdOf(api, name));
      await output.item(firmware, () => describeFirmware(firmware, output));
    }),
  );
};

const describeFirmware = (firmware: FirmwareDownload, output: Context['output']): string[] => {
  const { hardware_type, version, requires } = firmware;
  return [
    output.paint('strong', `${hardware_type} ${version}`),
    ...output.fields({
      id: firmware.id,
      status: firmware.status,
      reason: firmware.reason,
      order: firmware.version_num,
      size: formatBytes(firmware.size_bytes),
      'SHA-256': firmware.sha256,
      devices: firmware.device_count,
      requires: requires.map((each) => `${each.hardware_type} from version_num ${each.minimum_version_num}`).join(', '),
      'installed over': firmware.minimum_from_version_num === null ? null : `version_num ${firmware.minimum_from_version_num} and later`,
      'fits revisions': firmware.revisions && (firmware.revisions.join(', ') || 'none'),
      comment: firmware.comment,
      created: `${formatTime(firmware.created_dt)} by ${firmware.created_by}`,
      file: firmware.file_link,
      'signed by': firmware.author_signatures.map(({ owner, kind }) => (kind === 'release' ? owner : `${owner} (${kind})`)).join(', '),
    }),
  ];
};

const addDownload = (group: Command): void => {
  addCommand(group, 'download <firmware>', {
    summary: 'download the file of a version',
    details: `<firmware>: ${firmwareNameHelp}. The file is checked against its SHA-256 before it gets its name.`,
    examples: ['scu firmware download vega_mcu@1.5.0', 'scu firmware download 17 --output - | sha256sum'],
  })
    .option('-o, --output <file>', 'where to; - is standard output. Default: hardware type and version in this folder')
    .action(
      action<{ output?: string }, [string]>(async (context, options, name) => {
        const api = context.client();
        const firmware = await api.getFirmware(await firmwareIdOf(api, name));
        if (firmware.download_url === null)
          throw new CommandError(`Its file cannot be had: the firmware is ${firmware.status}`, exitCodes.refused);
        const file = options.output ?? `${firmware.hardware_type}-${firmware.version.replaceAll(/[^\w.-]/g, '_')}.bin`;
        const response = await fetch(firmware.download_url, { signal: context.signal });
        if (!response.ok || response.body === null) throw new CommandError(`The file storage answers ${response.status}`);
        await save(response.body, { ...firmware, file }, context);
        context.progress.clear();
        if (file !== '-') await context.output.item({ file, ...withoutLink(firmware) }, () => [file]);
      }),
    );
};

const save = async (
  body: ReadableStream<Uint8Array>,
  { file, sha256, size_bytes }: { file: string; sha256: string | null; size_bytes: number | null },
  { output, progress, signal }: Context,
): Promise<void> => {
  const temporary = `${file}.part`;
  const target = file === '-' ? undefined : await open(temporary, 'w');
  const { createHash } = await import('node:crypto');
  const hash = createHash('sha256');
  const show = bytesShownBy(progress);
  let bytes = 0;
  try {
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      hash.update(chunk);
      if (target) await target.writeFile(chunk);
      else await output.write(chunk as never);
      bytes += chunk.byteLength;
      show({ phase: 'downloading', bytes, totalBytes: size_bytes ?? bytes });
    }
    signal.throwIfAborted();
    const found = hash.digest('hex');
    if (found !== sha256) throw new CommandError(`The file is not the one that was registered: its SHA-256 is ${found}, not ${sha256}`);
    await target?.close();
    if (target) await rename(temporary, file);
  } catch (error) {
    await target?.close().catch(() => {});
    if (target) await rm(temporary, { force: true });
    throw signal.aborted ? signal.reason : error;
  }
};

const addRevisions = (group: Command): void => {
  addCommand(group, 'revisions <firmware>', {
    summary: 'change which revisions of hardware a version fits',
    details: `<firmware>: ${firmwareNameHelp}. From then on devices of other revisions are not asked, in running updates either.`,
    examples: ['scu firmware revisions vega_mcu@1.5.0 --revision B2 --revision B3', 'scu firmware revisions vega_mcu@1.5.0 --all'],
  })
    .option('--revision <text>', 'a revision that it fits; may be repeated', collected)
    .option('--all', 'it fits all revisions')
    .action(
      action<{ revision?: string[]; all?: boolean }, [string]>(async ({ client, output }, { revision, all: isAll }, name) => {
        if ((revision === undefined) === !isAll) throw new UsageError('Which revisions? Say --revision, once or more often, or --all');
        const api = client();
        const firmware = await api.editFirmware(await firmwareIdOf(api, name), { revisions: revision ?? null });
        const { id, hardware_type, version, revisions } = firmware;
        const fits = revisions ? revisions.join(', ') || 'no revision' : 'all revisions';
        await output.item(firmware, () => [`Firmware ${id} fits ${fits}: ${hardware_type} ${version}`]);
      }),
    );
};

const addWithdraw = (group: Command): void => {
  addCommand(group, 'withdraw <firmware>', {
    summary: 'withdraw a version: no device is offered it any more',
    details: `<firmware>: ${firmwareNameHelp}. It cannot be taken back. Updates to it ask no further device.`,
    examples: ['scu firmware withdraw vega_mcu@1.5.0 --reason "loses its settings"'],
    asks: true,
  })
    .requiredOption('--reason <text>', 'why; shown with the firmware')
    .action(
      action<{ reason: string }, [string]>(async ({ client, output, confirm }, { reason }, name) => {
        const api = client();
        const { id, hardware_type, version, device_count } = await api.getFirmware(await firmwareIdOf(api, name));
        await confirm(`Withdraw ${hardware_type} ${version}, which ${device_count} devices run?`);
        const firmware = await api.editFirmware(id, { status: 'withdrawn', reason });
        await output.item(firmware, () => [`Firmware ${id} is withdrawn: ${hardware_type} ${version}`]);
      }),
    );
};
