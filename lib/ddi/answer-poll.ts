import { secondsBetween } from '../clock.ts';
import { type DeviceWork, type WorkState, workStateOf } from '../update/reach/device-work.ts';
import type { IotDevice } from './iot-device-queries.ts';
import { formatSleep, type PollIntervals, pollSeconds } from './poll-interval.ts';
import type { ControllerBase } from './protocol.ts';

export interface PollContext {
  /** Where the device's own routes begin, without a slash at the end. */
  url: string;
  intervals: PollIntervals;
  now: Date;
  /** From [0, 1). */
  random: number;
}

/** A device tells its version when it changes. It is also asked once a day, in case its firmware was changed in another way. */
const configDataSeconds = 86_400;

/** A device does one thing at a time: in these states it has to end its work, and show the result by its version, before it gets more. */
const engaged: ReadonlySet<WorkState> = new Set(['working', 'canceling', 'proving']);

/**
 * What a device is told when it asks: at most one thing to do, whether its version is wanted, and when to ask again. A pure function of
 * what is stored about it.
 */
export const answerPoll = (
  { config_data_dt }: Pick<IotDevice, 'config_data_dt'>,
  work: readonly DeviceWork[],
  { url, intervals, now, random }: PollContext,
): ControllerBase => {
  const states = work.map((each) => ({ ...each, state: workStateOf(each) }));
  const first = (wanted: WorkState) => states.find(({ state }) => state === wanted)?.execution_id;
  const isEngaged = states.some(({ state }) => engaged.has(state));
  const cancel = first('canceling');
  const deploy = cancel === undefined ? (first('working') ?? (isEngaged ? undefined : first('offered'))) : undefined;
  const wantsConfigData =
    config_data_dt === null || secondsBetween(config_data_dt, now) > configDataSeconds || states.some(({ state }) => state === 'proving');

  const pending = states.filter(({ state }) => state !== 'held');
  const sleep = pollSeconds(
    intervals,
    { isWaiting: pending.length > 0, devices: Math.max(0, ...pending.map(({ state, devices }) => (state === 'waiting' ? devices : 0))) },
    random,
  );
  return {
    config: { polling: { sleep: formatSleep(sleep) } },
    _links: {
      ...(deploy !== undefined && { deploymentBase: { href: `${url}/deploymentBase/${deploy}` } }),
      ...(cancel !== undefined && { cancelAction: { href: `${url}/cancelAction/${cancel}` } }),
      ...(wantsConfigData && { configData: { href: `${url}/configData` } }),
    },
  };
};
