import * as z from 'zod/mini';
import type { DeviceVersions } from '../ports/backend.ts';
import { Confirmation, type Report } from './confirmation.ts';

const SinceDt = z.catch(z.optional(Confirmation.shape.occurred_dt), undefined);

export interface ObservedReports {
  reports: Report[];
  /** How many of the versions were not well-formed: they are left out. */
  malformed: number;
}

/**
 * Turns the backend's answer about devices into reports, checked by the rules of confirmations: "at this moment it ran this version".
 */
export const toReports = (devices: readonly (DeviceVersions & { kind: string })[]): ObservedReports => {
  const said = devices.flatMap(({ kind, external_id, firmwares }) => firmwares.map((firmware) => ({ kind, external_id, ...firmware })));
  const reports = said.flatMap(({ since_dt, observed_dt, ...subject }): Report[] => {
    const confirmation = Confirmation.safeParse({ ...subject, status: 'SUCCEEDED', occurred_dt: observed_dt });
    return confirmation.success ? [{ ...confirmation.data, source: 'observation', since_dt: SinceDt.parse(since_dt) }] : [];
  });
  return { reports, malformed: said.length - reports.length };
};
