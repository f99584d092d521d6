import type { Install } from './assembly.ts';

export interface DescribedPart {
  /** In the archive. */
  filename: string;
  hardware_type: string;
  version: string;
  /** Hexadecimal. */
  sha256: string;
  install: Install;
}

export interface PackageDescription {
  version: string;
  hardware_compatibility: readonly string[];
  parts: readonly DescribedPart[];
}

/**
 * The `sw-description` of a package: what SWUpdate reads first, and what is signed. The same description makes the same text, to the byte.
 * Nothing in it is run: there are neither scripts nor embedded handlers.
 *
 * https://sbabic.github.io/swupdate/sw-description.html
 */
export const formatSwDescription = ({ version, hardware_compatibility, parts }: PackageDescription): string => {
  const images = parts.filter(({ install }) => install.handler === 'raw');
  const files = parts.filter(({ install }) => install.handler !== 'raw');
  return [
    'software =',
    '{',
    `\tversion = ${quote(version)};`,
    `\thardware-compatibility: [ ${hardware_compatibility.map(quote).join(', ')} ];`,
    ...formatList('images', images),
    ...formatList('files', files),
    '};',
    '',
  ].join('\n');
};

const formatList = (name: string, parts: readonly DescribedPart[]): string[] =>
  parts.length === 0 ? [] : [`\t${name}: (`, parts.map(formatPart).join(',\n'), '\t);'];

const formatPart = ({ filename, hardware_type, version, sha256, install }: DescribedPart): string =>
  [
    '\t\t{',
    `\t\t\tfilename = ${quote(filename)};`,
    `\t\t\tname = ${quote(hardware_type)};`,
    `\t\t\tversion = ${quote(version)};`,
    `\t\t\ttype = ${quote(install.handler)};`,
    ...(install.path === null ? [] : [`\t\t\tpath = ${quote(install.path)};`]),
    ...(install.device === null ? [] : [`\t\t\tdevice = ${quote(install.device)};`]),
    `\t\t\tsha256 = ${quote(sha256)};`,
    ...properties[install.handler],
    '\t\t}',
  ].join('\n');

/** A file is replaced in one step, so that a device that loses power has the old file or the new one. Missing folders are created. */
const properties: Readonly<Record<Install['handler'], readonly string[]>> = {
  rawfile: ['\t\t\tproperties: {', '\t\t\t\tatomic-install = "true";', '\t\t\t\tcreate-destination = "true";', '\t\t\t};'],
  archive: ['\t\t\tproperties: {', '\t\t\t\tcreate-destination = "true";', '\t\t\t};'],
  raw: [],
};

/**
 * A string of libconfig: whatever a user wrote stays inside its quotes. Everything except plain ASCII is written as escaped bytes, so that it
 * does not matter how the file is decoded. https://hyperrealm.github.io/libconfig/libconfig_manual.html#String-Values
 */
const quote = (text: string): string => {
  const bytes = [...Buffer.from(text, 'utf8')].map((byte) => {
    if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
    return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return `"${bytes.join('')}"`;
};
