import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { type KnownText, listTakenVersions } from './draft-queries.ts';
import { FirmwareId } from './firmware.ts';
import type { HardwareType } from './hardware-type.ts';
import { isSemanticVersion } from './ordinal.ts';
import { describeDifference, isConfusable } from './version.ts';
import { matchesPattern } from './version-pattern-queries.ts';

/** Why a hardware type can have no such version, or undefined when it can. */
export const findVersionRefusal = async (
  db: Db,
  { name, order, version_maximum_length, version_pattern }: HardwareType,
  version: string,
): Promise<string | undefined> => {
  const length = [...version].length;
  if (version_maximum_length !== null && length > version_maximum_length) {
    return `has ${length} characters: the devices of ${name} can tell ${version_maximum_length} at most`;
  }
  if (version_pattern !== null && (await matchesPattern(db, version, version_pattern)) !== true) {
    return `does not match ${version_pattern}: the devices of ${name} can tell no other version`;
  }
  if (order === 'semver' && !isSemanticVersion(version)) {
    return `is no semantic version, by which the firmwares of ${name} are ordered`;
  }
  return undefined;
};

/** Another version of the same hardware type that people may take for this one. */
export const LookAlike = z
  .object({
    firmware_id: FirmwareId,
    version: z.string(),
    difference: z.string().check(z.meta({ description: 'In what alone they differ', example: 'differs only by zeros' })),
  })
  .register(z.globalRegistry, { id: 'LookAlike' });
export type LookAlike = z.infer<typeof LookAlike>;

/** `taken`: a version that differs only by case or a leading v, so that this one cannot be added. */
export const findLookAlikes = async (
  db: Db,
  { hardware_type, version }: { hardware_type: string; version: string },
  now: Date,
): Promise<{ taken: LookAlike | undefined; others: LookAlike[] }> => {
  const known = (await listTakenVersions(db, hardware_type, now)).filter((other) => other.version !== version);
  const toLookAlike = (other: KnownText): LookAlike[] => {
    const difference = describeDifference(version, other.version);
    return difference === undefined ? [] : [{ firmware_id: other.id, version: other.version, difference }];
  };
  const taken = known.find((other) => isConfusable(version, other.version));
  return { taken: taken && toLookAlike(taken)[0], others: known.flatMap(toLookAlike) };
};

export const lookAlikeExists = (version: string, { firmware_id, version: other, difference }: LookAlike): DomainError =>
  new DomainError('firmware.look_alike', `${version} ${difference} from ${other}, which exists already`, {
    errors: [{ in: 'body', path: 'version', message: `${difference} from ${other}` }],
    answer: { firmware_id, firmware_version: other },
  });
