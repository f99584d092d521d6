import { addSeconds, type Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { answerPoll } from './answer-poll.ts';
import { type IotDevice, listWork, markSeen } from './iot-device-queries.ts';
import { type PollIntervals, seenSeconds } from './poll-interval.ts';
import type { ControllerBase } from './protocol.ts';

export interface PollDeps {
  db: Db;
  now: Clock;
  intervals: PollIntervals;
  /** From [0, 1). */
  random: () => number;
}

/**
 * A device asks whether there is something to do. If there is nothing, the poll needs no statement besides its authentication, except one
 * every few minutes that notes that the device is there.
 */
export async function poll({ db, now, intervals, random }: PollDeps, device: IotDevice, url: string): Promise<ControllerBase> {
  const moment = now();
  const due = addSeconds(moment, -seenSeconds);
  if (device.last_seen_dt === null || device.last_seen_dt < due) await markSeen(db, device.device_id, due, moment);
  return answerPoll(device, await listWork(db, device, moment), { url, intervals, now: moment, random: random() });
}
