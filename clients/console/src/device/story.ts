import type { AuditLine, DeviceExecution, DeviceWithHistory, PastFirmware } from '../../../api/src/index.ts';

export type Chapter = { key: string; dt: string } & (
  | { kind: 'execution'; execution: DeviceExecution }
  | { kind: 'version'; version: PastFirmware }
  | { kind: 'change'; line: AuditLine }
  | { kind: 'renamed'; before: string }
  | { kind: 'registered' }
);

/**
 * What became of a device, the latest first: its updates, by when they ended or else began, what it was seen to run, and what people have
 * changed of it.
 */
export const storyOf = (
  device: DeviceWithHistory,
  executions: readonly DeviceExecution[],
  changes: readonly AuditLine[] = [],
): Chapter[] => {
  const chapters: Chapter[] = [
    ...executions.map((execution) => ({
      ...{ kind: 'execution' as const, key: String(execution.id), execution },
      dt: execution.finished_dt ?? execution.sent_dt ?? execution.queued_dt,
    })),
    ...(device.history?.items ?? []).map((version) => ({
      ...{ kind: 'version' as const, version, dt: version.firmware_update_dt },
      key: `${version.hardware_type} ${version.firmware_update_dt} ${version.version}`,
    })),
    ...changes.map((line) => ({ kind: 'change' as const, line, key: String(line.id), dt: line.occurred_dt })),
    ...(device.aliases ?? []).map(({ external_id, until_dt }) => ({
      ...{ kind: 'renamed' as const, before: external_id, key: external_id, dt: until_dt },
    })),
    { kind: 'registered' as const, key: '', dt: device.created_dt },
  ];
  // Of equal moments: what an update did before that it ended.
  return chapters.toSorted((a, b) => b.dt.localeCompare(a.dt));
};
