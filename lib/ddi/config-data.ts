import type { VersionAttribute } from '../firmware/hardware-type-queries.ts';
import { FirmwareVersion } from '../firmware/version.ts';
import type { ToldAttributes } from '../fleet/attribute-queries.ts';
import { type DeviceAttributes, maximumAttributeName, maximumAttributes, maximumAttributeText } from '../fleet/device-detail.ts';
import { type ConfigData, keptText } from './protocol.ts';

/** What the device told in one of the attributes that name a version. */
export interface ToldVersion extends VersionAttribute {
  told:
    | { version: string }
    /** The attribute's value cannot be a version. */
    | { problem: string; sent: string }
    /** The attribute is missing. */
    | undefined;
}

/** The versions that a device tells, each judged on its own. */
export const readVersions = (attributes: readonly VersionAttribute[], data: ConfigData['data']): ToldVersion[] =>
  attributes.map((each) => ({ ...each, told: Object.hasOwn(data, each.attribute) ? readVersion(data[each.attribute]) : undefined }));

const readVersion = (value: unknown): ToldVersion['told'] => {
  // As JSON, so that 1.1 and "1.1" can be told apart.
  const sent = keptText(JSON.stringify(value), maximumAttributeText);
  if (typeof value !== 'string') return { problem: `must be a text, not ${nameOfType(value)}`, sent };
  const result = FirmwareVersion.safeParse(value);
  return result.success ? { version: result.data } : { problem: result.error.issues.map(({ message }) => message).join(', '), sent };
};

const nameOfType = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  // As a JSON number 1.10 is read as 1.1, so a version has to be a text.
  return { number: 'a number, which loses its last zeros and digits', boolean: 'a boolean' }[typeof value as string] ?? 'an object';
};

/** Of what a device tells, texts (cut if too long), numbers and booleans are kept. The rest is ignored, not refused. */
export const toAttributes = ({ mode, data }: ConfigData): ToldAttributes => {
  const attributes: DeviceAttributes = {};
  const names: string[] = [];
  for (const [sent, value] of Object.entries(data)) {
    const name = keptText(sent, maximumAttributeName + 1);
    // Characters that cannot be kept are taken out of names. A name can become `__proto__` in this way, which is no ordinary key.
    if (name === '' || name === '__proto__' || name.length > maximumAttributeName) continue;
    names.push(name);
    if (Object.keys(attributes).length >= maximumAttributes) continue;
    if (typeof value === 'string') attributes[name] = keptText(value, maximumAttributeText);
    else if (typeof value === 'boolean' || Number.isFinite(value)) attributes[name] = value as number | boolean;
  }
  return { mode, attributes, names };
};
