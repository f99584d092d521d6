import { describeDifference } from '../firmware/version.ts';

/**
 * Names both texts, so that whoever looks at the first device that failed sees what is wrong before the whole fleet has.
 *
 * @example 'wanted v1.4.0, reports 1.4.0 (differs only by a leading v)'
 */
export const describeMismatch = (wanted: string, reported: string): string => {
  const difference = describeDifference(wanted, reported);
  return `wanted ${wanted}, reports ${reported}${difference ? ` (${difference})` : ''}`;
};
