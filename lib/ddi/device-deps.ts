import type { Config, DatabaseConfig, DeviceAccessConfig, PollConfig } from '../config.ts';
import type { HttpDeps } from '../http/endpoint.ts';
import { createServiceDeps, type ServiceDeps } from '../service-deps.ts';
import { type CallingDevice, createAuthenticateDevice } from './authenticate-device.ts';
import { type PollIntervals, retrySeconds } from './poll-interval.ts';

type DeviceConfig = Config<typeof DatabaseConfig & typeof DeviceAccessConfig>;

/** The dependencies of every function that devices call: their callers are devices with tokens of their own. */
export const createDeviceDeps = (config: DeviceConfig): ServiceDeps & HttpDeps<CallingDevice> => {
  const deps = createServiceDeps(config, { keepsPlans: true });
  const access = {
    tenants: config.DDI_TENANT,
    gatewayTokenSha256: config.DDI_GATEWAY_TOKEN_SHA256 ? Buffer.from(config.DDI_GATEWAY_TOKEN_SHA256, 'hex') : null,
    selfRegistration: config.DDI_SELF_REGISTRATION === 'true',
  };
  const retryAfterSeconds = () => retrySeconds(Math.random());
  return { ...deps, authenticate: createAuthenticateDevice({ ...deps, access }), retryAfterSeconds };
};

export const toPollIntervals = (config: Config<typeof PollConfig>): PollIntervals => ({
  idleSeconds: config.DDI_POLL_SECONDS,
  waitingSeconds: config.DDI_WAITING_POLL_SECONDS,
});
