import type { DeviceFilter } from './device-filter.ts';

/** The filter of the devices that are meant: only those in service, unless it says otherwise. */
export const inService = <F extends DeviceFilter>(filter: F): F & { retired: boolean } => ({ retired: false, ...filter });
