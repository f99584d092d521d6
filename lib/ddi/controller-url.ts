import { type ControllerId, formatControllerId } from './controller-id.ts';

/** Where a device's own routes begin, without a slash at the end. Links are absolute: clients take them as they are. */
export const controllerUrl = (apiUrl: string, tenant: string, device: ControllerId): string =>
  `${apiUrl}/${encodeURIComponent(tenant)}/controller/v1/${encodeURIComponent(formatControllerId(device))}`;
