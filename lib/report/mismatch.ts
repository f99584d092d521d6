import { describeDifference } from '../firmware/version.ts';

/**
 * Names both versions, so that an admin sees what is wrong at the first failed device, before the whole fleet fails.
 *
 * @example 'wanted v1.4.0, reports 1.4.0 (differs only by a leading v)'
 */
export const describeMismatch = (wanted: string, reported: string): string => {
  const difference = describeDifference(wanted, reported);
  return `wanted ${wanted}, reports ${reported}${difference ? ` (${difference})` : ''}`;
};
