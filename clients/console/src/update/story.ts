import type { DeviceExecution, DeviceWithHistory, PastFirmware } from '../../../api/src/index.ts';

export type Chapter = { key: string; dt: string } & (
  | { kind: 'execution'; execution: DeviceExecution }
  | { kind: 'version'; version: PastFirmware }
  | { kind: 'registered' }
);

/** What became of a device, the latest first: its updates, by when they ended or else began, and what it was seen to run. */
export const storyOf = (device: DeviceWithHistory, executions: readonly DeviceExecution[]): Chapter[] => {
  const chapters: Chapter[] = [
    ...executions.map((execution) => ({
      ...{ kind: 'execution' as const, key: String(execution.id), execution },
      dt: execution.finished_dt ?? execution.sent_dt ?? execution.queued_dt,
    })),
    ...(device.history?.items ?? []).map((version) => ({
      ...{ kind: 'version' as const, version, dt: version.firmware_update_dt },
      key: `${version.hardware_type} ${version.firmware_update_dt} ${version.version}`,
    })),
    { kind: 'registered' as const, key: '', dt: device.created_dt },
  ];
  // Of equal moments: what an update did before that it ended.
  return chapters.toSorted((a, b) => b.dt.localeCompare(a.dt));
};
