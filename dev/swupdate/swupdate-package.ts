// Signed packages for SWUpdate, made with this machine's openssl and cpio: for trying a device, and for tests.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Signer {
  certificate: string;
  key: string;
}

/** A key and its certificate, whose purpose is the one that SWUpdate demands by default (emailProtection). */
export function createSigner(directory: string, name = 'signer'): Signer {
  const signer = { certificate: join(directory, `${name}.cert.pem`), key: join(directory, `${name}.key.pem`) };
  execFileSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-addext',
        'extendedKeyUsage=emailProtection',
      ],
      ...['-keyout', signer.key, '-out', signer.certificate],
    ],
    { stdio: 'ignore' },
  );
  return signer;
}

export interface PackageContent {
  version: string;
  /** Where SWUpdate writes each file. */
  files: { path: string; bytes: Buffer }[];
}

/** A .swu: sw-description, its signature (detached CMS), then the files, in cpio's crc format. */
export function buildPackage(directory: string, signer: Signer, { version, files }: PackageContent): Buffer {
  const folder = mkdtempSync(join(directory, 'package-'));
  try {
    const parts = files.map(({ path, bytes }, i) => {
      const filename = `part-${i}.bin`;
      writeFileSync(join(folder, filename), bytes);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return { filename, text: `{ filename = "${filename}"; path = "${path}"; type = "rawfile"; sha256 = "${sha256}"; }` };
    });
    const list = parts.map(({ text }) => text).join(', ');
    const description = `software = { version = "${version}"; hardware-compatibility: [ "1.0" ]; files: ( ${list} ); }\n`;
    writeFileSync(join(folder, 'sw-description'), description);
    execFileSync(
      'openssl',
      [
        ...['cms', '-sign', '-in', 'sw-description', '-out', 'sw-description.sig', '-signer', signer.certificate, '-inkey', signer.key],
        ...['-outform', 'DER', '-nosmimecap', '-binary'],
      ],
      { cwd: folder, stdio: 'ignore' },
    );
    const names = ['sw-description', 'sw-description.sig', ...parts.map(({ filename }) => filename)];
    return execFileSync('cpio', ['-o', '-H', 'crc', '--quiet'], { cwd: folder, input: names.join('\n'), maxBuffer: 2 ** 28 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** SWUpdate's configuration file: what the device tells of itself. */
export const swupdateConfiguration = (attributes: Record<string, string>): string => {
  const identify = Object.entries(attributes).map(([name, value]) => `{ name = "${name}"; value = "${value}"; }`);
  return `globals: {};\nidentify: ( ${identify.join(', ')} );\n`;
};
