// The calls of a device that polls.
import { formatControllerId } from '../lib/ddi/controller-id.ts';
import type { IssuedToken } from '../lib/ddi/issue-device-token.ts';
import type { Call } from './measure.ts';

const callOf = (device: IssuedToken, method: string, path = '', { actionId, body }: { actionId?: number; body?: object } = {}): Call => ({
  method,
  path: `/{tenant}/controller/v1/{controllerId}${path}`,
  pathParameters: {
    ...{ tenant: 'default', controllerId: formatControllerId(device) },
    ...(actionId !== undefined && { actionId: String(actionId) }),
  },
  headers: { Authorization: `TargetToken ${device.token}`, Host: 'bench.test' },
  ...(body && { body }),
});

export const pollOf = (device: IssuedToken): Call => callOf(device, 'GET');

const configDataOf = (device: IssuedToken, version: string): Call =>
  callOf(device, 'PUT', '/configData', { body: { mode: 'merge', data: { cabinet_version: version } } });

const feedbackOf = (device: IssuedToken, actionId: number, execution: string, finished: string, detail: string): Call => {
  const status = { execution, result: { finished }, details: [detail] };
  return callOf(device, 'POST', '/deploymentBase/{actionId}/feedback', { actionId, body: { id: String(actionId), status } });
};

/** A whole update in as few calls as a device needs: what it asks and says, in this order. The file itself it takes from S3. */
export const cycleOf = (device: IssuedToken, actionId: number, version: string): Call[] => [
  pollOf(device),
  callOf(device, 'GET', '/deploymentBase/{actionId}', { actionId }),
  feedbackOf(device, actionId, 'closed', 'success', 'Installed'),
  configDataOf(device, version),
];
