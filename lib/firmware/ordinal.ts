import compare from 'semver/functions/compare.js';
import parse from 'semver/functions/parse.js';

/** Room between two firmwares that are ordered by version. It suffices for sixteen later ones between them, even in the worst order (2^16). */
const step = 65_536;

export const isSemanticVersion = (version: string): boolean => parse(version) !== null;

/**
 * The ordinal of a version by its text (semver.org), among the versions of its hardware type that have one: above all that are lower or equal,
 * below all that are higher. A text that is no semantic version counts as lower.
 *
 * @param highest the highest ordinal that was ever given out.
 * @returns undefined when no ordinal is free there.
 */
export const ordinalBySemver = (
  version: string,
  others: readonly { version: string; version_num: number }[],
  highest: number,
): number | undefined => {
  const isHigher = (other: string) => isSemanticVersion(other) && compare(other, version) > 0;
  const higher = others.filter((other) => isHigher(other.version));
  if (higher.length === 0) return highest + step;
  const floor = Math.max(0, ...others.filter((other) => !isHigher(other.version)).map(({ version_num }) => version_num));
  const ceiling = Math.min(...higher.map(({ version_num }) => version_num));
  const middle = Math.floor((floor + ceiling) / 2);
  return middle > floor && middle < ceiling ? middle : undefined;
};
