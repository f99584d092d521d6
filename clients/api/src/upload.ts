import type { Client } from './client.ts';
import type { FirmwareDownload, FirmwareUpload, UploadFirmwareBody } from './generated.ts';
import { putFile, sha256Of } from './platform-node.ts';
import { wait } from './request.ts';

/** Puts a file at a signed link and answers what the storage said. */
export type PutFile = (
  link: { url: string; headers: Record<string, string> },
  file: Blob,
  options: { onBytes: (bytes: number) => void; signal?: AbortSignal | undefined },
) => Promise<{ status: number; text: string }>;

export interface UploadProgress {
  phase: 'hashing' | 'uploading' | 'registering';
  /** Of the file, in this phase. */
  bytes: number;
  totalBytes: number;
}

export interface UploadOptions {
  /** In hexadecimal digits, where it is known already. Otherwise the file is read twice. */
  sha256?: string | undefined;
  onProgress?: ((progress: UploadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
  /** Signs what is uploaded, once its hash is known: statements of its authors, each a JWS. */
  sign?: ((file: { size_bytes: number; sha256: string }) => Promise<string[]>) | undefined;
  /** How long the service may take to register the file, in seconds. Default 300. */
  registrationSeconds?: number | undefined;
}

/** The storage refuses the file, or the service has rejected what it found there. */
export class UploadRefused extends Error {
  override readonly name = 'UploadRefused';
  /** The storage's status; null: the service has rejected the file. */
  readonly status: number | null;

  constructor(message: string, status: number | null) {
    super(message);
    this.status = status;
  }
}

/** Somebody has put the file there already: an upload that was repeated. */
const alreadyThere = 412;
const registrationPollSeconds = 1;

/**
 * Adds a firmware and uploads its file, straight to the storage: hash, reserve the version, put the file, wait until it is registered.
 * Repeating it after success uploads nothing and answers the same firmware.
 *
 * @param file in Node for example by `openAsBlob(path)` of `node:fs`, which reads it as it is sent; in a browser a `File`.
 * @throws ApiProblem, for example `firmware.exists` when the version has other bytes; UploadRefused; ApiUnreachable.
 */
export const uploadFirmware = async (
  client: Client,
  firmware: Omit<UploadFirmwareBody, 'size_bytes' | 'sha256'>,
  file: Blob,
  { sha256, onProgress = () => {}, signal, sign, registrationSeconds = 300 }: UploadOptions = {},
): Promise<FirmwareDownload> => {
  const progressOf = (phase: UploadProgress['phase']) => {
    let bytes = 0;
    onProgress({ phase, bytes, totalBytes: file.size });
    return (more: number) => {
      bytes += more;
      onProgress({ phase, bytes, totalBytes: file.size });
    };
  };
  const hash = sha256 ?? (await sha256Of(file, progressOf('hashing')));
  signal?.throwIfAborted();
  const signatures = await sign?.({ size_bytes: file.size, sha256: hash });
  const reserved = await client.uploadFirmware(
    { ...firmware, size_bytes: file.size, sha256: hash, ...(signatures && { signatures }) } as UploadFirmwareBody,
    optionsOf(signal),
  );
  const { upload } = reserved as Partial<Pick<FirmwareUpload, 'upload'>>;
  if (upload) {
    const headers = upload.headers as Record<string, string>;
    const { status, text } = await putFile({ url: upload.url, headers }, file, { onBytes: progressOf('uploading'), signal });
    if (status !== alreadyThere && (status < 200 || status > 299)) {
      throw new UploadRefused(`The file storage refuses the file (${status}): ${messageOf(text)}`, status);
    }
  }
  progressOf('registering');
  return waitForRegistration(client, reserved.id, { signal, registrationSeconds });
};

const waitForRegistration = async (
  client: Client,
  id: number,
  { signal, registrationSeconds }: { signal: AbortSignal | undefined; registrationSeconds: number },
): Promise<FirmwareDownload> => {
  const until = Date.now() + registrationSeconds * 1_000;
  for (;;) {
    const firmware = await client.getFirmware(id, optionsOf(signal));
    if (firmware.status === 'rejected') throw new UploadRefused(`The file was rejected: ${firmware.reason ?? 'no reason given'}`, null);
    if (firmware.status !== 'awaiting_upload') return firmware;
    if (Date.now() > until) throw new UploadRefused(`The file is stored, but was not registered within ${registrationSeconds} s`, null);
    await wait(registrationPollSeconds, signal);
  }
};

const optionsOf = (signal: AbortSignal | undefined) => (signal ? { signal } : {});

/** S3 answers errors in XML. */
const messageOf = (text: string): string => /<Message>([^<]*)<\/Message>/.exec(text)?.[1] ?? text.slice(0, 200);
